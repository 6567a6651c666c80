//! A lock handed down to a child process: `posixage lock -- sh -c 'posixage …'` does not wait for
//! itself.
//!
//! The child inherits the descriptor of the lock, and is told so by [`VARIABLE`]. A lock is taken
//! inside only if that descriptor is of the lock file at the path, and the kernel says that there is
//! a lock on it (/proc/self/fdinfo). So whatever the variable says, the lock is held.
//!
//! All descendants have the same file description, so the lock of the store does not exclude them
//! from each other. A second lock does: on a file in memory that is handed down too, and that each of
//! them opens anew. The process that handed it down takes that second lock before it releases the
//! first. While a descendant is inside, it leaves the first to the descendants instead: the kernel
//! releases it when the last of them has closed it.

use std::{
    fs,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Arc, OnceLock, atomic::Ordering},
};

use rustix::{
    fs::{MemfdFlags, OFlags, memfd_create, open},
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use crate::{
    Error, Kind, Mode,
    protocol::{
        acquire::Contender,
        hold::{Hold, Locked},
        touch::{Reach, touch},
    },
    system::{LOCK_NAME, Result, System, kernel::Kernel, proc, queue::Place},
};

/// The environment variable that tells a child of the lock that it inherits.
pub(crate) const VARIABLE: &str = "POSIXAGE_LOCK";

/// Out of the way of what shells and scripts call 3 to 9.
const FIRST_DESCRIPTOR: RawFd = 100;

/// The descriptors that a child inherits. To be dropped when it has been started.
///
/// See [`Guard::hand_down`](crate::Guard::hand_down).
#[derive(Debug)]
pub struct Inheritance {
    lock: OwnedFd,
    second: Option<OwnedFd>,
}

impl Inheritance {
    /// The name and the value of the environment variable by which the child knows; none for a guard
    /// without a lock file.
    #[must_use]
    pub fn variable(&self) -> Option<(&'static str, String)> {
        let second = self.second.as_ref()?;
        let value = format!("{}:{}", self.lock.as_raw_fd(), second.as_raw_fd());
        Some((VARIABLE, value))
    }

    /// Of the lock file, and of the file in memory.
    pub(crate) fn new(lock: BorrowedFd<'_>, second: Option<BorrowedFd<'_>>) -> Result<Self> {
        Ok(Self {
            lock: inheritable(lock)?,
            second: second.map(inheritable).transpose()?,
        })
    }
}

/// The file in memory for the second lock.
pub(crate) fn second_file() -> Result<OwnedFd> {
    memfd_create(c"posixage-lock-inside", MemfdFlags::CLOEXEC)
}

fn inheritable(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    // Not everywhere are there so many.
    let copy = fcntl_dupfd_cloexec(fd, FIRST_DESCRIPTOR).or_else(|_| fcntl_dupfd_cloexec(fd, 3))?;
    fcntl_setfd(&copy, FdFlags::empty())?;
    Ok(copy)
}

/// What this process inherited.
#[derive(Clone, Copy, Debug)]
struct Inherited {
    lock: RawFd,
    second: RawFd,
}

impl Inherited {
    fn from_environment() -> Option<Self> {
        static INHERITED: OnceLock<Option<Inherited>> = OnceLock::new();
        *INHERITED.get_or_init(|| parse(std::env::var(VARIABLE).ok()?.as_str()))
    }

    /// The inherited description itself, or none if there is none. No safe code can be sure of a
    /// descriptor that it was only told of, so the kernel makes another one of it.
    fn lock(self) -> Option<OwnedFd> {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
        pidfd_getfd(own, self.lock, PidfdGetfdFlags::empty()).ok()
    }

    /// The file in memory, opened anew.
    fn second(self) -> Option<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.second);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        open(path, flags, rustix::fs::Mode::empty()).ok()
    }
}

