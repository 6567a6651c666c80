//! Decrypting many secrets.

use std::{
    iter,
    sync::atomic::{AtomicUsize, Ordering},
};

use posixage_lock::{Mode, Wait};

use crate::{
    directory::Sealed,
    error::Error,
    id::Id,
    parallel::{cores, in_order},
    pattern::Pattern,
    secret::Secret,
    store::Store,
};

/// How many secrets are decrypted ahead of the one that is asked for, at most.
const MAX_AHEAD: usize = 256;

/// How many bytes of ciphertexts are taken ahead (16 MiB), not counting the last of each thread.
const MAX_AHEAD_LEN: usize = 16 << 20;

/// How many secrets are read under one shared lock, at most.
const RUN: usize = 16;

/// A secret whose turn has not come yet.
enum Ahead {
    Decrypted(Id, Result<Secret, Error>),
    /// There were enough bytes before it.
    Untouched(Id),
}

impl Store {
    /// Decrypts the secrets that match `pattern`, sorted by id.
    ///
    /// One that cannot be decrypted is an error at its place; it does not hide the others. A pattern
    /// that matches nothing gives nothing.
    ///
    /// All cores decrypt, ahead of the caller: one secret for each core at first, and twice as many
    /// each time, up to 256 or 16 MiB. Each is as it is when it is read: one removed before that is
    /// passed over. The callback of a key runs once, on any of the threads.
    ///
    /// # Errors
    /// Those of the lock and of listing the directory; of a secret, those of [`get`](Self::get). When
    /// the lock is not to be had later on, each secret that it was needed for says so, and nobody
    /// waits for it again.
    pub fn filter(
        &self,
        pattern: &Pattern,
    ) -> Result<impl Iterator<Item = (Id, Result<Secret, Error>)> + use<>, Error> {
        let ids = {
            let _shared = self.acquire(Mode::Shared)?;
            self.ids(pattern)?
        };
        let mut store = self.clone();
        let mut ids = ids.into_iter();
        let mut ahead = Vec::new().into_iter();
        // Whoever wants only the first does not pay for many.
        let mut count = cores();
        Ok(iter::from_fn(move || {
            loop {
                let (id, secret) = match ahead.next() {
                    Some(Ahead::Decrypted(id, secret)) => (id, secret),
                    Some(Ahead::Untouched(id)) => {
                        count = cores();
                        let secret = store.get(&id);
                        (id, secret)
                    }
                    None => {
                        let batch: Vec<Id> = ids.by_ref().take(count).collect();
                        if batch.is_empty() {
                            return None;
                        }
                        count = MAX_AHEAD.min(2 * count);
                        ahead = store.decrypt(&batch).into_iter();
                        continue;
                    }
                };
                match &secret {
                    Err(Error::NotFound { .. }) => continue,
                    Err(Error::Lock(_)) => store = store.with_lock_wait(Wait::Try),
                    _ => {}
                }
                return Some((id, secret));
            }
        }))
    }

    fn decrypt(&self, ids: &[Id]) -> Vec<Ahead> {
        // Several runs for each core: not all secrets take the same time.
        let run = (ids.len() / (4 * cores())).clamp(1, RUN);
        let taken = AtomicUsize::new(0);
        in_order(ids, run, cores(), |run| self.decrypt_run(run, &taken))
    }

    /// Reads under one lock, and decrypts after it.
    fn decrypt_run(&self, ids: &[Id], taken: &AtomicUsize) -> Vec<Ahead> {
        let mut copied = Vec::with_capacity(ids.len());
        match self.acquire(Mode::Shared) {
            Ok(_shared) => {
                for id in ids {
                    if taken.load(Ordering::Relaxed) >= MAX_AHEAD_LEN {
                        break;
                    }
                    let sealed =
                        Sealed::read_for(&self.inner.root, id, self.inner.keyring.key_types());
                    let len = sealed.as_ref().map_or(0, Sealed::len);
                    taken.fetch_add(len, Ordering::Relaxed);
                    copied.push(sealed);
                }
            }
            // The others' turn comes when the caller has heard of it.
            Err(error) => copied.push(Err(error)),
        }
        let rest = ids[copied.len()..].iter().cloned().map(Ahead::Untouched);
        let decrypt = |(id, sealed): (&Id, Result<Sealed, Error>)| {
            let secret = sealed.and_then(|sealed| self.unseal(id, sealed));
            Ahead::Decrypted(id.clone(), secret)
        };
        ids.iter().zip(copied).map(decrypt).chain(rest).collect()
    }
}
