//! What can go wrong with a lock, and what to do about it.

use std::{io, path::PathBuf, time::Duration};

use crate::{Holder, Kind, Mode, Status, wait::Thresholds};

/// Why there is no lock, or no longer.
///
/// `Display` is one line: what, on what, why, in lower case without a period. What to do about it
/// is apart, in [`hint`](Self::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process held the lock for as long as the caller would wait.
    #[error("no {mode} lock on {} {}: {status}", path.display(), Waited(*waited))]
    Timeout {
        /// The lock file.
        path: PathBuf,
        /// What was asked for.
        mode: Mode,
        /// How long the caller waited.
        waited: Duration,
        /// The holders, the age of the heartbeat, and other waiters.
        status: Box<Status>,
    },
    /// This process runs inside a shared lock of a process that it descends from, and asked for an
    /// exclusive one: it would wait for itself.
    #[error("no exclusive lock on {}: this process runs inside a shared one", path.display())]
    InsideShared {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock was held and is not any more. Nothing may be committed on it.
    #[error("lost the lock on {}: {reason}", path.display())]
    Lost {
        /// The lock file.
        path: PathBuf,
        /// How it was lost.
        reason: Loss,
    },
    /// Something that is not a regular file lies where the lock file belongs.
    #[error("cannot lock {}: it is {kind}, not a regular file", path.display())]
    NotRegular {
        /// The lock file.
        path: PathBuf,
        /// What lies there.
        kind: Kind,
    },
    /// The file system cannot do what the lock needs.
    #[error("cannot lock {}: the file system does not support {call}: {}", path.display(), reason(source))]
    Unsupported {
        /// The lock file.
        path: PathBuf,
        /// The system call that was refused.
        call: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {op} {}: {}", path.display(), reason(source))]
    Io {
        /// What was being done, such as "open".
        op: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// How a lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// The lock file was removed, or replaced by another: a process took this one for
    /// dead.
    #[error("the lock file was replaced while it was held")]
    Replaced,
    /// The process stood still, or the machine was suspended, for so long that others may have
    /// taken it for dead.
    #[error("the process stood still for more than {} s while it held it", limit.as_secs())]
    Stalled {
        /// The longest standstill with which a lock is kept.
        limit: Duration,
    },
    /// The file system did not answer for so long that others, on another machine or behind the same
    /// FUSE program, may have taken this process for dead.
    #[error("the file system did not answer for more than {} s while it was held", limit.as_secs())]
    Unanswered {
        /// The longest silence with which a lock is kept.
        limit: Duration,
    },
    /// Another process took the lock through a view of the file system that flock(2) does not reach
    /// through: another mount of sshfs, a bindfs, a share.
    #[error("another process took it where flock does not reach, as through a second mount")]
    SecondHolder,
    /// This process is a fork of the one that holds the lock.
    #[error("it belongs to the process that this one was forked from")]
    Forked,
}

impl Error {
    /// What to do about it, when there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Timeout { status, .. } => Some(timeout_hint(status)),
            Self::InsideShared { .. } => {
                Some("take the outer lock exclusively: posixage lock without --shared".into())
            }
            Self::Lost {
                reason: Loss::Forked,
                ..
            } => Some("take the lock in this process".into()),
            Self::Lost { .. } => Some("nothing was written on it; try again".into()),
            Self::NotRegular { path, .. } => Some(format!(
                "look what put it there, then remove {}",
                path.display()
            )),
            Self::Unsupported { .. } => Some(
                "keep the store on a local file system, or a network one that supports it".into(),
            ),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("writing needs write access to the lock file and its directory".into())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("the store can be read, not written".into())
            }
            Self::Io { .. } => None,
        }
    }

    /// Whether another process held the lock for as long as the caller would wait.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether a lock that was held was lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

/// What the system said, as it stands in the messages of these crates: in lower case, without the
/// number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn timeout_hint(status: &Status) -> String {
    const STALE: Duration = Thresholds::STANDARD.stale;
    let stopped = status.holders.iter().find(|holder| holder.is_stopped());
    match (stopped, status.heartbeat_age) {
        (Some(Holder { pid, .. }), _) => {
            format!("continue it with `kill -CONT {pid}`, end it, or take the lock from it")
        }
        (None, Some(age)) if age > STALE => {
            "if the holder hangs, end it, or take the lock from it".into()
        }
        (None, _) => "wait longer, or end the holder".into(),
    }
}

/// "after 30 s", "without waiting".
struct Waited(Duration);

impl std::fmt::Display for Waited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Duration::ZERO => f.write_str("without waiting"),
            waited if waited < Duration::from_secs(1) => {
                write!(f, "after {} ms", waited.as_millis())
            }
            waited => write!(f, "after {} s", waited.as_secs()),
        }
    }
}
