//! The system calls that a signal may interrupt before they have done anything. They are made again:
//! a caller's signal handler is no reason for a commit to fail.
//!
//! A rename is not among them. One that is interrupted, on a network file system, may have happened,
//! and an exchange made again would undo it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{self, Dir, DirEntry, FlockOperation, Mode, OFlags},
    io::{self, Errno, retry_on_intr},
};

pub(crate) fn openat(
    dir: impl AsFd,
    name: impl rustix::path::Arg + Copy,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::openat(&dir, name, flags, mode))
}

/// Returns how many bytes there were; 0 at the end of the file.
pub(crate) fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| io::read(&file, &mut *buffer))
}

/// Not made again after any other error: the kernel reports a lost page once, and a second call
/// would call it written.
pub(crate) fn fsync(file: impl AsFd) -> Result<(), Errno> {
    retry_on_intr(|| fs::fsync(&file))
}

/// The entries without `.` and `..`, from the beginning whatever else the descriptor is used for, and
/// if it can only be searched.
pub(crate) fn read_dir(
    dir: impl AsFd,
) -> Result<impl Iterator<Item = Result<DirEntry, Errno>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(dir, c".", flags, Mode::empty()).and_then(Dir::new)?;
    let is_dot = |entry: &DirEntry| matches!(entry.file_name().to_bytes(), b"." | b"..");
    Ok(dir.filter(move |entry| !entry.as_ref().is_ok_and(is_dot)))
}

/// `false` if another descriptor has the flock.
#[expect(
    clippy::disallowed_methods,
    reason = "not the store's lock: the sign of life of what is not whole yet"
)]
pub(crate) fn try_flock(file: impl AsFd) -> Result<bool, Errno> {
    match retry_on_intr(|| fs::flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}
