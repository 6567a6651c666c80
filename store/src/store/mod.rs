//! The store: all that can be done with one, in the order in which one learns it. How, is in the
//! files beside this.

mod builder;
mod filter;
mod finding;
mod header;
mod init;
mod keyring;
mod read;
mod set_many;
mod verify;
mod write;

pub use self::{
    builder::StoreBuilder,
    filter::Filter,
    finding::{Finding, Problem},
    read::{Entry, List},
    set_many::SetManyError,
    verify::VerifyOptions,
    write::Change,
};

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use posixage_lock::{Guard, LockFile, Mode, Status, Wait};

use crate::{
    commit::Overwrite,
    disk::{
        config::StoreConfig,
        held::{Exclusive, Shared},
        root::Root,
    },
    error::Error,
    id::Id,
    keys::{DEFAULT_WORK_FACTOR, Identity, KeySource, Recipient},
    metadata::Metadata,
    pattern::Pattern,
    secret::Secret,
    store::keyring::Keyring,
};

/// A directory of secrets, each encrypted with age; see the [crate's documentation](crate).
///
/// Any number of handles, threads and processes may use one store at the same time. A handle holds no
/// lock between calls. Its clones share its keys, and cost nothing to speak of.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    pub(crate) keyring: Arc<Keyring>,
    wait: Wait,
}

/// What the clones of a handle share, whatever their keys.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: Root,
    lock: LockFile,
    /// What the store said when it was opened, or was made to say.
    config: OnceLock<StoreConfig>,
    /// The caller's, before that of the config.
    work_factor: Option<u8>,
}

impl Store {
    /// Sets out to open the store at `path`, with keys and waits to be named. Nothing is touched
    /// before [`StoreBuilder::open`].
    pub fn builder(path: impl Into<PathBuf>) -> StoreBuilder {
        StoreBuilder::new(path.into())
    }

    fn assemble(root: Root, builder: StoreBuilder) -> Result<Self, Error> {
        let dir = root
            .dir
            .try_clone()
            .map_err(|e| Error::io("open store", &root.path, e))?;
        let mut lock = LockFile::in_directory(dir, &root.path).with_takeover(builder.takeover);
        if let Some(notice) = builder.on_wait {
            lock = lock.on_wait(notice.0);
        }
        let inner = Inner {
            root,
            lock,
            config: OnceLock::new(),
            work_factor: builder.work_factor,
        };
        let store = Self {
            inner: Arc::new(inner),
            keyring: Arc::new(builder.keys),
            wait: builder.wait,
        }
        .read_config()?;
        let path = store.path().display();
        tracing::debug!(store = %path, config = store.config().is_some(), "opened");
        Ok(store)
    }

    fn read_config(self) -> Result<Self, Error> {
        if let Some(config) = StoreConfig::read(&self.inner.root)? {
            self.inner.config.get_or_init(|| config);
        }
        Ok(self)
    }

    /// Makes a store at `path` with the defaults of a [`builder`](Self::builder), and opens it: see
    /// [`StoreBuilder::init`].
    ///
    /// # Errors
    /// Those of [`StoreBuilder::init`].
    pub fn init(path: impl AsRef<Path>, config: &StoreConfig) -> Result<Self, Error> {
        Self::builder(path.as_ref()).init(config)
    }

