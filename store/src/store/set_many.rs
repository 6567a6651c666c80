//! Writing many secrets: each like one alone, with few waits for the disk.

use std::collections::HashSet;

use crate::{
    commit::{Batch, Overwrite, stage::Stage},
    error::Error,
    id::Id,
    keys::Recipient,
    parallel::{cores, in_order},
    secret::Secret,
    store::{Store, write},
};

/// How many secrets are staged at the same time, at most. Each has two descriptors open, and one more
/// for each type of key.
const CHUNK: usize = 128;

/// How many bytes of values there are in a chunk (16 MiB), not counting the last.
const CHUNK_LEN: usize = 16 << 20;

/// How many secrets one thread stages before the next lot. Fewer are not worth a second thread.
const RUN: usize = 8;

/// How many threads wait for the disk, at most.
const WAITERS: usize = 64;

/// Why [`Store::set_many`] did not write all secrets.
#[derive(Debug, thiserror::Error)]
#[error("{error}; secrets written before it: {written}")]
#[non_exhaustive]
pub struct SetManyError {
    /// How many are written: the first ones, in the order given. The others are as they were.
    ///
    /// They are on disk, unless the disk failed, and then so did putting the last of them back: those
    /// are there, and may be gone again after a power cut.
    pub written: usize,
    /// What went wrong.
    pub error: Error,
}

impl From<SetManyError> for Error {
    fn from(error: SetManyError) -> Self {
        error.error
    }
}

pub(super) fn set_many(
    store: &Store,
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
            write_chunk(store, &chunk, &mut written)?;
            chunk.clear();
            ids.clear();
            len = 0;
        }
        len += secret.expose().len();
        ids.insert(id.clone());
        chunk.push((id, secret));
    }
    write_chunk(store, &chunk, &mut written)
}

fn write_chunk(
    store: &Store,
    chunk: &[(Id, Secret)],
    written: &mut usize,
) -> Result<(), SetManyError> {
    let (more, result) = commit_chunk(store, chunk);
    *written += more;
    result.map_err(|error| SetManyError {
        written: *written,
        error,
    })
}

/// The same steps as for one secret; how many are written and on disk.
fn commit_chunk(store: &Store, chunk: &[(Id, Secret)]) -> (usize, Result<(), Error>) {
    let Some((first, _)) = chunk.first() else {
        return (0, Ok(()));
    };
    let root = &store.inner.root;
    let ready = || {
        root.check_writable()?;
        let stages = stage_chunk(store, chunk, &write::recipients(store, first)?)?;
        Ok((stages, write::exclusive(store)?))
    };
    let (mut stages, exclusive) = match ready() {
        Ok(ready) => ready,
        Err(error) => return (0, Err(error)),
    };
    let mut batch = Batch::new(root, &exclusive);
    for (stage, (id, _)) in stages.iter_mut().zip(chunk) {
        batch.publish(stage, id, Overwrite::Allow);
    }
    let finished = batch.finish();
    drop(exclusive);
    finished.displaced.remove(root);
    (finished.written, finished.result)
}

/// Encrypts and stages each secret, down to the disk.
fn stage_chunk<'s>(
    store: &'s Store,
    chunk: &[(Id, Secret)],
    recipients: &[Recipient],
) -> Result<Vec<Stage<'s>>, Error> {
    let stage = |(id, secret): &(Id, Secret)| write::stage(store, id, secret, recipients);
    let stages = in_order(chunk, RUN, cores(), |run| run.iter().map(stage).collect());
    let stages: Vec<_> = stages.into_iter().collect::<Result<_, _>>()?;
    let many = stages.len() > RUN;
    if many {
        store.inner.root.flush_if_faster();
    }
    // All on their way at the same time: the disk serves many with one flush.
    let sync = |stages: &[Stage<'_>]| stages.iter().map(Stage::sync).collect();
    let len = if many { 1 } else { RUN };
    let synced: Vec<Result<(), Error>> = in_order(&stages, len, WAITERS, sync);
    synced.into_iter().collect::<Result<(), _>>()?;
    Ok(stages)
}
