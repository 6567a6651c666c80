//! Telling this process from a fork of it.
//!
//! A pid does not: a fork in a new PID namespace can have the same, and so can one that comes when the
//! original has ended. So a process takes a POSIX record lock on a file of its own in memory. A fork
//! inherits the file but not the lock, which the kernel reports to it as another's; and when the
//! original has ended, the fork sees that from a pidfd. Where the kernel has neither, the pid decides.

use std::{
    os::fd::OwnedFd,
    process,
    sync::{Mutex, PoisonError},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, MemfdFlags, fcntl_lock, memfd_create},
    process::{Flock, FlockType, PidfdFlags, fcntl_getlk, getpid, pidfd_open},
};

static CURRENT: Mutex<Option<Identity>> = Mutex::new(None);

#[derive(Debug)]
struct Identity {
    number: u64,
    pid: u32,
    /// With a record lock of the process on it.
    mark: Option<OwnedFd>,
    pidfd: Option<OwnedFd>,
}

/// A number that no process has that this one was forked from, and the same at every call.
pub(crate) fn current() -> u64 {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let number = match &*current {
        Some(identity) if identity.is_current() => return identity.number,
        Some(inherited) => inherited.number + 1,
        None => 1,
    };
    *current = Some(Identity::new(number));
    number
}

impl Identity {
    fn new(number: u64) -> Self {
        let mark = memfd_create(c"posixage-lock", MemfdFlags::CLOEXEC).ok();
        Self {
            number,
            pid: process::id(),
            mark: mark
                .filter(|mark| fcntl_lock(mark, FlockOperation::NonBlockingLockExclusive).is_ok()),
            pidfd: pidfd_open(getpid(), PidfdFlags::empty()).ok(),
        }
    }

    fn is_current(&self) -> bool {
        self.pid == process::id() && !self.is_marked_by_another() && !self.has_ended()
    }

    fn is_marked_by_another(&self) -> bool {
        let lock = Flock::from(FlockType::WriteLock);
        let mark = self.mark.as_ref();
        mark.is_some_and(|mark| matches!(fcntl_getlk(mark, &lock), Ok(Some(_))))
    }

    fn has_ended(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        self.pidfd.as_ref().is_some_and(|pidfd| {
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsFd,
        process::{Command, Stdio},
    };

    use rustix::process::Pid;

    use super::*;

    const INHERITS: &str = "POSIXAGE_LOCK_TEST_INHERITS";

    #[test]
    fn the_number_stays_the_same() {
        assert_eq!(current(), current());
    }

    /// The program that the test below starts.
    #[test]
    #[ignore = "started by another test"]
    fn heir() {
        if std::env::var_os(INHERITS).is_none() {
            return;
        }
        let inherited = Identity {
            number: 1,
            // The very pid, as in a PID namespace of its own.
            pid: process::id(),
            mark: Some(std::io::stdin().as_fd().try_clone_to_owned().unwrap()),
            pidfd: None,
        };
        assert!(!inherited.is_current());
    }

    #[test]
    fn a_child_with_the_same_pid_is_another_process() {
        let identity = Identity::new(1);
        assert!(identity.is_current());
        let mark = identity.mark.as_ref().unwrap().try_clone().unwrap();
        let heir = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "system::process::tests::heir", "--ignored"])
            .env(INHERITS, "1")
            .stdin(Stdio::from(mark))
            .output()
            .unwrap();
        assert!(heir.status.success(), "{heir:?}");
        assert!(String::from_utf8_lossy(&heir.stdout).contains("1 passed"));
    }

    #[test]
    fn a_process_with_the_pid_of_one_that_ended_is_another() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let identity = Identity {
            number: 1,
            pid: process::id(),
            mark: None,
            pidfd: Some(pidfd),
        };
        assert!(identity.is_current());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!identity.is_current());
    }
}
