//! A place in the kernel's queue that can be left again.
//!
//! flock(2) waits without a deadline. So a thread waits, and hands over the lock that it gets; when
//! nobody wants it any more, it releases it. There is such a thread only while somebody waits, and
//! after an abandoned wait until the holder lets go.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::{
    Mode,
    system::{Result, kernel},
};

#[derive(Debug)]
pub(crate) struct Place {
    slot: Arc<Slot>,
}

#[derive(Debug)]
struct Slot {
    turn: Mutex<Turn>,
    changed: Condvar,
}

/// Under a mutex, so that a lock that is granted while the waiter gives up is either handed over or
/// released, and never forgotten.
#[derive(Debug)]
enum Turn {
    Waiting,
    Granted(OwnedFd),
    Failed(Errno),
    Left,
}

impl Place {
    pub(crate) fn take(file: OwnedFd, mode: Mode) -> Result<Self> {
        let slot = Arc::new(Slot {
            turn: Mutex::new(Turn::Waiting),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&slot);
        thread::Builder::new()
            .name("posixage-queue".into())
            .stack_size(64 * 1024)
            .spawn(move || theirs.wait_in_line(file, mode))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Self { slot })
    }

    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<OwnedFd>> {
        let end = Instant::now().checked_add(patience);
        let mut turn = self.slot.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Left) {
                Turn::Granted(file) => return Ok(Some(file)),
                Turn::Failed(errno) => return Err(errno),
                Turn::Waiting | Turn::Left => *turn = Turn::Waiting,
            }
            let left = match end {
                Some(end) => end.saturating_duration_since(Instant::now()),
                None => patience,
            };
            if left.is_zero() {
                return Ok(None);
            }
            turn = self
                .slot
                .changed
                .wait_timeout(turn, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(turn, _)| turn);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let turn = std::mem::replace(&mut *self.slot.lock(), Turn::Left);
        if let Turn::Granted(file) = turn {
            let _ = kernel::unlock(&file);
        }
    }
}

impl Slot {
    fn wait_in_line(&self, file: OwnedFd, mode: Mode) {
        let answer = kernel::blocking_flock(&file, mode);
        let mut turn = self.lock();
        match answer {
            Ok(()) if matches!(*turn, Turn::Left) => {
                // Explicit: a forked child may share the description, and closing would not do.
                let _ = kernel::unlock(&file);
            }
            Ok(()) => *turn = Turn::Granted(file),
            Err(errno) => *turn = Turn::Failed(errno),
        }
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
