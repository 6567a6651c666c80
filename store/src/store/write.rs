//! Writing to a store: stage, lock, fence, publish, unlock, remove what was displaced.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::Ordering,
};

use crate::{
    commit::{self, Batch, Overwrite, stage::Stage, sweep},
    disk::{
        held::Exclusive,
        layout::METADATA,
        sealed::{self, Sealed},
    },
    error::Error,
    id::Id,
    keys::{
        KeyError, KeyType, Recipient,
        cipher::{self, NotEncrypted},
        scrypt::Scarce,
    },
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
    let displaced = commit::remove(root, &exclusive, id, None)?;
    drop(exclusive);
    displaced.remove(root);
    Ok(())
}

pub(super) fn update<E: From<Error>>(
    store: &Store,
    id: &Id,
    change: impl FnOnce(Option<&Secret>) -> Result<Change, E>,
) -> Result<(), E> {
    let root = &store.inner.root;
    root.check_writable()?;
    let open = |sealed: &Sealed, fetch| store.keyring.open(root, id, sealed, None, fetch);
    // Keys are fetched now: nothing asks for a password under the lock. First to read: a password
    // that is wrong is asked for again, and the right one is the one to encrypt with.
    let before = match read::sealed(store, id) {
        Ok(sealed) => {
            let value = open(&sealed, Fetch::Allowed)?;
            Some((sealed, value))
        }
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let recipients = recipients(store, id)?;

    let exclusive = exclusive(store)?;
    // Open until the change is made, so that no other directory can get its inode.
    let dir = sealed::find(root, &exclusive, id)?;
    let seen = dir.as_ref().map(|(_, id)| *id);
    let current = match dir
        .as_ref()
        .map(|(dir, _)| Sealed::read_in(root, dir, id, |_| true))
    {
        Some(sealed) => {
            // Damage that is found on a lost lock is none.
            if sealed.is_err() {
                exclusive.verify().map_err(Error::from)?;
            }
            let sealed = sealed?;
            let value = match before {
                Some((before, value)) if before.ciphertexts == sealed.ciphertexts => value,
                _ => open(&sealed, Fetch::Never)?,
            };
            Some(Secret::from(value).with_metadata(sealed.metadata))
        }
        None => None,
    };
    match change(current.as_ref())? {
        Change::Keep => Ok(()),
        Change::Remove if current.is_none() => Ok(()),
        Change::Remove => {
            let displaced = commit::remove(root, &exclusive, id, seen)?;
            drop(exclusive);
            displaced.remove(root);
            Ok(())
        }
        Change::Set(secret) => {
            let mut stage = stage(store, id, &secret, &recipients)?;
            stage.sync()?;
            Ok(publish(
                store,
                exclusive,
                &mut stage,
                id,
                Overwrite::Only(seen),
            )?)
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
        let swept = sweep::sweep(root, &exclusive)?;
        root.swept.store(swept, Ordering::Relaxed);
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
    let files = encrypt(store, id, value, recipients)?;
    let mut stage = Stage::new(&store.inner.root)?;
    stage.write(METADATA, &metadata)?;
    for (key_type, file) in files {
        stage.write(key_type.file_name(), &file)?;
    }
    Ok(stage)
}

fn encrypt(
    store: &Store,
    id: &Id,
    value: &[u8],
    recipients: &[Recipient],
) -> Result<BTreeMap<KeyType, Vec<u8>>, Error> {
    let (required, limit) = (store.work_factor(), store.keyring.max_work_factor);
    let mut types = recipients.iter().map(Recipient::key_type);
    let id = id.clone();
    if required > limit && types.any(|key_type| key_type == KeyType::Password) {
        return Err(Error::TooMuchWork {
            id,
            required,
            limit,
        });
    }
    cipher::encrypt(value, recipients, required).map_err(|e| match e {
        NotEncrypted::Scarce(Scarce { needed }) => Error::OutOfMemory { id, needed },
        NotEncrypted::Age(e) => Error::Encrypt {
            id,
            reason: e.to_string(),
        },
    })
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
    let distinct = distinct(all);
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
    if !cipher::fit_into_header(&distinct) {
        return Err(Error::TooManyRecipients { id: id.clone() });
    }
    Ok(distinct)
}

/// Each recipient once. Different passwords differ; all others are what they print as.
fn distinct(mut all: Vec<Recipient>) -> Vec<Recipient> {
    let mut seen = HashSet::with_capacity(all.len());
    let mut passwords: Vec<Recipient> = Vec::new();
    all.retain(|recipient| match recipient.key_type() {
        KeyType::Password if passwords.contains(recipient) => false,
        KeyType::Password => {
            passwords.push(recipient.clone());
            true
        }
        _ => seen.insert(recipient.to_string()),
    });
    all
}
