//! Reading secrets and their names.

use std::{thread, time::Duration, vec};

use posixage_lock::Wait;
use zeroize::Zeroizing;

use crate::{
    commit::sweep,
    disk::{
        held::Shared,
        layout::{Name, OLD},
        sealed::{Sealed, read_metadata},
    },
    error::Error,
    id::Id,
    keys::KeyType,
    metadata::Metadata,
    parallel::{cores, in_order},
    pattern::Pattern,
    secret::Secret,
    store::{Store, keyring::Fetch},
};

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

/// How long a reader waits before each further look at what seems damaged. A process whose lock was
/// broken, and that does not notice, may be half way through a write: to remove the secret is the worst
/// advice then.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(16),
];

pub(super) fn get(store: &Store, id: &Id) -> Result<Secret, Error> {
    let copy = || look(store, |shared| copy_of(store, shared, id));
    let mut sealed = copy()?;
    let mut pauses = PAUSES.into_iter();
    loop {
        match (open_copy(store, id, &sealed), pauses.next()) {
            (Ok(value), _) => return Ok(Secret::from(value).with_metadata(sealed.metadata)),
            (Err(Error::Damaged { .. }), Some(pause)) => {
                thread::sleep(pause);
                sealed = copy()?;
            }
            (Err(error), _) => return Err(error),
        }
    }
}

/// Reads under the shared lock. What is found on a lock that was lost is not believed, and damage not at
/// the first look.
fn look<T>(store: &Store, read: impl Fn(&Shared) -> Result<T, Error>) -> Result<T, Error> {
    let mut shared = store.shared()?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let found = read(&shared);
        let doubt = found.as_ref().err().and_then(|error| doubt(error, &shared));
        let (Some(doubt), Some(pause)) = (doubt, pauses.next()) else {
            return found;
        };
        drop(shared);
        thread::sleep(pause);
        shared = match (store.again(doubt), found) {
            (Ok(shared), _) => shared,
            // What was seen under the lock stands, rather than that another holds it now.
            (Err(_), found @ Err(Error::Damaged { .. })) => return found,
            (Err(error), _) => return Err(error),
        };
    }
}

/// Why not to believe what was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It was read on a lost lock: a writer may have replaced it meanwhile.
    Lost,
    /// A writer that does not keep to the lock may be at work.
    Damaged,
}

pub(super) fn doubt(error: &Error, shared: &Shared) -> Option<Doubt> {
    match error {
        Error::Damaged { .. } | Error::NotFound { .. } | Error::Io { .. }
            if shared.verify().is_err() =>
        {
            Some(Doubt::Lost)
        }
        Error::Lock(error) if error.is_lost() => Some(Doubt::Lost),
        Error::Damaged { .. } => Some(Doubt::Damaged),
        _ => None,
    }
}

/// Reads what the keys of the handle may decrypt.
pub(super) fn copy_of(store: &Store, shared: &Shared, id: &Id) -> Result<Sealed, Error> {
    let (root, keyring) = (&store.inner.root, &store.keyring);
    let sealed = Sealed::read_for(root, shared, id, |key_type| keyring.has(key_type))?;
    let has = |key_type: &KeyType| sealed.ciphertexts.iter().any(|(t, _)| t == key_type);
    let wanted = KeyType::ALL.into_iter().filter(|t| keyring.has(*t));
    if !wanted.clone().all(|key_type| has(&key_type)) {
        // Removed by the writer that has the lock now, perhaps, while the rest was read.
        shared.verify()?;
    }
    Ok(sealed)
}

/// Decrypts it. The caller does not hold the lock.
pub(super) fn open_copy(
    store: &Store,
    id: &Id,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let root = &store.inner.root;
    let value = store.keyring.open(root, id, sealed, None, Fetch::Allowed)?;
    tracing::debug!(%id, "decrypted");
    Ok(value)
}