fn parse(value: &str) -> Option<Inherited> {
    let (lock, second) = value.split_once(':')?;
    Some(Inherited {
        lock: lock.parse().ok()?,
        second: second.parse().ok()?,
    })
}

/// The lock on a file description.
fn mode_of(file: &OwnedFd) -> Option<Mode> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    about
        .lines()
        .filter_map(|line| line.strip_prefix("lock:"))
        .find_map(proc::flock_mode)
}

/// Takes the lock inside of an inherited one. None when there is none on this lock file.
pub(crate) fn acquire(contender: &mut Contender<'_, Kernel>) -> Acquired {
    let Some(inherited) = Inherited::from_environment() else {
        return Ok(None);
    };
    let Some(file) = inherited.lock() else {
        return Ok(None);
    };
    match outer_mode(contender, &file) {
        None => return Ok(None),
        Some(Mode::Shared) if contender.mode == Mode::Exclusive => {
            return Err(Error::InsideShared {
                path: contender.path.into(),
            });
        }
        Some(_) => {}
    }
    let Some(second) = inherited.second() else {
        return Ok(None);
    };
    let second = wait_for(contender, second)?;
    // The process that handed it down may have released it in the meantime. From here on it does not.
    if outer_mode(contender, &file).is_none() {
        return Ok(None);
    }
    hold(contender, file, second)
}

type Acquired = std::result::Result<Option<(Arc<Hold<Kernel>>, OwnedFd)>, Error>;

/// The mode of the inherited lock, if it is one on the file that is at the path.
fn outer_mode(contender: &Contender<'_, Kernel>, file: &OwnedFd) -> Option<Mode> {
    let current = contender.system.stat_at(LOCK_NAME).ok()?;
    let is_it = contender.system.stat(file).ok()?.id == current.id && current.kind == Kind::File;
    if is_it { mode_of(file) } else { None }
}

/// Waits for the second lock.
fn wait_for(
    contender: &mut Contender<'_, Kernel>,
    file: OwnedFd,
) -> std::result::Result<OwnedFd, Error> {
    let system = &**contender.system;
    let mode = contender.mode;
    let failed = |errno| contender.failed("lock", errno);
    if system.try_flock(&file, mode).map_err(failed)? {
        return Ok(file);
    }
    let locked = Locked {
        id: system.stat(&file).map_err(failed)?.id,
        file,
        read_only: false,
        reach: Reach::default(),
    };
    let Some(wait) = contender.deadline.begin(system) else {
        return Err(contender.timeout());
    };
    let mut place = Place::take(locked, mode, system.process());
    while system.monotonic() < wait.until {
        let left = wait.until.saturating_sub(system.monotonic());
        let granted = place.wait(left);
        if let Some(file) = granted.map_err(|errno| contender.failed("lock", errno))? {
            return Ok(file);
        }
    }
    drop(place);
    Err(contender.timeout())
}

/// The hold on a lock that another process releases.
fn hold(contender: &Contender<'_, Kernel>, file: OwnedFd, second: OwnedFd) -> Acquired {
    let system = contender.system;
    let stat = system.stat(&file);
    let now = system.boottime();
    let locked = Locked {
        id: stat.map_err(|errno| contender.failed("stat", errno))?.id,
        file,
        read_only: contender.mode == Mode::Shared,
        reach: Reach::default(),
    };
    touch(&**system, &locked).map_err(|errno| contender.failed("touch", errno))?;
    let hold = contender.hold(Some(locked), now);
    // The outer holder's.
    let word = system.read_word();
    let word = word.map_err(|errno| contender.failed("read", errno))?;
    hold.word.store(word.unwrap_or(0), Ordering::Release);
    if system.heart().add(&hold) {
        system.keep_beating();
    }
    Ok(Some((hold, second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_an_inheritance() {
        assert!(parse("100:101").is_some());
        for other in ["", "100", "100:", ":", "a:b", "100:101:102", "1e3:4"] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
