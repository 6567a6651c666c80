//! Stores to measure on.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use posixage::{
    Id, Identity, KeySource, KeyType, Metadata, Secret, Store, StoreConfig, secrecy::ExposeSecret,
};

use crate::table::Result;

/// A value of 28 bytes.
pub(crate) const VALUE: &[u8; 28] = b"a value of twenty-eight byte";

/// How many secrets share a file: some file systems allow no more than 65,000 links to one.
const SHARE: usize = 10_000;

/// A store with one kind of key, in a directory of its own.
pub(crate) struct Place {
    store: Store,
    root: PathBuf,
    directory: tempfile::TempDir,
}

impl Place {
    /// Encrypted to, and decrypted with, this key.
    pub(crate) fn new(key: impl Into<KeySource<Identity>>, work_factor: u8) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("store");
        let key = key.into();
        let config = match key.key_type() {
            KeyType::Password => StoreConfig::new([]).with_password(true),
            _ => StoreConfig::new(key.recipients()?),
        };
        let config = config.with_work_factor(work_factor);
        Store::init(&root, &config)?;
        Ok(Self {
            store: Store::builder(&root).identity(key).open()?,
            root,
            directory,
        })
    }

    /// With an age identity, in the crate's form too.
    pub(crate) fn with_age() -> Result<(Self, age::x25519::Identity)> {
        let identity = Identity::generate();
        let key = identity.to_age_secret_key().ok_or("no age identity")?;
        Ok((Self::new(identity, 18)?, key.expose_secret().parse()?))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A directory beside the store.
    pub(crate) fn aside(&self) -> Result<PathBuf> {
        let aside = self.directory.path().join("aside");
        DirBuilder::new().mode(0o700).create(&aside)?;
        Ok(aside)
    }

    /// Writes a secret; gives its ciphertext of this name.
    pub(crate) fn set(&self, id: &str, file: &str) -> Result<(Id, Vec<u8>)> {
        let id: Id = id.parse()?;
        let metadata: Metadata = [("user", "zoe")].into_iter().collect();
        let secret = Secret::new(*VALUE).with_metadata(metadata);
        self.store.set(&id, &secret)?;
        let ciphertext = fs::read(self.directory_of(&id).join(file))?;
        Ok((id, ciphertext))
    }

    /// Makes secrets that share the files of a few, without waiting for the disk.
    pub(crate) fn fill(&self, count: usize) -> Result<Vec<Id>> {
        let mut ids: Vec<Id> = Vec::with_capacity(count);
        let mut first = PathBuf::new();
        for n in 0..count {
            let name = format!("many/{n:06}");
            if n % SHARE == 0 {
                let (id, _) = self.set(&name, "secretage")?;
                first = self.directory_of(&id);
                ids.push(id);
                continue;
            }
            let id: Id = name.parse()?;
            let directory = self.directory_of(&id);
            DirBuilder::new().mode(0o700).create(&directory)?;
            for file in ["metadata.json", "secretage"] {
                fs::hard_link(first.join(file), directory.join(file))?;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    pub(crate) fn open_root(&self) -> Result<File> {
        Ok(File::open(&self.root)?)
    }

    fn directory_of(&self, id: &Id) -> PathBuf {
        self.root.join(id.directory_name())
    }
}

/// A key of the golden stores.
pub(crate) fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/golden/keys")
        .join(name)
}
