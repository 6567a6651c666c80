//! The lock file of a posixage store.
//!
//! [`LockFile`] takes a shared or an exclusive flock(2) on `.posixage.lock` in the store's root, and
//! gives a [`Guard`] for it. Ask [`Guard::verify`] immediately before a commit.
//!
//! # Beside the reference
//!
//! The lock is the same flock(2) on the same file as the reference's, and excludes it. But the
//! reference removes a lock file whose time is 30 s in the past. So ours sets it years ahead before
//! the lock can be seen and every few seconds after. A holder learns from [`Guard::verify`] that its
//! file was removed all the same: by a peer that had found it stale before. The README of this crate
//! has the protocol, its invariants and what remains.
//!
//! ```
//! use posixage_lock::{LockFile, Mode, Wait};
//! # let root = tempfile::tempdir()?;
//! # let root = root.path();
//! let lock = LockFile::open(root)?;
//! let guard = lock.acquire(Mode::Exclusive, Wait::default())?;
//! // … prepare …
//! guard.verify()?;
//! // … commit …
//! guard.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod guard;
mod inside;
mod protocol;
mod status;
mod system;
mod wait;

#[cfg(test)]
mod explore;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use crate::{
    protocol::{acquire::Contender, announce::Announcer},
    system::{
        System,
        kernel::{self, Kernel},
    },
    wait::Thresholds,
};

pub use crate::{
    error::{Error, Loss, reason},
    guard::Guard,
    inside::Inheritance,
    status::{Activity, Holder, Status},
    system::Kind,
    wait::Wait,
};

const _: () = {
    const fn send_and_sync<T: Send + Sync + 'static>() {}
    send_and_sync::<(LockFile, Guard, Inheritance, Status, Holder, Error, Loss)>();
};

/// The lock file's name in the store's root.
pub const FILE_NAME: &str = ".posixage.lock";

/// What a lock lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Read, beside other readers.
    Shared,
    /// Write, alone.
    Exclusive,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// What to do about a holder whose heartbeat stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// Wait for it, and fail in the end: it may go on at any time.
    #[default]
    Never,
    /// Take the lock from it when its heartbeat has not moved for 30 s while the caller waited. So
    /// the caller must be ready to wait for longer than that. The old holder learns of it from
    /// [`Guard::verify`].
    Stale,
}

/// A store's lock file. Holds no lock, and opens nothing until asked.
pub struct LockFile {
    system: Arc<Kernel>,
    path: Arc<Path>,
    notice: Option<Announcer>,
    takeover: Takeover,
    thresholds: Thresholds,
}

impl LockFile {
    /// The lock file in the store's root at `path`. The lock stays that of the directory that is
    /// there now, should it be moved.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when there is no directory, or it cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        match kernel::open_directory(&path) {
            Ok(directory) => Ok(Self::in_directory(directory, path)),
            Err(errno) => Err(Error::Io {
                op: "open",
                path,
                source: errno.into(),
            }),
        }
    }

    /// The lock file in a store's root. `directory` is the root, opened in whatever way; `path` is
    /// its path, for messages only.
    #[must_use]
    pub fn in_directory(directory: OwnedFd, path: impl Into<PathBuf>) -> Self {
        Self {
            system: Arc::new(Kernel::new(directory)),
            path: path.into().join(FILE_NAME).into(),
            notice: None,
            takeover: Takeover::default(),
            thresholds: Thresholds::STANDARD,
        }
    }

    /// Has `notice` called once in each wait that lasts longer than a second, with what is known of
    /// the holder. It is called from a thread of its own and may take its time: it delays no lock,
    /// and may still run when the wait is over. While it runs no other wait of this handle is told.
    #[must_use]
    pub fn on_wait(mut self, notice: impl Fn(&Status) + Send + Sync + 'static) -> Self {
        self.notice = Some(Announcer::new(Arc::clone(&self.system), Box::new(notice)));
        self
    }

    /// Sets what [`acquire`](Self::acquire) does about a holder whose heartbeat stands still.
    #[must_use]
    pub fn with_takeover(mut self, policy: Takeover) -> Self {
        self.takeover = policy;
        self
    }

    /// Takes the lock, and makes the lock file if it isn't there.
    ///
    /// A shared lock is to be had without write access, too.
    ///
    /// A process that inherited a lock on this file, see [`Guard::hand_down`], takes it inside of
    /// that one: it waits only for others that do the same.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when another process held it all the time, and the other variants when the
    /// lock file cannot be used.
    pub fn acquire(&self, mode: Mode, wait: Wait) -> Result<Guard, Error> {
        let mut contender = self.contender(mode, wait, self.takeover);
        if let Some((hold, second)) = inside::acquire(&mut contender)? {
            return Ok(Guard::inside(hold, Arc::clone(&self.path), second));
        }
        self.guard(contender)
    }

    /// Takes the exclusive lock, if need be from a holder whose heartbeat has not moved for 30 s
    /// while the caller watched it. A holder that has ended holds no lock, and one that beats is
    /// waited for like any other.
    ///
    /// A `wait` too short for the watch to end is lengthened to 35 s; [`Wait::Try`] does not watch.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when the holder is alive and did not release the lock;
    /// [`Error::Unsupported`] when the file system cannot exchange two files.
    pub fn take_over(&self, wait: Wait) -> Result<Guard, Error> {
        let least = self.thresholds.stale + self.thresholds.look * 5;
        let wait = match wait {
            Wait::Try => Wait::Try,
            Wait::For(length) => Wait::For(length.max(least)),
            Wait::Until(end) => Wait::Until(end.max(Instant::now() + least)),
        };
        self.guard(self.contender(Mode::Exclusive, wait, Takeover::Stale))
    }

    /// The holders of the lock and the processes that wait for it. Neither makes nor touches the lock
    /// file.
    ///
    /// Where not every holder can be seen (another PID namespace, no /proc, a network or FUSE file
    /// system) and none is, the lock is tried for a few microseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the directory cannot be searched.
    pub fn status(&self) -> Result<Status, Error> {
        let mut status = self.system.status().map_err(|errno| Error::Io {
            op: "stat",
            path: self.path.to_path_buf(),
            source: errno.into(),
        })?;
        status.held = match status.exists {
            true => status.held.or_else(|| self.system.probe()),
            false => Some(false),
        };
        Ok(status)
    }

    fn contender(&self, mode: Mode, wait: Wait, takeover: Takeover) -> Contender<'_, Kernel> {
        Contender {
            takeover,
            thresholds: self.thresholds,
            notice: self.notice.as_ref(),
            ..Contender::new(&self.system, &self.path, mode, wait)
        }
    }

    fn guard(&self, contender: Contender<'_, Kernel>) -> Result<Guard, Error> {
        Ok(Guard::new(contender.acquire()?, Arc::clone(&self.path)))
    }
}

impl fmt::Debug for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFile")
            .field("path", &self.path)
            .field("takeover", &self.takeover)
            .finish_non_exhaustive()
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
