//! The store: opening it, and reading.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use posixage_lock::{Guard, LockFile, Mode, Status, Wait};

use crate::{
    builder::Builder,
    cipher,
    commit::{Committer, OLD},
    config::Config,
    directory::{Sealed, read_metadata},
    error::Error,
    id::Id,
    key::Recipient,
    keyring::{Fetch, Keyring},
    metadata::Metadata,
    parallel::in_order,
    pattern::Pattern,
    root::Root,
    secret::Secret,
    source::KeySource,
    sweep,
};

/// A directory of secrets, each encrypted with age; see the [crate's documentation](crate).
///
/// Any number of handles, threads and processes may use one store at the same time. A handle is
/// `Send + Sync` and holds no lock between calls.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: Root,
    lock: LockFile,
    pub(crate) wait: Wait,
    pub(crate) keyring: Keyring,
    pub(crate) recipients: Vec<KeySource<Recipient>>,
    pub(crate) config: Option<Config>,
    pub(crate) work_factor: u8,
    pub(crate) committer: Committer,
    /// Whether this handle has cleared away what interrupted commits left.
    pub(crate) swept: AtomicBool,
}

/// How many directories one thread looks into before the next lot.
const RUN: usize = 64;

/// An id and what may be known of its secret without decrypting it.
#[derive(Debug)]
pub struct Entry {
    /// The id.
    pub id: Id,
    /// Its metadata, or why that cannot be read.
    pub metadata: Result<Option<Metadata>, Error>,
}

impl Store {
    /// Sets out to open the store at `path`, with keys and waits to be named.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(path.into())
    }

    pub(crate) fn from_builder(builder: Builder) -> Result<Self, Error> {
        let root = Root::open(&builder.path, builder.allow_insecure)?;
        let config = Config::read(&root)?;
        let dir = root
            .dir
            .try_clone()
            .map_err(|e| Error::io("open store", &root.path, e))?;
        let mut lock = LockFile::in_directory(dir, &root.path).with_takeover(builder.takeover);
        if let Some(notice) = builder.on_wait {
            lock = lock.on_wait(notice.0);
        }
        tracing::debug!(store = %root.path.display(), config = config.is_some(), "opened");
        let work_factor = builder
            .work_factor
            .or(config.as_ref().map(|c| c.work_factor));
        Ok(Self {
            root,
            lock,
            wait: builder.wait,
            keyring: Keyring {
                identities: builder.identities,
            },
            recipients: builder.recipients,
            work_factor: work_factor.unwrap_or(cipher::DEFAULT_WORK_FACTOR),
            config,
            committer: Committer::default(),
            swept: AtomicBool::new(false),
        })
    }

    /// The directory that is the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root.path
    }

    /// Who the store says its secrets are encrypted to; `None` for a store by the reference.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Decrypts the secret `id`.
    ///
    /// The identities are tried in the order given; the first that fits is used. Its files are read
    /// under the shared lock and decrypted after it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoKeyFits`], [`Error::Damaged`] and those of the lock and of
    /// reading.
    pub fn get(&self, id: &Id) -> Result<Secret, Error> {
        let sealed = {
            let _shared = self.acquire(Mode::Shared)?;
            Sealed::read_for(&self.root, id, self.keyring.key_types())?
        };
        self.unseal(id, sealed)
    }

    /// Decrypts what was read for the keys that there are. The caller does not hold the lock.
    pub(crate) fn unseal(&self, id: &Id, sealed: Sealed) -> Result<Secret, Error> {
        let opened = self
            .keyring
            .open(&self.root, id, &sealed, None, Fetch::Allowed);
        match opened {
            Ok(value) => {
                tracing::debug!(%id, "decrypted");
                Ok(Secret::from(value).with_metadata(sealed.metadata))
            }
            // Whoever has no key that fits wants to know which would.
            Err(Error::NoKeyFits { id, attempts, .. }) => Err(Error::NoKeyFits {
                has: self.sealed(&id)?.key_types(),
                id,
                attempts,
            }),
            Err(error) => Err(error),
        }
    }

    /// The metadata of the secret `id`, without decrypting it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Damaged`] and those of the lock and of reading.
    pub fn metadata(&self, id: &Id) -> Result<Option<Metadata>, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        read_metadata(&self.root, id)
    }

    /// The secrets that match `pattern`, sorted by id, with their metadata. Decrypts nothing.
    ///
    /// An entry whose metadata cannot be read says so; it does not hide the others. What is in the
    /// directory and no secret's is passed over.
    ///
    /// # Errors
    /// Those of the lock and of listing the directory.
    pub fn list(&self, pattern: &Pattern) -> Result<Vec<Entry>, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        let entry = |id: &Id| match read_metadata(&self.root, id) {
            // Somebody who does not take the lock has just removed it.
            Err(Error::NotFound { .. }) => None,
            metadata => Some(Entry {
                metadata,
                id: id.clone(),
            }),
        };
        let entries = |run: &[Id]| run.iter().filter_map(entry).collect();
        Ok(in_order(&self.ids(pattern)?, RUN, entries))
    }

    /// How many secrets there are, by the names of their directories. Takes no lock, so that it
    /// answers while somebody holds it.
    ///
    /// # Errors
    /// Those of listing the directory.
    pub fn count(&self) -> Result<usize, Error> {
        Ok(self.all_ids()?.len())
    }

    /// Takes the store's lock, for a backup or a script: shared keeps writers out, exclusive
    /// everybody. Released when the guard is dropped.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn lock(&self, mode: Mode) -> Result<Guard, Error> {
        self.acquire(mode)
    }

    /// Takes the exclusive lock, from a holder that has not moved for 30 s if need be. The old holder
    /// finds its lock lost before it commits anything.
    ///
    /// # Errors
    /// Those of the lock: a holder that lives and moves is waited for, and keeps it.
    pub fn take_over_lock(&self) -> Result<Guard, Error> {
        Ok(self.lock.take_over(self.wait)?)
    }

    /// Who holds the lock, who waits for it, and how fresh it is. Takes no lock.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn lock_status(&self) -> Result<Status, Error> {
        Ok(self.lock.status()?)
    }

    pub(crate) fn acquire(&self, mode: Mode) -> Result<Guard, Error> {
        Ok(self.lock.acquire(mode, self.wait)?)
    }

    pub(crate) fn sealed(&self, id: &Id) -> Result<Sealed, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        Sealed::read(&self.root, id)
    }

    /// The ids that match, sorted; a pattern without wildcard is taken at its word. The caller holds
    /// the lock.
    pub(crate) fn ids(&self, pattern: &Pattern) -> Result<Vec<Id>, Error> {
        if let Some(id) = pattern.as_id() {
            return Ok(vec![id]);
        }
        let mut ids = self.all_ids()?;
        ids.retain(|id| pattern.matches(id));
        Ok(ids)
    }

    /// Every id, sorted.
    pub(crate) fn all_ids(&self) -> Result<Vec<Id>, Error> {
        let set_aside = sweep::set_aside(&self.root)
            .map_err(|e| Error::io("list", self.root.path_of(OLD), e))?;
        let names = self.root.names()?.into_iter().chain(set_aside);
        let mut ids: Vec<Id> = names
            .filter_map(|name| Id::from_directory_name(&name))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
