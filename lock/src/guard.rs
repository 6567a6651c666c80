//! What a caller has while it holds the lock.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Arc, OnceLock},
};

use rustix::io::Errno;

use crate::{
    Error, Inheritance, Mode, inside,
    protocol::hold::{Fenced, Hold},
    system::{
        System,
        kernel::{self, Kernel},
    },
};

/// A lock that is held. Dropping it releases the lock; so does the end of the process, however it
/// ends.
///
/// A shared guard on a store that cannot be written and has no lock file stands for no lock at all:
/// a process that cannot write there needs none.
#[must_use = "the lock is released as soon as its guard is dropped"]
pub struct Guard {
    hold: Arc<Hold<Kernel>>,
    path: Arc<Path>,
    released: bool,
    /// The second lock, of a lock that was inherited.
    inside: Option<OwnedFd>,
    /// The file of the second lock, of a lock that was handed down.
    handed_down: OnceLock<OwnedFd>,
}

impl Guard {
    pub(crate) fn new(hold: Arc<Hold<Kernel>>, path: Arc<Path>) -> Self {
        Self {
            hold,
            path,
            released: false,
            inside: None,
            handed_down: OnceLock::new(),
        }
    }

    pub(crate) fn inside(hold: Arc<Hold<Kernel>>, path: Arc<Path>, second: OwnedFd) -> Self {
        let mut guard = Self::new(hold, path);
        guard.inside = Some(second);
        guard
    }

    /// What is held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.hold.mode
    }

    /// The fence: whether the lock is held still. To be asked immediately before whatever must not
    /// happen without it, and once more after it, to learn whether it came too late.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] when the lock file was replaced, when this process stood still or was
    /// suspended for so long that others may have replaced it (20 s), and in a fork of the process
    /// that took the lock. Once lost, a lock stays lost.
    pub fn verify(&self) -> Result<(), Error> {
        self.hold.verify().map_err(|fenced| match fenced {
            Fenced::Lost(reason) => Error::Lost {
                path: self.path.to_path_buf(),
                reason,
            },
            Fenced::Unknown(errno) => self.failed("stat", errno.into()),
        })
    }

    /// Keeps the lock fresh where the heartbeat's thread could not be started: refreshes the file if
    /// that is due, and tries to start the thread again. Does nothing while there is one. A program
    /// that holds a lock for long calls it every few seconds, should it run where threads are
    /// limited; [`verify`](Self::verify) does the same.
    pub fn refresh(&self) {
        self.hold.refresh();
    }

    /// Lets a child process use the lock: a program that takes the store's lock through this crate
    /// would wait for its own ancestor otherwise. Set the variable of the answer in the child's
    /// environment, and drop the answer when the child has been started.
    ///
    /// The child may outlive this guard. If it, or a descendant, is inside the lock when the guard is
    /// released, the lock stays held until they have ended.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when there are no descriptors left.
    pub fn hand_down(&self) -> Result<Inheritance, Error> {
        let failed = |errno: Errno| self.failed("hand down", errno.into());
        let second = match (&self.hold.locked, self.handed_down.get()) {
            (None, _) => None,
            (Some(_), Some(second)) => Some(second),
            (Some(_), None) => {
                let second = inside::second_file().map_err(failed)?;
                Some(self.handed_down.get_or_init(|| second))
            }
        };
        Inheritance::new(self.as_fd(), second.map(AsFd::as_fd)).map_err(failed)
    }

    /// Releases the lock, as dropping does, and says if that went wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the kernel refuses; the lock then goes with the descriptor.
    pub fn release(mut self) -> Result<(), Error> {
        self.released = true;
        self.let_go()
            .map_err(|errno| self.failed("unlock", errno.into()))
    }

    fn let_go(&self) -> Result<(), Errno> {
        let system = &*self.hold.system;
        let second = self.handed_down.get();
        if second.is_none() && self.inside.is_none() {
            return self.hold.release();
        }
        if system.process() != self.hold.process {
            // The locks are another process's.
            return Ok(());
        }
        let is_used =
            second.is_some_and(|file| system.try_flock(file, Mode::Exclusive) == Ok(false));
        match &self.inside {
            Some(own) => {
                if let (true, Some(second)) = (is_used, second) {
                    // Descendants are kept apart from the others by this process's own second lock.
                    kernel::blocking_flock(second, Mode::Exclusive)?;
                }
                self.hold.leave();
                system.unlock(own)?;
            }
            // Whatever is inside the lock goes on, and keeps it.
            None if is_used => self.hold.leave(),
            None => self.hold.release()?,
        }
        // Not before: what waits for it finds that the lock is gone.
        match second {
            Some(second) => system.unlock(second),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn hold(&self) -> &Hold<Kernel> {
        &self.hold
    }

    fn failed(&self, op: &'static str, source: io::Error) -> Error {
        Error::Io {
            op,
            path: self.path.to_path_buf(),
            source,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.released {
            let _ = self.let_go();
        }
    }
}

impl AsFd for Guard {
    /// The descriptor that the lock is on, so that a child process can be given a share in it; the
    /// directory's where there is no lock file. Closed when a program is executed, unless the
    /// caller arranges otherwise.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.hold.locked {
            Some(locked) => locked.file.as_fd(),
            None => self.hold.system.directory(),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("path", &self.path)
            .field("mode", &self.hold.mode)
            .field("loss", &self.hold.loss.get())
            .finish_non_exhaustive()
    }
}
