//! The holders of a lock, and the age of its heartbeat.

use std::{fmt, time::Duration};

use crate::Mode;

/// What can be seen of a lock file from outside, without touching it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether there is a lock file. There is none before the first lock.
    pub exists: bool,
    /// Whether a process holds it; none when that cannot be told.
    pub held: Option<bool>,
    /// How long ago a holder, or a process that began to wait, refreshed it, by the wall clock.
    pub heartbeat_age: Option<Duration>,
    /// The holders. Empty when there is none, or none that can be seen from here: on another
    /// machine, outside of this container, without a /proc.
    pub holders: Vec<Holder>,
    /// Whether `holders` are all that there are.
    pub(crate) is_complete: bool,
    /// The processes that wait for it.
    pub waiters: Vec<u32>,
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process that took the lock.
    pub pid: u32,
    /// What it holds.
    pub mode: Mode,
    /// Its command, as far as it is known to hold nothing secret: the program's name, and a
    /// subcommand of posixage.
    pub command: Option<String>,
    /// What it is doing; none when there is no such process any more, and a descendant keeps its
    /// descriptor.
    pub state: Option<Activity>,
}

/// What a process is doing, as in proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It runs, or sleeps until something happens.
    Alive,
    /// All of its threads were stopped, by a signal or a debugger, and continue only when told to.
    Stopped,
    /// It waits for a device, and cannot be interrupted.
    Uninterruptible,
    /// It has ended and its parent has not noticed; a descendant keeps its descriptor.
    Ended,
    /// There is such a process. What it does is hidden from this user (`hidepid` of /proc).
    Hidden,
}

impl Status {
    /// Whether there are holders, all of them can be seen, and all are stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_complete && !self.holders.is_empty() && self.holders.iter().all(Holder::is_stopped)
    }
}

impl Holder {
    /// Whether the process is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state == Some(Activity::Stopped)
    }
}

impl fmt::Display for Holder {
    /// `pid 4711 (posixage lock), stopped`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)?;
        if let Some(command) = &self.command {
            write!(f, " ({command})")?;
        }
        match self.state {
            Some(Activity::Alive | Activity::Hidden) => Ok(()),
            Some(Activity::Stopped) => f.write_str(", stopped"),
            Some(Activity::Uninterruptible) => f.write_str(", waiting for a device"),
            Some(Activity::Ended) | None => {
                f.write_str(", which has ended and left it to a descendant")
            }
        }
    }
}

impl fmt::Display for Status {
    /// `held by pid 4711 (posixage lock), heartbeat 3 s ago`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holders.as_slice() {
            [] if !self.exists => return f.write_str("no lock file"),
            [] => f.write_str(match self.held {
                Some(true) => "held, by which process cannot be seen from here",
                Some(false) => "free",
                None => "cannot be told from here whether it is held",
            })?,
            [first, others @ ..] => {
                write!(f, "held by {first}")?;
                match others {
                    [] => {}
                    [second] => write!(f, " and {second}")?,
                    _ => write!(f, " and {} others", others.len())?,
                }
            }
        }
        if let Some(age) = self.heartbeat_age {
            write!(f, ", heartbeat {} s ago", age.as_secs())?;
        }
        match self.waiters.len() {
            0 => Ok(()),
            1 => f.write_str(", 1 waits"),
            n => write!(f, ", {n} wait"),
        }
    }
}