pub(super) fn sealed(store: &Store, id: &Id) -> Result<Sealed, Error> {
    look(store, |shared| Sealed::read(&store.inner.root, shared, id))
}

pub(super) fn metadata(store: &Store, id: &Id) -> Result<Option<Metadata>, Error> {
    look(store, |shared| read_metadata(&store.inner.root, shared, id))
}

/// The secrets that match a pattern, with their metadata; from [`Store::list`].
#[derive(Debug)]
pub struct List {
    store: Store,
    batch: vec::IntoIter<Entry>,
    rest: vec::IntoIter<Id>,
    count: usize,
}

impl List {
    pub(super) fn new(store: &Store, pattern: &Pattern) -> Result<Self, Error> {
        let shared = store.shared()?;
        let mut rest = ids(store, pattern)?.into_iter();
        let first: Vec<Id> = rest.by_ref().take(FIRST_BATCH).collect();
        let batch = entries(store, shared, &first).into_iter();
        Ok(Self {
            store: store.clone(),
            batch,
            rest,
            count: FIRST_BATCH,
        })
    }
}

impl Iterator for List {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(entry);
            }
            let id = self.rest.next()?;
            match self.store.shared() {
                Ok(shared) => {
                    self.count = MAX_BATCH.min(2 * self.count);
                    let more = self.rest.by_ref().take(self.count - 1);
                    let ids: Vec<Id> = std::iter::once(id).chain(more).collect();
                    self.batch = entries(&self.store, shared, &ids).into_iter();
                }
                Err(error) => {
                    self.store = self.store.with_lock_wait(Wait::Try);
                    let metadata = Err(error);
                    return Some(Entry { id, metadata });
                }
            }
        }
    }
}

/// Reads the metadata of each; all that is in [doubt](look) once more together.
fn entries(store: &Store, mut shared: Shared, ids: &[Id]) -> Vec<Entry> {
    let root = &store.inner.root;
    let mut found = in_order(ids, RUN, cores(), |run| {
        let read = |id| read_metadata(root, &shared, id);
        run.iter().map(read).collect()
    });
    for pause in PAUSES {
        let doubts = |metadata: &Result<_, Error>| doubt(metadata.as_ref().err()?, &shared);
        let mut in_doubt = found.iter().enumerate();
        let Some(first) = in_doubt.find_map(|(_, metadata)| doubts(metadata)) else {
            break;
        };
        let in_doubt = found.iter().enumerate();
        let in_doubt = in_doubt.filter(|(_, metadata)| doubts(metadata).is_some());
        let in_doubt: Vec<usize> = in_doubt.map(|(nth, _)| nth).collect();
        drop(shared);
        thread::sleep(pause);
        shared = match store.again(first) {
            Ok(shared) => shared,
            Err(_) => break,
        };
        for nth in in_doubt {
            found[nth] = read_metadata(root, &shared, &ids[nth]);
        }
    }
    let entry = |(id, metadata): (&Id, _)| match metadata {
        // A process that does not take the lock has just removed it.
        Err(Error::NotFound { .. }) => None,
        metadata => Some(Entry {
            metadata,
            id: id.clone(),
        }),
    };
    ids.iter().zip(found).filter_map(entry).collect()
}

/// The ids that match, sorted; a pattern without wildcard is taken at its word.
pub(super) fn ids(store: &Store, pattern: &Pattern) -> Result<Vec<Id>, Error> {
    if let Some(id) = pattern.as_id() {
        return Ok(vec![id]);
    }
    let mut ids = all_ids(store)?;
    ids.retain(|id| pattern.matches(id));
    Ok(ids)
}

/// Every id, sorted.
pub(super) fn all_ids(store: &Store) -> Result<Vec<Id>, Error> {
    let root = &store.inner.root;
    let set_aside = sweep::set_aside(root).map_err(|e| Error::io("list", root.path_of(OLD), e))?;
    let mut ids = root.names(|name| Name::parse(name).secret())?;
    ids.extend(set_aside);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
