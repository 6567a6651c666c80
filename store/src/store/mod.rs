//! The store: opening it, and reading.

mod builder;
mod filter;
mod finding;
mod header;
mod init;
mod keyring;
mod set_many;
mod verify;
mod write;

pub use self::{
    builder::StoreBuilder,
    finding::{Finding, Problem},
    set_many::SetManyError,
    verify::VerifyOptions,
    write::Change,
};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use posixage_lock::{Guard, LockFile, Mode, Status, Wait};
use zeroize::Zeroizing;

use crate::{
    commit::{Committer, OLD, sweep},
    disk::{
        config::StoreConfig,
        root::Root,
        sealed::{Sealed, read_metadata},
    },
    error::Error,
    id::Id,
    keys::{DEFAULT_WORK_FACTOR, KeySource, Recipient},
    metadata::Metadata,
    parallel::{cores, in_order},
    pattern::Pattern,
    secret::Secret,
    store::keyring::{Fetch, Keyring},
};

/// A directory of secrets, each encrypted with age; see the [crate's documentation](crate).
///
/// Any number of handles, threads and processes may use one store at the same time. A handle holds no
/// lock between calls. Its clones share its keys, and cost nothing to speak of.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    wait: Wait,
}

/// What the clones of a handle share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: Root,
    lock: LockFile,
    pub(crate) keyring: Keyring,
    pub(crate) recipients: Vec<KeySource<Recipient>>,
    pub(crate) config: Option<StoreConfig>,
    pub(crate) work_factor: u8,
    pub(crate) committer: Committer,
}

/// How many entries a listing reads under one lock: this many at first, and twice as many each time
/// up to the most. So many times 1 MiB may be in memory, and the lock costs little.
const FIRST_BATCH: usize = 128;
const MAX_BATCH: usize = 512;

/// How many of them each core reads before the next lot. Fewer are not worth a thread, and on a busy
/// machine the wait for its end.
const RUN: usize = 128;

/// An id and what may be known of its secret without decrypting it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The id.
    pub id: Id,
    /// Its metadata, or why that cannot be read.
    pub metadata: Result<Option<Metadata>, Error>,
}

impl Store {
    /// Sets out to open the store at `path`, with keys and waits to be named. Nothing is touched
    /// before [`StoreBuilder::open`].
    pub fn builder(path: impl Into<PathBuf>) -> StoreBuilder {
        StoreBuilder::new(path.into())
    }

