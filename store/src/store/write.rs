//! Writing to a store: stage, lock, fence, publish, unlock, remove what was displaced.

use std::sync::atomic::Ordering;

use posixage_lock::{Guard, Mode};

use crate::{
    commit::{Displaced, Overwrite, Published, discard, settle, stage::Stage, sweep},
    disk::sealed::{METADATA_FILE, Sealed},
    error::Error,
    id::Id,
    keys::{KeyError, KeyType, Recipient, cipher},
    metadata::Metadata,
    secret::{MAX_VALUE_LEN, Secret},
    store::{Inner, Store, keyring::Fetch},
};

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
    /// [`Error::ValueTooLarge`] and [`Error::MetadataTooLarge`]; [`Error::NoRecipients`],
    /// [`Error::SeveralPasswords`], [`Error::Encrypt`] and [`Error::Key`] of whom to encrypt to;
    /// [`Error::ForeignOwner`]: the store is another user's; [`Error::Lock`] and [`Error::Io`].
    pub fn set(&self, id: &Id, secret: &Secret) -> Result<(), Error> {
        self.write(id, secret, Overwrite::Allow)
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
        self.inner.root.check_writable()?;
        let exclusive = self.acquire_to_write()?;
        let displaced = self.unpublish(&exclusive, id)?;
        drop(exclusive);
        displaced.remove(&self.inner.root);
        Ok(())
    }

    /// Reads, changes and writes the secret `id` under one exclusive lock: no other change comes
    /// between what `change` is given and what it returns.
    ///
    /// `change` gets `None` if there is no such secret. Everybody else waits while it runs, which
    /// may be as long as need be: the lock is kept alive. It must not use this store: its own call
    /// would wait for itself. It runs before anything is written, so a crash in it changes nothing.
    ///
    /// # Errors
    /// [`Error::Update`] with what `change` returned, and those of [`get`](Self::get) and
    /// [`set`](Self::set). The store is as it was before.
    pub fn update<F>(&self, id: &Id, change: F) -> Result<(), Error>
    where
        F: FnOnce(Option<&Secret>) -> Result<Change, Box<dyn std::error::Error + Send + Sync>>,
    {
        self.inner.root.check_writable()?;
        // Keys are fetched now: under the lock nobody may be asked for a password.
        let recipients = self.recipients(id)?;
        let before = match self.sealed(id) {
            Ok(sealed) => {
                let value =
                    self.inner
                        .keyring
                        .open(&self.inner.root, id, &sealed, None, Fetch::Allowed)?;
                Some((sealed, value))
            }
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };

        let exclusive = self.acquire_to_write()?;
        let current = match Sealed::read(&self.inner.root, id) {
            Ok(sealed) => {
                let value = match before {
                    Some((before, value)) if before.ciphertexts == sealed.ciphertexts => value,
                    _ => self.inner.keyring.open(
                        &self.inner.root,
                        id,
                        &sealed,
                        None,
                        Fetch::Never,
                    )?,
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
                stage.sync()?;
                self.publish(&exclusive, &mut stage, id, Overwrite::Allow)?
            }
        };
        drop(exclusive);
        displaced.remove(&self.inner.root);
        Ok(())
    }

    /// The exclusive lock on a store without leftovers.
    ///
    /// A handle looks for stages and trash once, and again after it has left some itself: to list the
    /// root costs more than a commit where there are many secrets, and these harm nobody until the
    /// next process comes.
    pub(crate) fn acquire_to_write(&self) -> Result<Guard, Error> {
        let exclusive = self.acquire(Mode::Exclusive)?;
        let root = &self.inner.root;
        sweep::recover(root, &exclusive)?;
        if !root.swept.load(Ordering::Relaxed) {
            sweep::sweep(root, &exclusive)?;
            root.swept.store(true, Ordering::Relaxed);
        }
        Ok(exclusive)
    }

    fn write(&self, id: &Id, secret: &Secret, overwrite: Overwrite) -> Result<(), Error> {
        self.inner.root.check_writable()?;
        let recipients = self.recipients(id)?;
        let mut stage = self.stage(id, secret, &recipients)?;
        stage.sync()?;
        let exclusive = self.acquire_to_write()?;
        let displaced = self.publish(&exclusive, &mut stage, id, overwrite)?;
        drop(exclusive);
        displaced.remove(&self.inner.root);
        Ok(())
    }

    /// Encrypts and writes a secret's directory under a temporary name.
    pub(crate) fn stage(
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
        let metadata =
            Metadata::to_json(secret.metadata()).map_err(|len| Error::MetadataTooLarge {
                id: id.clone(),
                len,
            })?;
        let files = cipher::encrypt(value, recipients, self.inner.work_factor).map_err(|e| {
            Error::Encrypt {
                id: id.clone(),
                reason: e.to_string(),
            }
        })?;
        let mut stage = Stage::new(&self.inner.root)?;
        stage.write(METADATA_FILE, &metadata)?;
        for (key_type, file) in files {
            stage.write(key_type.file_name(), &file)?;
        }
        Ok(stage)
    }

    fn publish(
        &self,
        exclusive: &Guard,
        stage: &mut Stage<'_>,
        id: &Id,
        overwrite: Overwrite,
    ) -> Result<Displaced, Error> {
        let published = self.rename(exclusive, stage, id, overwrite)?;
        let settled = settle(&self.inner.root, exclusive, &[published]);
        settled.result?;
        tracing::debug!(%id, "committed");
        Ok(settled.displaced.into_iter().next().unwrap_or_default())
    }

    /// Gives a stage that is on disk the secret's name, which is not on disk before it is settled.
    pub(crate) fn rename(
        &self,
        exclusive: &Guard,
        stage: &mut Stage<'_>,
        id: &Id,
        overwrite: Overwrite,
    ) -> Result<Published, Error> {
        let Inner {
            root, committer, ..
        } = &*self.inner;
        committer
            .publish(root, exclusive, stage, &id.directory_name(), overwrite)?
            .ok_or_else(|| Error::AlreadyExists { id: id.clone() })
    }

    fn unpublish(&self, exclusive: &Guard, id: &Id) -> Result<Displaced, Error> {
        discard(&self.inner.root, exclusive, &id.directory_name())?
            .ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    /// Whom to encrypt to: those the caller named, else those of the store, else whoever can read.
    pub(crate) fn recipients(&self, id: &Id) -> Result<Vec<Recipient>, Error> {
        let mut all = Vec::new();
        if !self.inner.recipients.is_empty() {
            for source in &self.inner.recipients {
                all.extend(self.inner.keyring.load(source)?.iter().cloned());
            }
        } else if let Some(config) = &self.inner.config {
            all.clone_from(&config.recipients);
            if config.password {
                let password = self.inner.keyring.password()?.ok_or_else(|| {
                    KeyError::Unavailable(
                        "the store is encrypted with a password too, and none was given".into(),
                    )
                })?;
                all.push(password);
            }
        } else {
            all = self.inner.keyring.recipients()?;
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
