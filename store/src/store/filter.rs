//! Decrypting many secrets.

use std::{
    fmt, iter,
    sync::atomic::{AtomicUsize, Ordering},
    vec,
};

use posixage_lock::Wait;

use crate::{
    disk::{held::Shared, sealed::Sealed},
    error::Error,
    id::Id,
    keys::{KeyType, scrypt},
    parallel::{cores, in_order},
    pattern::Pattern,
    secret::Secret,
    store::{
        Store,
        read::{self, Doubt},
    },
};

/// How many secrets are decrypted ahead of the one that is asked for, at most.
const MAX_AHEAD: usize = 512;

/// The same where there is a password: one may take half a second, and a caller that stops early has waited for
/// all.
const MAX_SLOW_AHEAD: usize = 32;

/// How many bytes of ciphertexts are taken ahead (16 MiB), not counting the last of each thread.
const MAX_AHEAD_LEN: usize = 16 << 20;

/// How many secrets a thread reads, or decrypts, before it takes the next, at most.
const RUN: usize = 16;

/// How many of those decrypted ahead get a second look when they seem damaged, at most: each waits for
/// a writer that may be at work.
const MAX_DAMAGED: usize = 16;

/// A secret whose turn has not come yet.
enum Ahead {
    Decrypted(Id, Result<Secret, Error>),
    /// There were enough bytes before it, or what was read needs a second look.
    Untouched(Id),
}

/// The secrets that match a pattern; from [`Store::filter`].
#[must_use = "nothing is decrypted before it is asked for"]
pub struct Filter {
    store: Store,
    ids: vec::IntoIter<Id>,
    ahead: vec::IntoIter<Ahead>,
    /// How many are decrypted ahead the next time, after a large value, and at most.
    count: usize,
    first: usize,
    most: usize,
}

impl Filter {
    pub(super) fn new(store: &Store, pattern: &Pattern) -> Result<Self, Error> {
        let ids = {
            let _shared = store.shared()?;
            read::ids(store, pattern)?
        };
        // A caller that wants only the first does not pay for many.
        let (first, most) = how_far(store);
        Ok(Self {
            store: store.clone(),
            ids: ids.into_iter(),
            ahead: Vec::new().into_iter(),
            count: first,
            first,
            most,
        })
    }
}

impl Iterator for Filter {
    type Item = (Id, Result<Secret, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (id, secret) = match self.ahead.next() {
                Some(Ahead::Decrypted(id, secret)) => (id, secret),
                Some(Ahead::Untouched(id)) => {
                    self.count = self.first;
                    let secret = self.store.get(&id);
                    (id, secret)
                }
                None => {
                    let batch: Vec<Id> = self.ids.by_ref().take(self.count).collect();
                    if batch.is_empty() {
                        return None;
                    }
                    self.count = self.most.min(4 * self.count);
                    self.ahead = decrypt(&self.store, &batch).into_iter();
                    continue;
                }
            };
            match &secret {
                Err(Error::NotFound { .. }) => continue,
                Err(Error::Lock(_)) => self.store = self.store.with_lock_wait(Wait::Try),
                _ => {}
            }
            return Some((id, secret));
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

/// How many are decrypted ahead: at first, as many as in the time of one; and at most.
fn how_far(store: &Store) -> (usize, usize) {
    match store.keyring.has(KeyType::Password) {
        true => {
            let first = cores().min(scrypt::at_once(store.work_factor()));
            (first.min(MAX_SLOW_AHEAD), MAX_SLOW_AHEAD)
        }
        false => (cores().min(MAX_AHEAD), MAX_AHEAD),
    }
}

/// Reads under one lock, and decrypts after it.
fn decrypt(store: &Store, ids: &[Id]) -> Vec<Ahead> {
    // One wait for all of them: a wait on each thread would be many, one after the other.
    let copied = match store.shared() {
        Ok(shared) => {
            let mut copies = copy(store, &shared, ids);
            for copy in &mut copies {
                let error = copy.as_ref().and_then(|copy| copy.as_ref().err());
                if error.and_then(|error| read::doubt(error, &shared)) == Some(Doubt::Lost) {
                    *copy = None;
                }
            }
            copies
        }
        // The others' turn comes when the caller has heard of it.
        Err(error) => vec![Some(Err(error))],
    };
    let untouched = iter::repeat_with(|| None);
    let copied: Vec<_> = ids
        .iter()
        .zip(copied.into_iter().chain(untouched))
        .collect();
    // Several runs for each core: not all secrets take the same time.
    let run = (ids.len() / (4 * cores())).clamp(1, RUN);
    let values = in_order(&copied, run, cores(), |run| {
        let open = |(id, copy): &(&Id, Option<Result<Sealed, Error>>)| match copy {
            Some(Ok(sealed)) => Some(read::open_copy(store, id, sealed)),
            _ => None,
        };
        run.iter().map(open).collect()
    });
    let mut ahead = Vec::with_capacity(ids.len());
    let mut damaged = 0;
    for ((id, copy), value) in copied.into_iter().zip(values) {
        let id = id.clone();
        ahead.push(match (copy, value) {
            (Some(Ok(sealed)), Some(Ok(value))) => {
                let secret = Secret::from(value).with_metadata(sealed.metadata);
                Ahead::Decrypted(id, Ok(secret))
            }
            (Some(Err(Error::Damaged { .. })), _) | (_, Some(Err(Error::Damaged { .. })))
                if damaged < MAX_DAMAGED =>
            {
                damaged += 1;
                Ahead::Untouched(id)
            }
            (Some(Err(error)), _) | (_, Some(Err(error))) => Ahead::Decrypted(id, Err(error)),
            _ => Ahead::Untouched(id),
        });
    }
    ahead
}

/// Copies of the files of each, until there are enough bytes.
fn copy(store: &Store, shared: &Shared, ids: &[Id]) -> Vec<Option<Result<Sealed, Error>>> {
    let taken = AtomicUsize::new(0);
    let copy = |id: &Id| {
        if taken.load(Ordering::Relaxed) >= MAX_AHEAD_LEN {
            return None;
        }
        let sealed = read::copy_of(store, shared, id);
        let len = sealed.as_ref().map_or(0, Sealed::len);
        taken.fetch_add(len, Ordering::Relaxed);
        Some(sealed)
    };
    in_order(ids, RUN, cores(), |run| run.iter().map(copy).collect())
}
