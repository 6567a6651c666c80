//! A process that wants the lock, for the tests and the benchmark with more than one.
//!
//!     contender ROOT once            take the lock and print when it was held, from and to
//!     contender ROOT count N FILE    increment the number in FILE so often, print the longest wait
//!     contender ROOT read            read and decrypt again and again until standard input ends
//!     contender ROOT write N         take the lock so often, now and then, print the waits
//!     contender ROOT bare N FILE     as count, with nothing but a blocking flock(2): the yardstick
//!
//! Times are in nanoseconds of the monotonic clock, which all processes share.

use std::{
    error::Error,
    ffi::OsString,
    fs,
    io::Read,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use posixage_lock::{FILE_NAME, Guard, LockFile, Mode, Wait};
use rustix::{
    fs::{FlockOperation, flock},
    time::{ClockId, clock_gettime},
};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args_os().skip(1))
}

/// Apart from `main` so that a benchmark can be its own contender.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    let mut next = || arguments.next().ok_or("an argument is missing");
    let root = PathBuf::from(next()?);
    let path = root.join(FILE_NAME);
    let lock = LockFile::in_directory(fs::File::open(&root)?.into(), root);
    match next()?.to_str() {
        Some("once") => once(&lock),
        Some("count") => count(&lock, number(next()?)?, &PathBuf::from(next()?)),
        Some("bare") => bare(&path, number(next()?)?, &PathBuf::from(next()?)),
        Some("read") => read(&lock),
        Some("write") => write(&lock, number(next()?)?),
        _ => Err("no such command".into()),
    }
}

fn once(lock: &LockFile) -> Result<(), Box<dyn Error>> {
    let guard = lock.acquire(Mode::Exclusive, Wait::default())?;
    let from = now();
    // What is done under the lock takes its time, so that another holder would be seen.
    std::thread::sleep(Duration::from_millis(10));
    guard.verify()?;
    let to = now();
    guard.release()?;
    println!("{from} {to}");
    Ok(())
}

fn count(lock: &LockFile, times: u32, file: &PathBuf) -> Result<(), Box<dyn Error>> {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let (guard, waited) = wait(lock)?;
        increment(file)?;
        guard.release()?;
        longest = longest.max(waited);
    }
    println!("{}", longest.as_nanos());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is the bare call")]
fn bare(path: &PathBuf, times: u32, file: &PathBuf) -> Result<(), Box<dyn Error>> {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let begin = Instant::now();
        let lock = fs::File::options().create(true).append(true).open(path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        longest = longest.max(begin.elapsed());
        increment(file)?;
    }
    println!("{}", longest.as_nanos());
    Ok(())
}

fn increment(file: &PathBuf) -> Result<(), Box<dyn Error>> {
    let number: u64 = fs::read_to_string(file)?.trim().parse()?;
    Ok(fs::write(file, format!("{}\n", number + 1))?)
}

fn read(lock: &LockFile) -> Result<(), Box<dyn Error>> {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::Builder::new().spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        OVER.store(true, Ordering::Relaxed);
    })?;
    println!("reading");
    while !OVER.load(Ordering::Relaxed) {
        lock.acquire(Mode::Shared, Wait::default())?.release()?;
        // As long as it takes to decrypt a secret.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(300) {
            std::hint::spin_loop();
        }
    }
    Ok(())
}

fn write(lock: &LockFile, times: u32) -> Result<(), Box<dyn Error>> {
    for _ in 0..times {
        let (guard, waited) = wait(lock)?;
        guard.verify()?;
        guard.release()?;
        println!("{}", waited.as_nanos());
        // A writer that never rests would not meet the readers as they come and go.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn wait(lock: &LockFile) -> Result<(Guard, Duration), Box<dyn Error>> {
    let begin = Instant::now();
    let guard = lock.acquire(Mode::Exclusive, Wait::For(Duration::from_secs(60)))?;
    Ok((guard, begin.elapsed()))
}

fn number(argument: OsString) -> Result<u32, Box<dyn Error>> {
    Ok(argument.to_string_lossy().parse()?)
}

fn now() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