    pub(crate) fn from_builder(builder: StoreBuilder) -> Result<Self, Error> {
        let root = Root::open(&builder.path, builder.allow_insecure)?;
        let config = StoreConfig::read(&root)?;
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
        let inner = Inner {
            root,
            lock,
            keyring: Keyring::new(builder.identities),
            recipients: builder.recipients,
            work_factor: work_factor.unwrap_or(DEFAULT_WORK_FACTOR),
            config,
            committer: Committer::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            wait: builder.wait,
        })
    }

    /// The same store with another wait for its lock, for one call or more:
    ///
    /// ```no_run
    /// # use posixage::{Store, lock::Wait};
    /// # fn f(store: &Store) -> Result<(), posixage::Error> {
    /// let now_or_never = store.with_lock_wait(Wait::Try);
    /// now_or_never.remove(&"session/token".parse().unwrap())?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_lock_wait(&self, wait: Wait) -> Self {
        Self {
            wait,
            ..self.clone()
        }
    }

    /// The directory that is the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.root.path
    }

    /// Whom the store says its secrets are encrypted to, as it was when the store was opened; `None`
    /// for a store by the reference.
    #[must_use]
    pub fn config(&self) -> Option<&StoreConfig> {
        self.inner.config.as_ref()
    }

    /// Decrypts the secret `id`.
    ///
    /// The identities are tried in the order given; the first that fits is used. Its files are read
    /// under the shared lock and decrypted after it. No part of a value is handed out that was not
    /// authenticated to its end.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NoKeyFits`], which says what was tried and why each failed;
    /// [`Error::Damaged`] and [`Error::InsecurePermissions`] of its files; [`Error::Lock`] and
    /// [`Error::Io`].
    pub fn get(&self, id: &Id) -> Result<Secret, Error> {
        let sealed = {
            let _shared = self.acquire(Mode::Shared)?;
            self.copy_of(id)?
        };
        let value = self.open_copy(id, &sealed)?;
        Ok(Secret::from(value).with_metadata(sealed.metadata))
    }

    /// Reads what the keys that there are may decrypt. The caller holds the lock.
    pub(crate) fn copy_of(&self, id: &Id) -> Result<Sealed, Error> {
        let Inner { root, keyring, .. } = &*self.inner;
        Sealed::read_for(root, id, |key_type| keyring.has(key_type))
    }

    /// Decrypts it. The caller does not hold the lock.
    pub(crate) fn open_copy(&self, id: &Id, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Inner { root, keyring, .. } = &*self.inner;
        let value = keyring.open(root, id, sealed, None, Fetch::Allowed)?;
        tracing::debug!(%id, "decrypted");
        Ok(value)
    }

    /// The metadata of the secret `id`; `None` if it has none. Decrypts nothing and needs no key.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Damaged`] and [`Error::InsecurePermissions`] of its directory and
    /// its `metadata.json`; [`Error::Lock`] and [`Error::Io`].
    pub fn metadata(&self, id: &Id) -> Result<Option<Metadata>, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        read_metadata(&self.inner.root, id)
    }

    /// The secrets that match `pattern`, sorted by id, with their metadata. Decrypts nothing.
    ///
    /// All ids are in memory, their metadata is read as the iterator goes on, 128 to 512 secrets
    /// under one shared lock; nothing is locked between two steps. So each secret is as it is when its turn
    /// comes: one removed in the meantime is passed over.
    ///
    /// An entry whose metadata cannot be read says so; it does not hide the others. What is in the
    /// directory and no secret's is passed over.
    ///
    /// # Errors
    /// Those of the lock and of listing the directory. When the lock is not to be had later on, each
    /// entry that it was needed for says so, and nobody waits for it again.
    pub fn list(&self, pattern: &Pattern) -> Result<impl Iterator<Item = Entry> + use<>, Error> {
        let (first, mut rest) = {
            let _shared = self.acquire(Mode::Shared)?;
            let mut ids = self.ids(pattern)?.into_iter();
            (
                self.entries(&ids.by_ref().take(FIRST_BATCH).collect::<Vec<_>>()),
                ids,
            )
        };
        let mut store = self.clone();
        let mut batch = first.into_iter();
        let mut count = FIRST_BATCH;
        Ok(std::iter::from_fn(move || {
            loop {
                if let Some(entry) = batch.next() {
                    return Some(entry);
                }
                let id = rest.next()?;
                match store.acquire(Mode::Shared) {
                    Ok(_shared) => {
                        count = MAX_BATCH.min(2 * count);
                        let ids = std::iter::once(id).chain(rest.by_ref().take(count - 1));
                        batch = store.entries(&ids.collect::<Vec<_>>()).into_iter();
                    }
                    Err(error) => {
                        store = store.with_lock_wait(Wait::Try);
                        let metadata = Err(error);
                        return Some(Entry { id, metadata });
                    }
                }
            }
        }))
    }

    /// Reads the metadata of each. The caller holds the lock.
    fn entries(&self, ids: &[Id]) -> Vec<Entry> {
        let entry = |id: &Id| match read_metadata(&self.inner.root, id) {
            // Somebody who does not take the lock has just removed it.
            Err(Error::NotFound { .. }) => None,
            metadata => Some(Entry {
                metadata,
                id: id.clone(),
            }),
        };
        in_order(ids, RUN, cores(), |run| {
            run.iter().filter_map(entry).collect()
        })
    }

    /// How many secrets there are, by the names of their directories. Takes no lock, so that it
    /// answers while somebody holds it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn count(&self) -> Result<usize, Error> {
        Ok(self.all_ids()?.len())
    }

    /// Takes the store's lock, for a backup or a script: shared keeps writers out, exclusive
    /// everybody, other handles of this process and this one included: a call that needs the lock
    /// would wait for its own caller, until its wait ends. Released when the guard is dropped.
    ///
    /// # Errors
    /// [`Error::Lock`]: somebody else had it until the wait ended, or it cannot be used.
    pub fn lock(&self, mode: Mode) -> Result<Guard, Error> {
        self.acquire(mode)
    }

    /// Takes the exclusive lock, from a holder that has not moved for 30 s if need be. The old holder
    /// finds its lock lost before it commits anything.
    ///
    /// A wait shorter than 35 s is lengthened to that; [`Wait::Try`] only tries.
    ///
    /// # Errors
    /// [`Error::Lock`]: a holder that lives and moves is waited for, and keeps it.
    pub fn take_over_lock(&self) -> Result<Guard, Error> {
        Ok(self.inner.lock.take_over(self.wait)?)
    }

    /// Who holds the lock, who waits for it, and how fresh it is. Takes no lock, and touches nothing.
    ///
    /// # Errors
    /// [`Error::Lock`] when the directory cannot be searched.
    pub fn lock_status(&self) -> Result<Status, Error> {
        Ok(self.inner.lock.status()?)
    }

    pub(crate) fn acquire(&self, mode: Mode) -> Result<Guard, Error> {
        Ok(self.inner.lock.acquire(mode, self.wait)?)
    }

    pub(crate) fn sealed(&self, id: &Id) -> Result<Sealed, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        Sealed::read(&self.inner.root, id)
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
        let set_aside = sweep::set_aside(&self.inner.root)
            .map_err(|e| Error::io("list", self.inner.root.path_of(OLD), e))?;
        let mut ids = self.inner.root.names(Id::from_directory_name)?;
        ids.extend(
            set_aside
                .iter()
                .filter_map(|name| Id::from_directory_name(name)),
        );
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
