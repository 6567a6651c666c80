//! A process that takes the lock as the reference does since its fix, for a control: it has two
//! holders on a lock file that was idle for 30 s.
//!
//!     reference ROOT once            take the lock and print when it was held, from and to

use std::{
    error::Error,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use posixage_lock::FILE_NAME;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    time::{ClockId, clock_gettime},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).ok_or("an argument is missing")?;
    let path = Path::new(&root).join(FILE_NAME);
    let file = acquire(&path)?;
    let from = now();
    std::thread::sleep(Duration::from_millis(200));
    println!("{from} {}", now());
    drop(file);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the reference's lock, not ours")]
fn acquire(path: &Path) -> Result<File, Box<dyn Error>> {
    loop {
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                file.set_len(0)?;
                if fs::metadata(path)
                    .is_ok_and(|now| now.ino() == file.metadata().map_or(0, |it| it.ino()))
                {
                    return Ok(file);
                }
            }
            Err(Errno::WOULDBLOCK) => {
                let age = fs::metadata(path)?
                    .modified()?
                    .elapsed()
                    .unwrap_or_default();
                if age >= Duration::from_secs(30) {
                    let _ = fs::remove_file(path);
                } else {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn now() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
