//! The store: what a caller does with secrets.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use posixage_lock::{Guard, LockFile, Mode, Status, Wait};

use crate::{
    builder::Builder,
    cipher,
    commit::{Committer, Displaced, OLD, Overwrite},
    config::Config,
    directory::{METADATA_FILE, Sealed, read_metadata},
    error::Error,
    id::Id,
    key::{KeyType, Recipient},
    keyring::{Fetch, Keyring},
    metadata::Metadata,
    pattern::Pattern,
    root::Root,
    secret::{MAX_VALUE_LEN, Secret},
    source::{KeyError, KeySource},
    stage::Stage,
    sweep,
};

/// A directory of secrets, each encrypted with age; see the [crate's documentation](crate).
///
/// Any number of handles, threads and processes may use one store at the same time. A handle is
/// `Send + Sync` and holds no lock between calls.
#[derive(Debug)]
pub struct Store {
    root: Root,
    lock: LockFile,
    wait: Wait,
    keyring: Keyring,
    recipients: Vec<KeySource<Recipient>>,
    config: Option<Config>,
    work_factor: u8,
    committer: Committer,
    /// Whether this handle has cleared away what interrupted commits left.
    swept: AtomicBool,
}

/// An id and what may be known of its secret without decrypting it.
#[derive(Debug)]
pub struct Entry {
    /// The id.
    pub id: Id,
    /// Its metadata, or why that cannot be read.
    pub metadata: Result<Option<Metadata>, Error>,
}

