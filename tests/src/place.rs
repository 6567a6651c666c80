//! A store of the library, with its key, and no home or program around it.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use posixage::{Id, Identity, Recipient, Secret, Store, StoreBuilder, StoreConfig};

/// A temporary directory with a store in it.
pub struct Place {
    dir: tempfile::TempDir,
    root: PathBuf,
    identity: Identity,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A store for an identity of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|recipient| StoreConfig::new([recipient]))
    }

    /// A store with the configuration that `config` makes of the place's recipient.
    #[must_use]
    pub fn with(config: impl FnOnce(Recipient) -> StoreConfig) -> Self {
        Self::in_directory(&std::env::temp_dir(), config)
    }

    /// The same as [`new`](Self::new) in memory, where that is possible: an fsync costs nothing there.
    #[must_use]
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let temporary = std::env::temp_dir();
        let parent = if memory.is_dir() { memory } else { &temporary };
        Self::in_directory(parent, |recipient| StoreConfig::new([recipient]))
    }

    fn in_directory(parent: &Path, config: impl FnOnce(Recipient) -> StoreConfig) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("posixage-test.")
            .tempdir_in(parent)
            .expect("a temporary directory");
        let root = dir.path().join("store");
        let identity = Identity::generate();
        let recipient = identity.to_recipient().expect("its public half");
        Store::init(&root, &config(recipient)).expect("make a store");
        Self {
            dir,
            root,
            identity,
        }
    }

    /// The directory that everything of it is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The store's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The identity that the store is for.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Opens the store, without a key so far.
    pub fn builder(&self) -> StoreBuilder {
        Store::builder(&self.root)
    }

    /// The store with its identity.
    ///
    /// # Panics
    /// It does not open.
    #[must_use]
    pub fn open(&self) -> Store {
        let builder = self.builder().identity(self.identity.clone());
        builder.open().expect("open the store")
    }

    /// The directory of a secret.
    #[must_use]
    pub fn secret(&self, id: &Id) -> PathBuf {
        self.root.join(id.directory_name())
    }

    /// The ciphertext of a value for the store's identity.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn seal(&self, value: &str) -> Vec<u8> {
        let (store, id) = (self.open(), id("sealed"));
        store.set(&id, &Secret::new(value)).expect("set");
        let sealed = fs::read(self.secret(&id).join("secretage")).expect("the ciphertext");
        store.remove(&id).expect("remove");
        sealed
    }
}

/// The id with that text.
///
/// # Panics
/// It is none.
#[must_use]
pub fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

/// The id that tests of one secret use.
#[must_use]
pub fn x() -> Id {
    id("x")
}

/// A directory (0700).
///
/// # Panics
/// It cannot be made.
pub fn make_dir(path: &Path) {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    made.unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
}

/// A file with that content, and, if it is new, that mode.
///
/// # Panics
/// It cannot be written.
pub fn write(path: &Path, mode: u32, content: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode);
    let written = file.open(path).and_then(|mut file| file.write_all(content));
    written.unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
}
