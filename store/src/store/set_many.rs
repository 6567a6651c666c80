//! Writing many secrets: each like one alone, with few waits for the disk.

use std::collections::HashSet;

use crate::{
    commit::{Overwrite, Settled, settle, stage::Stage, take_back},
    error::Error,
    id::Id,
    keys::Recipient,
    parallel::{cores, in_order},
    secret::Secret,
    store::Store,
};

/// How many secrets are staged at the same time, at most. Each has two descriptors open, and one more
/// for each type of key.
const CHUNK: usize = 128;

/// How many bytes of values there are in a chunk (16 MiB), not counting the last.
const CHUNK_LEN: usize = 16 << 20;

/// How many secrets one thread stages before the next lot. So few are not worth a second.
const RUN: usize = 8;

/// How many threads wait for the disk, at most.
const WAITERS: usize = 64;

/// Why [`Store::set_many`] did not write all secrets.
#[derive(Debug, thiserror::Error)]
#[error("{source}; secrets written before it: {written}")]
#[non_exhaustive]
pub struct SetManyError {
    /// How many are written: the first ones, in the order given. The others are as they were.
    ///
    /// They are on disk, unless the disk failed, and then so did putting the last of them back: those
    /// are there, and may be gone again after a power cut.
    pub written: usize,
    /// What went wrong.
    pub source: Error,
}

impl From<SetManyError> for Error {
    fn from(error: SetManyError) -> Self {
        error.source
    }
}

impl Store {
    /// Writes secrets, in place of ones that are there or not, several times faster than one by one.
    ///
    /// Each is as atomic and as durable as by [`set`](Self::set): whatever happens at whatever moment,
    /// the old value is there, whole, or the new one. They are written in the order given, 128 or
    /// 16 MiB at a time; of these, nobody sees the second before the first. When this returns `Ok`, all
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
        let mut written = 0;
        let mut chunk: Vec<(Id, Secret)> = Vec::new();
        let mut ids = HashSet::new();
        let mut len = 0;
        for (id, secret) in secrets {
            // The same id twice: the first must have its turn before the second comes.
            let full = chunk.len() == CHUNK || len >= CHUNK_LEN || ids.contains(&id);
            if full {
                self.write_chunk(&chunk, &mut written)?;
                chunk.clear();
                ids.clear();
                len = 0;
            }
            len += secret.expose().len();
            ids.insert(id.clone());
            chunk.push((id, secret));
        }
        self.write_chunk(&chunk, &mut written)
    }

    fn write_chunk(&self, chunk: &[(Id, Secret)], written: &mut usize) -> Result<(), SetManyError> {
        let (more, result) = self.commit_chunk(chunk);
        *written += more;
        result.map_err(|source| SetManyError {
            written: *written,
            source,
        })
    }

    /// The same steps as for one secret; how many are written and on disk.
    fn commit_chunk(&self, chunk: &[(Id, Secret)]) -> (usize, Result<(), Error>) {
        let Some((first, _)) = chunk.first() else {
            return (0, Ok(()));
        };
        let ready = || {
            self.inner.root.check_writable()?;
            let stages = self.stage_chunk(chunk, &self.recipients(first)?)?;
            Ok((stages, self.acquire_to_write()?))
        };
        let (mut stages, exclusive) = match ready() {
            Ok(ready) => ready,
            Err(error) => return (0, Err(error)),
        };
        let mut published = Vec::with_capacity(stages.len());
        let mut refused = Ok(());
        for (stage, (id, _)) in stages.iter_mut().zip(chunk) {
            match self.rename(&exclusive, stage, id, Overwrite::Allow) {
                Ok(renamed) => published.push(renamed),
                Err(error) => {
                    refused = Err(error);
                    break;
                }
            }
        }
        let root = &self.inner.root;
        let settled = match &refused {
            // What has its name got it while the lock was held.
            Ok(()) | Err(Error::Lock(_)) => settle(root, &exclusive, &published),
            // It may have been an fsync of the root, which is never tried again.
            Err(_) => Settled {
                displaced: Vec::new(),
                written: take_back(root, &exclusive, &published),
                result: Ok(()),
            },
        };
        drop(exclusive);
        in_order(&settled.displaced, RUN, cores(), |run| {
            run.iter().map(|old| old.remove(root)).collect()
        });
        (settled.written, settled.result.and(refused))
    }

    /// Encrypts and stages each secret, down to the disk.
    fn stage_chunk(
        &self,
        chunk: &[(Id, Secret)],
        recipients: &[Recipient],
    ) -> Result<Vec<Stage<'_>>, Error> {
        let stage = |(id, secret): &(Id, Secret)| self.stage(id, secret, recipients);
        let stages = in_order(chunk, RUN, cores(), |run| run.iter().map(stage).collect());
        let stages: Vec<_> = stages.into_iter().collect::<Result<_, _>>()?;
        let many = stages.len() > RUN;
        if many {
            self.inner.root.flush_if_faster();
        }
        // All on their way at the same time: the disk serves many with one flush.
        let sync = |stages: &[Stage<'_>]| stages.iter().map(Stage::sync).collect();
        let len = if many { 1 } else { RUN };
        let synced: Vec<Result<(), Error>> = in_order(&stages, len, WAITERS, sync);
        synced.into_iter().collect::<Result<(), _>>()?;
        Ok(stages)
    }
}
