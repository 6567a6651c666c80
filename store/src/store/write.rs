//! Writing to a store: stage, lock, fence, publish, unlock, remove what was displaced.

use std::sync::atomic::Ordering;

use crate::{
    commit::{self, Batch, Overwrite, stage::Stage, sweep},
    disk::{held::Exclusive, layout::METADATA, sealed::Sealed},
    error::Error,
    id::Id,
    keys::{KeyError, KeyType, Recipient, cipher},
    metadata::Metadata,
    secret::{MAX_VALUE_LEN, Secret},
    store::{Store, keyring::Fetch, read},
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

pub(super) fn write(
    store: &Store,
    id: &Id,
    secret: &Secret,
    overwrite: Overwrite,
) -> Result<(), Error> {
    store.inner.root.check_writable()?;
    let mut stage = stage(store, id, secret, &recipients(store, id)?)?;
    stage.sync()?;
    let exclusive = exclusive(store)?;
    publish(store, exclusive, &mut stage, id, overwrite)
}

pub(super) fn remove(store: &Store, id: &Id) -> Result<(), Error> {
    let root = &store.inner.root;
    root.check_writable()?;
    let exclusive = exclusive(store)?;
    let displaced = commit::remove(root, &exclusive, id)?;
    drop(exclusive);
    displaced.remove(root);
    Ok(())
}

pub(super) fn update<F>(store: &Store, id: &Id, change: F) -> Result<(), Error>
where
    F: FnOnce(Option<&Secret>) -> Result<Change, Box<dyn std::error::Error + Send + Sync>>,
{
    let root = &store.inner.root;
    root.check_writable()?;
    let open = |sealed: &Sealed, fetch| store.keyring.open(root, id, sealed, None, fetch);
    // Keys are fetched now: nothing asks for a password under the lock.
    let recipients = recipients(store, id)?;
    let before = match read::sealed(store, id) {
        Ok(sealed) => {
            let value = open(&sealed, Fetch::Allowed)?;
            Some((sealed, value))
        }
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };

    let exclusive = exclusive(store)?;
    let current = match Sealed::read(root, &exclusive, id) {
        Ok(sealed) => {
            let value = match before {
                Some((before, value)) if before.ciphertexts == sealed.ciphertexts => value,
                _ => open(&sealed, Fetch::Never)?,
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
    match change {
        Change::Keep => Ok(()),
        Change::Remove if current.is_none() => Ok(()),
        Change::Remove => {
            let displaced = commit::remove(root, &exclusive, id)?;
            drop(exclusive);
            displaced.remove(root);
            Ok(())
        }
        Change::Set(secret) => {
            let mut stage = stage(store, id, &secret, &recipients)?;
            stage.sync()?;
            publish(store, exclusive, &mut stage, id, Overwrite::Allow)
        }
    }
}

/// The exclusive lock on a store without leftovers.
///
/// A handle looks for stages and trash once, and again after it has left some itself: to list the
/// root costs more than a commit where there are many secrets, and leftovers do no harm until the
/// next process comes.
pub(super) fn exclusive(store: &Store) -> Result<Exclusive, Error> {
    let exclusive = store.exclusive()?;
    let root = &store.inner.root;
    sweep::recover(root, &exclusive)?;
    if !root.swept.load(Ordering::Relaxed) {
        sweep::sweep(root, &exclusive)?;
        root.swept.store(true, Ordering::Relaxed);
    }
    Ok(exclusive)
}

/// Encrypts and writes a secret's directory under a temporary name.
pub(super) fn stage<'s>(
    store: &'s Store,
    id: &Id,
    secret: &Secret,
    recipients: &[Recipient],
) -> Result<Stage<'s>, Error> {
    let value = secret.expose();
    if value.len() > MAX_VALUE_LEN {
        return Err(Error::ValueTooLarge {
            id: id.clone(),
            len: value.len(),
        });
    }
    let metadata = Metadata::to_json(secret.metadata()).map_err(|len| Error::MetadataTooLarge {
        id: id.clone(),
        len,
    })?;
    let files =
        cipher::encrypt(value, recipients, store.work_factor()).map_err(|e| Error::Encrypt {
            id: id.clone(),
            reason: e.to_string(),
        })?;
    let mut stage = Stage::new(&store.inner.root)?;
    stage.write(METADATA, &metadata)?;
    for (key_type, file) in files {
        stage.write(key_type.file_name(), &file)?;
    }
    Ok(stage)
}

/// Commits one stage that is on disk, releases the lock, and removes what was displaced.
fn publish(
    store: &Store,
    exclusive: Exclusive,
    stage: &mut Stage<'_>,
    id: &Id,
    overwrite: Overwrite,
) -> Result<(), Error> {
    let root = &store.inner.root;
    let mut batch = Batch::new(root, &exclusive);
    batch.publish(stage, id, overwrite);
    let finished = batch.finish();
    drop(exclusive);
    finished.displaced.remove(root);
    finished.result?;
    tracing::debug!(%id, "committed");
    Ok(())
}

/// The recipients: those the caller named, else those of the store, else those of its identities.
pub(super) fn recipients(store: &Store, id: &Id) -> Result<Vec<Recipient>, Error> {
    let mut all = Vec::new();
    if !store.keyring.recipients.is_empty() {
        for source in &store.keyring.recipients {
            all.extend(store.keyring.load(source)?.iter().cloned());
        }
    } else if let Some(config) = store.config() {
        all.clone_from(&config.recipients);
        if config.password {
            let password = store.keyring.password()?.ok_or_else(|| {
                KeyError::Unavailable(
                    "the store is encrypted with a password too, and none was given".into(),
                )
            })?;
            all.push(password);
        }
    } else {
        all = store.keyring.readers()?;
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