/// What the closure given to [`Store::update`] decides.
#[derive(Debug)]
pub enum Change {
    /// Leave everything as it is.
    Keep,
    /// Write this secret in place of the one that was, or was not, there.
    Set(Secret),
    /// Remove the secret.
    Remove,
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
        let mut lock = LockFile::in_directory(dir, &root.path);
        if let Some(notice) = builder.on_wait {
            lock = notice.attach(lock);
        }
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
        let sealed = self.sealed(id)?;
        let value = self.keyring.open(&self.root, id, &sealed, Fetch::Allowed)?;
        Ok(Secret::from(value).with_metadata(sealed.metadata))
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
        let entry = |id: Id| match read_metadata(&self.root, &id) {
            // Somebody who does not take the lock has just removed it.
            Err(Error::NotFound { .. }) => None,
            metadata => Some(Entry { metadata, id }),
        };
        Ok(self.ids(pattern)?.into_iter().filter_map(entry).collect())
    }

    /// Decrypts the secrets that match `pattern`, one at each step of the iterator, sorted by id.
    ///
    /// One that cannot be decrypted is an error at its place; it does not hide the others. Each is
    /// as it is when its turn comes: one removed in the meantime is passed over. A pattern that
    /// matches nothing gives nothing.
    ///
    /// # Errors
    /// Those of the lock and of listing the directory; of a secret, those of [`get`](Self::get).
    pub fn filter(
        &self,
        pattern: &Pattern,
    ) -> Result<impl Iterator<Item = (Id, Result<Secret, Error>)>, Error> {
        let ids = {
            let _shared = self.acquire(Mode::Shared)?;
            self.ids(pattern)?
        };
        let get = |id: Id| match self.get(&id) {
            Err(Error::NotFound { .. }) => None,
            secret => Some((id, secret)),
        };
        Ok(ids.into_iter().filter_map(get))
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
        self.write(id, secret, Overwrite::Refuse)
    }

    /// Writes a secret, in place of one that is there or not.
    ///
    /// When this returns `Ok`, the new value is on disk and survives a power cut; until then, and
    /// after an error, the old one is there, whole.
    ///
    /// # Errors
    /// [`Error::NoRecipients`], [`Error::ValueTooLarge`], [`Error::Metadata`], and those of keys, of
    /// the lock and of writing.
    pub fn set(&self, id: &Id, secret: &Secret) -> Result<(), Error> {
        self.write(id, secret, Overwrite::Allow)
    }

    /// Removes the secret `id`.
    ///
    /// When this returns `Ok`, it is gone and stays gone after a power cut. The blocks on the disk
    /// are not wiped.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the lock and of writing.
    pub fn remove(&self, id: &Id) -> Result<(), Error> {
        self.root.check_writable()?;
        let exclusive = self.acquire_to_write()?;
        let displaced = self.unpublish(&exclusive, id)?;
        drop(exclusive);
        displaced.remove(&self.root);
        Ok(())
    }

    /// Reads, changes and writes the secret `id` under one exclusive lock: no other change comes
    /// between what `change` is given and what it returns.
    ///
    /// `change` gets `None` if there is no such secret. Everybody else waits while it runs, which
    /// may be as long as need be: the lock is kept alive. It must not use this store: its own call
    /// would wait for itself.
    ///
    /// # Errors
    /// [`Error::Update`] with what `change` returned, and those of [`get`](Self::get) and
    /// [`set`](Self::set). The store is as it was before.
    pub fn update<F>(&self, id: &Id, change: F) -> Result<(), Error>
    where
        F: FnOnce(Option<&Secret>) -> Result<Change, Box<dyn std::error::Error + Send + Sync>>,
    {
        self.root.check_writable()?;
        // Keys are fetched now: under the lock nobody may be asked for a password.
        let recipients = self.recipients(id)?;
        let before = match self.sealed(id) {
            Ok(sealed) => {
                let value = self.keyring.open(&self.root, id, &sealed, Fetch::Allowed)?;
                Some((sealed, value))
            }
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };

        let exclusive = self.acquire_to_write()?;
        let current = match Sealed::read(&self.root, id) {
            Ok(sealed) => {
                let value = match before {
                    Some((before, value)) if before.ciphertexts == sealed.ciphertexts => value,
                    _ => self.keyring.open(&self.root, id, &sealed, Fetch::Never)?,
                };
                Some(Secret::from(value).with_metadata(sealed.metadata))
            }
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let change = change(current.as_ref()).map_err(|source| Error::Update {
            id: id.clone(),
            source,
        })?;
        let displaced = match change {
            Change::Keep => return Ok(()),
            Change::Remove if current.is_none() => return Ok(()),
            Change::Remove => self.unpublish(&exclusive, id)?,
            Change::Set(secret) => {
                let mut stage = self.stage(id, &secret, &recipients)?;
                self.publish(&exclusive, &mut stage, id, Overwrite::Allow)?
            }
        };
        drop(exclusive);
        displaced.remove(&self.root);
        Ok(())
    }

    /// Takes the store's lock, for a backup or a script: shared keeps writers out, exclusive
    /// everybody. Released when the guard is dropped.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn lock(&self, mode: Mode) -> Result<Guard, Error> {
        self.acquire(mode)
    }

    /// Who holds the lock, who waits for it, and how fresh it is. Takes no lock.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn lock_status(&self) -> Result<Status, Error> {
        Ok(self.lock.status()?)
    }

    fn acquire(&self, mode: Mode) -> Result<Guard, Error> {
        Ok(self.lock.acquire(mode, self.wait)?)
    }

    /// The exclusive lock on a store without leftovers.
    ///
    /// A handle looks for leftovers once: to list the root costs more than a commit where there are
    /// many secrets, and what is left behind harms nobody until the next process comes.
    fn acquire_to_write(&self) -> Result<Guard, Error> {
        let exclusive = self.acquire(Mode::Exclusive)?;
        if !self.swept.load(Ordering::Relaxed) {
            sweep::sweep(&self.root)?;
            self.swept.store(true, Ordering::Relaxed);
        }
        Ok(exclusive)
    }

    fn sealed(&self, id: &Id) -> Result<Sealed, Error> {
        let _shared = self.acquire(Mode::Shared)?;
        Sealed::read(&self.root, id)
    }

    /// The ids that match, sorted; a pattern without wildcard is taken at its word. The caller holds
    /// the lock.
    fn ids(&self, pattern: &Pattern) -> Result<Vec<Id>, Error> {
        if let Some(id) = pattern.as_id() {
            return Ok(vec![id]);
        }
        let set_aside = sweep::set_aside(&self.root)
            .map_err(|e| Error::io("list", self.root.path_of(OLD), e))?;
        let names = self.root.names()?.into_iter().chain(set_aside);
        let mut ids: Vec<Id> = names
            .filter_map(|name| Id::from_directory_name(&name))
            .filter(|id| pattern.matches(id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn write(&self, id: &Id, secret: &Secret, overwrite: Overwrite) -> Result<(), Error> {
        self.root.check_writable()?;
        let recipients = self.recipients(id)?;
        let mut stage = self.stage(id, secret, &recipients)?;
        let exclusive = self.acquire_to_write()?;
        let displaced = self.publish(&exclusive, &mut stage, id, overwrite)?;
        drop(exclusive);
        displaced.remove(&self.root);
        Ok(())
    }

    /// Encrypts and writes a secret's directory under a temporary name, down to the disk.
    fn stage(
        &self,
        id: &Id,
        secret: &Secret,
        recipients: &[Recipient],
    ) -> Result<Stage<'_>, Error> {
        let value = secret.expose();
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLarge {
                id: id.clone(),
                len: value.len(),
            });
        }
        let metadata = Metadata::to_json(secret.metadata()).map_err(|source| Error::Metadata {
            id: id.clone(),
            source,
        })?;
        let files =
            cipher::encrypt(value, recipients, self.work_factor).map_err(|e| Error::Encrypt {
                id: id.clone(),
                reason: e.to_string(),
            })?;
        let stage = Stage::new(&self.root)?;
        stage.write(METADATA_FILE, &metadata)?;
        for (key_type, file) in files {
            stage.write(key_type.file_name(), &file)?;
        }
        stage.sync()?;
        Ok(stage)
    }

    fn publish(
        &self,
        exclusive: &Guard,
        stage: &mut Stage<'_>,
        id: &Id,
        overwrite: Overwrite,
    ) -> Result<Displaced, Error> {
        // The fence: nothing is committed on a lock that was lost while we slept.
        exclusive.verify()?;
        self.committer
            .publish(&self.root, stage, &id.directory_name(), overwrite)?
            .ok_or_else(|| Error::AlreadyExists { id: id.clone() })
    }

    fn unpublish(&self, exclusive: &Guard, id: &Id) -> Result<Displaced, Error> {
        exclusive.verify()?;
        self.committer
            .unpublish(&self.root, &id.directory_name())?
            .ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    /// Whom to encrypt to: those the caller named, else those of the store, else whoever can read.
    fn recipients(&self, id: &Id) -> Result<Vec<Recipient>, Error> {
        let mut all = Vec::new();
        if !self.recipients.is_empty() {
            for source in &self.recipients {
                all.extend(source.load()?.iter().cloned());
            }
        } else if let Some(config) = &self.config {
            all.clone_from(&config.recipients);
            if config.password {
                let password = self.keyring.password()?.ok_or_else(|| {
                    KeyError::Unavailable(
                        "the store is encrypted with a password too, and none was given".into(),
                    )
                })?;
                all.push(password);
            }
        } else {
            all = self.keyring.recipients()?;
        }
        let mut distinct: Vec<Recipient> = Vec::with_capacity(all.len());
        for recipient in all {
            if !distinct.contains(&recipient) {
                distinct.push(recipient);
            }
        }
        if distinct.is_empty() {
            return Err(Error::NoRecipients { id: id.clone() });
        }
        if distinct
            .iter()
            .filter(|r| r.key_type() == KeyType::Password)
            .count()
            > 1
        {
            return Err(Error::SeveralPasswords { id: id.clone() });
        }
        Ok(distinct)
    }
}
