//! What a process asks of the world, what it is answered, and what must not come of it.

use std::{fmt, time::Duration};

use rustix::io::Errno;

use crate::{
    Mode,
    protocol::touch::AHEAD,
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

/// A file description: the actor that opened it, and the actor's own count. Not numbered by the world,
/// so that the order in which two actors open files makes no difference.
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

/// What a file's time is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Time {
    Now,
    Ahead,
    /// The last time that the file system can keep: it was to be set ahead.
    Last,
}

/// What a process asks of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Open(Access),
    Create(Label),
    /// Which inode it is.
    Identify(Fd),
    /// Which inode it is, and its time.
    Stat(Fd),
    StatAt(Label),
    Touch(Fd, Time),
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
    Wall,
    /// Gives a peer that is about to remove the lock file the time to do so.
    Pause(Seconds),
    /// The reference's nap between two tries.
    Nap(Seconds),
    /// The caller has the lock, by all that it knows.
    Enter(Mode),
    /// What the caller does under the lock takes time.
    Work,
    /// Something that must only happen under the lock.
    Commit,
    /// The same, some time after the fence: it may come too late, but then the caller must be told.
    LateCommit,
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

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(Access::Create) => f.write_str("opens the lock file, or makes it"),
            Self::Open(Access::ReadOnly) => f.write_str("opens the lock file for reading"),
            Self::Create(label) => write!(f, "makes {label}"),
            Self::Identify(fd) | Self::Stat(fd) => write!(f, "stats {fd:?}"),
            Self::StatAt(label) => write!(f, "stats {label}"),
            Self::Touch(fd, Time::Now) => write!(f, "sets {fd:?} to now"),
            Self::Touch(fd, Time::Ahead | Time::Last) => write!(f, "sets {fd:?} far ahead"),
            Self::TryFlock(fd, mode) => write!(f, "tries the {mode} lock on {fd:?}"),
            Self::LockDirectory => f.write_str("tries the lock on the directory"),
            Self::Queue(fd, mode) => write!(f, "queues for the {mode} lock on {fd:?}"),
            Self::Wait(fd, until) => write!(f, "waits for {fd:?} until {until} s"),
            Self::Leave(fd) => write!(f, "leaves the queue for {fd:?}"),
            Self::Unlock(fd) => write!(f, "unlocks {fd:?}"),
            Self::Close(fd) => write!(f, "closes {fd:?}"),
            Self::Exchange => f.write_str("exchanges the lock file and the spare one"),
            Self::Rename => f.write_str("renames the spare file to the lock file"),
            Self::Remove(label) => write!(f, "removes {label}"),
            Self::Holders => f.write_str("asks for the holders"),
            Self::Boottime => f.write_str("reads the boot-time clock"),
            Self::Monotonic => f.write_str("reads the monotonic clock"),
            Self::Wall => f.write_str("reads the wall clock"),
            Self::Pause(_) => f.write_str("waits for a removal"),
            Self::Nap(_) => f.write_str("naps"),
            Self::Enter(mode) => write!(f, "HAS THE LOCK, {mode}"),
            Self::Work => f.write_str("works under the lock"),
            Self::Commit | Self::LateCommit => f.write_str("COMMITS"),
            Self::End(outcome) => write!(f, "ends: {outcome:?}"),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lock => "the lock file",
            Self::Spare => "the spare file",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => Ok(()),
            Self::File(fd) => write!(f, ": {fd:?}"),
            Self::Stat(stat) if stat.mtime.is_zero() => write!(f, ": inode {}", stat.id.inode),
            Self::Stat(stat) => {
                write!(
                    f,
                    ": inode {}, touched at {} s",
                    stat.id.inode,
                    past(stat.mtime)
                )
            }
            Self::Flag(true) => f.write_str(": yes"),
            Self::Flag(false) => f.write_str(": no"),
            Self::Time(seconds) => write!(f, ": {seconds} s"),
            Self::Holders(holders) => write!(f, ": {holders:?}"),
            Self::Failed(errno) => write!(f, ": {errno}"),
        }
    }
}

/// A time of either kind, as the time of the touch.
fn past(mtime: Duration) -> Seconds {
    match mtime > AHEAD {
        true => (mtime - AHEAD).as_secs(),
        false => mtime.as_secs(),
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Finished,
    Fenced,
    /// The fence after the commit found the lock lost.
    Told,
    TimedOut,
    Failed(String),
}

/// What must never happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// Two hold the lock. `unlinked`: the later one locked an inode that was no longer at the path
    /// when it was granted; otherwise the other's file was taken away under it.
    TwoHolders { unlinked: bool },
    /// Something was committed on a lock that another actor had got since.
    CommitOnLostLock,
    /// The same, after the fence, and the caller was told that all is well.
    UntoldLateCommit,
    /// An error without cause.
    SpuriousError(String),
}
