//! The operating system as the lock sees it: a directory, the lock file in it, flock(2) and two
//! clocks.
//!
//! Everything the protocol does goes through [`System`], one method per system call, so that the
//! tests run the same protocol over simulated inodes and choose what happens between any two calls.

pub(crate) mod kernel;
pub(crate) mod proc;
mod process;
pub(crate) mod queue;

use std::{fmt, time::Duration};

use rustix::io::Errno;

use crate::{
    Mode, Status,
    protocol::{heartbeat::Heart, hold::Locked},
};

/// What a system call answers. `EINTR` never comes out of a [`System`].
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// One directory of one kernel, seen from one process.
pub(crate) trait System: fmt::Debug + Sized {
    /// An open file description. Dropping it closes it.
    type File: fmt::Debug;
    /// A place in the kernel's queue for a lock. Dropping it leaves the queue: a lock that is
    /// granted afterwards goes to the next caller of this process, or is released at once.
    type Place;

    /// Opens the lock file; never follows a symbolic link and never waits for a FIFO's other end.
    fn open(&self, access: Access) -> Result<Self::File>;
    /// fstat(2).
    fn stat(&self, file: &Self::File) -> Result<Stat>;
    /// fstatat(2) of a name in the directory, not following a symbolic link.
    fn stat_at(&self, name: &Name) -> Result<Stat>;
    /// futimens(2): sets both times to now.
    fn touch(&self, file: &Self::File) -> Result<()>;
    /// futimens(2): sets the modification time so far ahead of the wall clock, and says what it set.
    fn touch_ahead(&self, file: &Self::File, by: Duration) -> Result<Duration>;
    /// flock(2) with `LOCK_NB`; false when it is refused.
    fn try_flock(&self, file: &Self::File, mode: Mode) -> Result<bool>;
    /// Takes a place in the kernel's queue with a blocking flock(2).
    fn queue(&self, locked: Locked<Self::File>, mode: Mode) -> Result<Self::Place>;
    /// Waits in the queue until the lock is granted or [`monotonic`](Self::monotonic) reads
    /// `until`. A grant hands the file back, or another description of the same inode; afterwards
    /// the place is spent.
    fn wait(&self, place: &mut Self::Place, until: Duration) -> Result<Option<Self::File>>;
    /// flock(2) with `LOCK_UN`.
    fn unlock(&self, file: &Self::File) -> Result<()>;

    /// flock(2) with `LOCK_NB` on the directory itself, exclusive; none when it is refused.
    fn lock_directory(&self) -> Result<Option<Self::File>>;
    /// Makes and opens a new file (`O_EXCL`, 0600).
    fn create(&self, name: &Name) -> Result<Self::File>;
    /// renameat2(2) with `RENAME_EXCHANGE`.
    fn exchange(&self, one: &Name, other: &Name) -> Result<()>;
    /// renameat2(2) with `RENAME_NOREPLACE`.
    fn rename(&self, from: &Name, to: &Name) -> Result<()>;
    /// unlinkat(2).
    fn remove(&self, name: &Name) -> Result<()>;

    /// Sleeps for this long.
    fn pause(&self, length: Duration);
    /// The time since the epoch, which file systems and peers go by. It may jump.
    fn wall_clock(&self) -> Duration;
    /// The clock that goes on while the machine is suspended.
    fn boottime(&self) -> Duration;
    /// The clock that stands still while the machine is suspended.
    fn monotonic(&self) -> Duration;
    /// This process.
    fn pid(&self) -> u32;
    /// A number of this process's own: a fork has another, whatever its pid.
    fn process(&self) -> u64;
    /// Writes a holder's word into the lock file.
    fn write_word(&self, file: &Self::File, word: u64) -> Result<()>;
    /// Opens the lock file and reads the word in it, past what this machine remembers of it; none
    /// when there is none.
    fn read_word(&self) -> Result<Option<u64>>;
    /// Whether a file is on a file system of this machine, so that one that stands still does so for
    /// every process that can take the lock.
    fn is_local(&self, file: &Self::File) -> bool;
    /// The holders of the lock file and its waiters, as far as can be seen from here.
    fn status(&self) -> Result<Status>;
    /// The locks that this process holds.
    fn heart(&self) -> &Heart<Self>;
    /// Sees to it that [`heart`](Self::heart) beats from now on while there are locks in it.
    fn keep_beating(&self);
}

/// A name in the store's root.
pub(crate) type Name = std::ffi::CStr;

/// The name at which every contender looks for the lock.
pub(crate) const LOCK_NAME: &Name = c".posixage.lock";

/// How to open the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// For reading and writing, made when it isn't there.
    Create,
    /// For reading, an error when it isn't there.
    ReadOnly,
}

/// What stat(2) says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stat {
    /// Which inode.
    pub(crate) id: FileId,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its modification time, since the epoch.
    pub(crate) mtime: Duration,
    /// How many bytes it has.
    pub(crate) size: u64,
}

/// An inode. Not given to another file while a descriptor of it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// The device.
    pub(crate) device: u64,
    /// The inode's number on it.
    pub(crate) inode: u64,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file, as it should be.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, whatever it points to.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}