    /// The same store with more keys to decrypt with, tried after those that it has. Opens nothing:
    /// both handles share the root, and the keys that they have in common are fetched once.
    ///
    /// ```no_run
    /// # use posixage::{Error, KeyFile, Store};
    /// # fn f(store: &Store) -> Result<(), Error> {
    /// // Known only now that the store was looked into.
    /// let store = store.with_identity(KeyFile::new("/etc/tool/identity.txt").identities()?);
    /// let token = store.get(&"session/token".parse().unwrap())?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_identity(&self, source: impl Into<KeySource<Identity>>) -> Self {
        let mut keyring = Keyring::clone(&self.keyring);
        keyring.identities.push(source.into());
        self.with_keyring(keyring)
    }

    /// The same store with more keys to encrypt to; the first takes the place of the store's own
    /// recipients, as [`StoreBuilder::recipient`] does.
    #[must_use]
    pub fn with_recipient(&self, source: impl Into<KeySource<Recipient>>) -> Self {
        let mut keyring = Keyring::clone(&self.keyring);
        keyring.recipients.push(source.into());
        self.with_keyring(keyring)
    }

    fn with_keyring(&self, keyring: Keyring) -> Self {
        Self {
            keyring: Arc::new(keyring),
            ..self.clone()
        }
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
        self.inner.config.get()
    }

    /// The scrypt work factor of what is encrypted with a password.
    fn work_factor(&self) -> u8 {
        let stores = self.config().map(|config| config.work_factor);
        let chosen = self.inner.work_factor.or(stores);
        chosen.unwrap_or(DEFAULT_WORK_FACTOR)
    }

    /// Writes a secret, in place of one that is there or not.
    ///
    /// When this returns `Ok`, the new value is on disk and survives a power cut; until then, and
    /// after an error, the old one is there, whole.
    ///
    /// # Errors
    /// [`Error::ValueTooLarge`] and [`Error::MetadataTooLarge`]; [`Error::NoRecipients`],
    /// [`Error::SeveralPasswords`], [`Error::Encrypt`] and [`Error::Key`] of whom to encrypt to;
    /// [`Error::ForeignOwner`]: the store is another user's; [`Error::Lock`] and [`Error::Io`].
    pub fn set(&self, id: &Id, secret: &Secret) -> Result<(), Error> {
        write::write(self, id, secret, Overwrite::Allow)
    }

    /// Writes a secret that must not be there yet.
    ///
    /// When this returns `Ok`, the secret is on disk and survives a power cut; before, and after an
    /// error, it is not there at all.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], decided by the file system, not by a look beforehand;
    /// otherwise those of [`set`](Self::set).
    pub fn create(&self, id: &Id, secret: &Secret) -> Result<(), Error> {
        write::write(self, id, secret, Overwrite::Refuse)
    }

    /// Decrypts the secret `id`.
    ///
    /// The identities are tried in the order given; the first that fits is used. Its files are read
    /// under the shared lock and decrypted after it. No part of a value is handed out that was not
    /// authenticated to its end.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NoKeyFits`], which says what was tried and why each failed;
    /// [`Error::Damaged`] of its files; [`Error::Lock`] and [`Error::Io`].
    pub fn get(&self, id: &Id) -> Result<Secret, Error> {
        read::get(self, id)
    }

    /// The metadata of the secret `id`; `None` if it has none. Decrypts nothing and needs no key.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Damaged`] of its directory and its `metadata.json`;
    /// [`Error::Lock`] and [`Error::Io`].
    pub fn metadata(&self, id: &Id) -> Result<Option<Metadata>, Error> {
        read::metadata(self, id)
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
    /// entry that it was needed for says so, without another wait.
    pub fn list(&self, pattern: &Pattern) -> Result<List, Error> {
        List::new(self, pattern)
    }

    /// How many secrets there are, by the names of their directories. Takes no lock, so that it
    /// answers while a process holds it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn count(&self) -> Result<usize, Error> {
        Ok(read::all_ids(self)?.len())
    }

    /// Decrypts the secrets that match `pattern`, sorted by id.
    ///
    /// One that cannot be decrypted is an error at its place; it does not hide the others. A pattern
    /// that matches nothing gives nothing.
    ///
    /// All cores decrypt, ahead of the caller: one secret for each core at first, or as many as scrypt
    /// has the memory for, and four times as many each time, up to 512 (32 where there is a password)
    /// or 16 MiB. So many are read under one shared lock. Each is as it is when it is read: one
    /// removed before that is passed over. The callback of a key runs once, on any of the threads,
    /// and no two at the same time.
    ///
    /// # Errors
    /// Those of the lock and of listing the directory; of a secret, those of [`get`](Self::get). When
    /// the lock is not to be had later on, each secret that it was needed for says so,
    /// without another wait.
    pub fn filter(&self, pattern: &Pattern) -> Result<Filter, Error> {
        Filter::new(self, pattern)
    }

    /// Reads, changes and writes the secret `id` under one exclusive lock: no other change comes
    /// between what `change` is given and what it returns.
    ///
    /// `change` gets `None` if there is no such secret. Everybody else waits while it runs, which
    /// may be as long as need be: the lock is kept alive. It must not use this store: its own call
    /// would wait for itself. It runs before anything is written, so a crash in it changes nothing.
    ///
    /// # Errors
    /// What `change` returned, and those of [`get`](Self::get) and [`set`](Self::set), in the closure's own
    /// type of error: [`Error`], or one that is made from it. The store is as it was before.
    pub fn update<E: From<Error>>(
        &self,
        id: &Id,
        change: impl FnOnce(Option<&Secret>) -> Result<Change, E>,
    ) -> Result<(), E> {
        write::update(self, id, change)
    }

    /// Removes the secret `id`.
    ///
    /// When this returns `Ok`, it is gone and stays gone after a power cut. The blocks on the disk
    /// are not wiped.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::ForeignOwner`]: the store is another user's; [`Error::Lock`] and
    /// [`Error::Io`].
    pub fn remove(&self, id: &Id) -> Result<(), Error> {
        write::remove(self, id)
    }

    /// Writes secrets, in place of ones that are there or not, several times faster than one by one.
    ///
    /// Each is as atomic and as durable as by [`set`](Self::set): whatever happens at whatever moment,
    /// the old value is there, whole, or the new one. They are written in the order given, 128 or
    /// 16 MiB at a time; of these, no reader sees the second before the first. When this returns `Ok`, all
    /// are on disk. `secrets` is asked for more only when there is room for more.
    ///
    /// # Errors
    /// [`SetManyError`], with one of the errors of [`set`](Self::set), and how many of the first are
    /// written; the others are as they were. After a crash too, those that are written may be any
    /// number of the first of those that were under way; after a power cut, any of them.
    pub fn set_many(
        &self,
        secrets: impl IntoIterator<Item = (Id, Secret)>,
    ) -> Result<(), SetManyError> {
        set_many::set_many(self, secrets)
    }

    /// Checks the store: names, types, modes, owners, metadata, age headers, recipients as far as the
    /// headers tell, what interrupted writes left; with [`VerifyOptions::decrypt`] the values too.
    ///
    /// Calls `found` for each finding, in no promised order, and not while it holds the lock. Open the
    /// store with [`allow_insecure_permissions`](crate::StoreBuilder::allow_insecure_permissions), or it is
    /// refused before it can be checked. Takes the lock for one secret at a time.
    ///
    /// # Errors
    /// Those of the lock and of the root's own files; what is wrong with a secret is a finding.
    /// What was found before is told all the same.
    pub fn verify(&self, what: VerifyOptions, found: impl FnMut(Finding)) -> Result<(), Error> {
        verify::verify(self, what, found)
    }

    /// Takes the store's lock, for a backup or a script: shared keeps writers out, exclusive
    /// everybody, other handles of this process and this one included: a call that needs the lock
    /// would wait for its own caller, until its wait ends. Released when the guard is dropped.
    ///
    /// # Errors
    /// [`Error::Lock`]: another holder had it until the wait ended, or it cannot be used.
    pub fn lock(&self, mode: Mode) -> Result<Guard, Error> {
        Ok(self.inner.lock.acquire(mode, self.wait)?)
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

    fn shared(&self) -> Result<Shared, Error> {
        Ok(Shared::acquire(&self.inner.lock, self.wait)?)
    }

    /// The lock for a further look. Where it is not needed, nothing waits for it.
    fn again(&self, doubt: read::Doubt) -> Result<Shared, Error> {
        let wait = match doubt {
            read::Doubt::Lost => self.wait,
            read::Doubt::Damaged => Wait::Try,
        };
        Ok(Shared::acquire(&self.inner.lock, wait)?)
    }

    fn exclusive(&self) -> Result<Exclusive, Error> {
        Ok(Exclusive::acquire(&self.inner.lock, self.wait)?)
    }
}
