//! Reading secrets and their names.

use std::vec;

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

pub(super) fn get(store: &Store, id: &Id) -> Result<Secret, Error> {
    let sealed = {
        let shared = store.shared()?;
        copy_of(store, &shared, id)?
    };
    let value = open_copy(store, id, &sealed)?;
    Ok(Secret::from(value).with_metadata(sealed.metadata))
}

/// Reads what the keys of the handle may decrypt.
pub(super) fn copy_of(store: &Store, shared: &Shared, id: &Id) -> Result<Sealed, Error> {
    let root = &store.inner.root;
    Sealed::read_for(root, shared, id, |key_type| store.keyring.has(key_type))
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
    let shared = store.shared()?;
    Sealed::read(&store.inner.root, &shared, id)
}

pub(super) fn metadata(store: &Store, id: &Id) -> Result<Option<Metadata>, Error> {
    let shared = store.shared()?;
    read_metadata(&store.inner.root, &shared, id)
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
        let batch = entries(store, &shared, &first).into_iter();
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
                    self.batch = entries(&self.store, &shared, &ids).into_iter();
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

/// Reads the metadata of each.
fn entries(store: &Store, shared: &Shared, ids: &[Id]) -> Vec<Entry> {
    let entry = |id: &Id| match read_metadata(&store.inner.root, shared, id) {
        // A process that does not take the lock has just removed it.
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
