//! What a process asks of the world, what it is answered, and what must not come of it.

use std::fmt;

use rustix::io::Errno;

use crate::{
    Mode,
    system::{Access, Stat},
};

/// Seconds. The clock moves in steps of [`TICK`].
pub(super) type Seconds = u64;

/// How far the clock moves at once: the heartbeat is due once in it.
pub(super) const TICK: Seconds = 10;

/// The reference's threshold, and ours for a takeover.
pub(super) const STALE: Seconds = 30;

/// Index of a process.
pub(super) type Pid = usize;

/// A file description: who opened it, and the how manieth of his it is. Not numbered by the world,
/// so that it does not matter to anybody who was first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fd(pub(super) Pid, pub(super) usize);

impl Fd {
    pub(super) fn owner(self) -> Pid {
        self.0
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd{}", self.1)
    }
}

/// The two names that the protocol uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Label {
    Lock,
    Spare,
}

/// What a process asks of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Open(Access),
    Create(Label),
    Stat(Fd),
    StatAt(Label),
    Touch(Fd),
    TryFlock(Fd, Mode),
    LockDirectory,
    /// A blocking flock on a thread of its own, in three calls: begin, wait for it, give it up.
    Queue(Fd, Mode),
    Wait(Fd, Seconds),
    Leave(Fd),
    Unlock(Fd),
    Close(Fd),
    Exchange,
    Rename,
    Remove(Label),
    Holders,
    Boottime,
    Monotonic,
    /// The reference's nap between two tries.
    Nap(Seconds),
    /// The caller has the lock, by all that it knows.
    Enter(Mode),
    /// What the caller does under the lock takes time.
    Work,
    /// Something that must only happen under the lock.
    Commit,
    /// The program is over.
    End(Outcome),
}

/// What the world answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Done,
    File(Fd),
    Stat(Stat),
    Flag(bool),
    Time(Seconds),
    Holders(Vec<(Pid, Mode, bool)>),
    Failed(Errno),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::File(fd) => write!(f, "{fd:?}"),
            Self::Stat(stat) if stat.mtime.is_zero() => write!(f, "inode {}", stat.id.inode),
            Self::Stat(stat) => {
                write!(
                    f,
                    "inode {}, touched at {} s",
                    stat.id.inode,
                    stat.mtime.as_secs()
                )
            }
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Time(seconds) => write!(f, "{seconds} s"),
            Self::Holders(holders) => write!(f, "{holders:?}"),
            Self::Failed(errno) => errno.fmt(f),
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Finished,
    Fenced,
    TimedOut,
    Failed(String),
}

/// What must never happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// Two hold the lock. `unlinked`: the one who came last locked an inode that was at the path
    /// no longer when it was granted; otherwise the other's file was taken away under it.
    TwoHolders { unlinked: bool },
    /// Something was committed by one whose lock somebody else had got since.
    CommitOnLostLock,
    /// An error without cause.
    SpuriousError(String),
}
