//! Locking and unlocking without contention, beside the bare system calls that any lock file
//! needs. Both are timed in turns, so that a busy machine slows both.
//!
//!     cargo bench -p posixage-lock --bench uncontended
//!
//! As one of the tests it runs once.

use std::{
    fs::File,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use posixage_lock::{FILE_NAME, LockFile, Mode, Wait};
use rustix::fs::{AtFlags, FlockOperation, OFlags};

const ROUNDS: usize = 200;
const CALLS: u32 = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = tempfile::tempdir()?;
    let lock = LockFile::in_directory(File::open(root.path())?.into(), root.path());
    drop(lock.acquire(Mode::Exclusive, Wait::Try)?);
    let path = root.path().join(FILE_NAME);

    let rounds = match std::env::args().any(|option| option == "--bench") {
        true => ROUNDS,
        false => 1,
    };
    let mut bare = Vec::with_capacity(rounds);
    let mut exclusive = Vec::with_capacity(rounds);
    let mut shared = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        bare.push(time(|| yardstick(&path))?);
        exclusive.push(time(|| {
            lock.acquire(Mode::Exclusive, Wait::default())?.release()
        })?);
        shared.push(time(|| {
            lock.acquire(Mode::Shared, Wait::default())?.release()
        })?);
    }
    let yardstick = median(bare);
    for (name, times) in [("exclusive", exclusive), ("shared", shared)] {
        let ours = median(times);
        println!(
            "lock + unlock, {name}: {:.2} µs; bare calls: {:.2} µs; ratio {:.2}",
            micros(ours),
            micros(yardstick),
            micros(ours) / micros(yardstick),
        );
    }
    Ok(())
}

/// open, flock, ftruncate, fstat, stat, unlock, close.
#[expect(
    clippy::disallowed_methods,
    reason = "the yardstick is made of bare calls"
)]
fn yardstick(path: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    rustix::fs::ftruncate(&file, 0)?;
    black_box(rustix::fs::fstat(&file)?);
    black_box(rustix::fs::statat(rustix::fs::CWD, path, AtFlags::empty())?);
    rustix::fs::flock(&file, FlockOperation::Unlock)
}

fn time<E>(mut call: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let begin = Instant::now();
    for _ in 0..CALLS {
        call()?;
    }
    Ok(begin.elapsed() / CALLS)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
