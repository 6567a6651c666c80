//! A lock that is held: how it is kept fresh, how it is found lost, how it is released.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::io::Errno;

use crate::{
    Loss, Mode,
    system::{FileId, LOCK_NAME, Result, System},
    wait::Thresholds,
};

/// A lock on an inode of the lock file. The kernel holds it until [`release`](Self::release), or
/// until the process ends.
#[derive(Debug)]
pub(crate) struct Hold<S: System> {
    pub(crate) system: Arc<S>,
    pub(crate) mode: Mode,
    /// None for a shared lock on a store that has no lock file and can have none.
    pub(crate) locked: Option<Locked<S::File>>,
    pub(crate) pid: u32,
    pub(crate) thresholds: Thresholds,
    /// When the lock was last refreshed, in nanoseconds of the boot-time clock.
    pub(crate) beaten: AtomicU64,
    /// Set once and never taken back: whoever lost the lock for a moment may have been overtaken in
    /// it.
    pub(crate) loss: OnceLock<Loss>,
}

/// The inode that is locked.
#[derive(Debug)]
pub(crate) struct Locked<F> {
    pub(crate) file: F,
    pub(crate) id: FileId,
    /// Opened for reading only, on a store that cannot be written: then it cannot be kept fresh.
    pub(crate) read_only: bool,
}

/// Why the fence does not let a commit through.
#[derive(Debug)]
pub(crate) enum Fenced {
    Lost(Loss),
    Unknown(Errno),
}

impl<S: System> Hold<S> {
    /// I4: refreshes the file, so that nobody takes this process for dead while it lives. A beat
    /// that fails is no beat: after a few of them the lock counts as lost.
    pub(crate) fn beat(&self) {
        let Some(locked) = &self.locked else { return };
        // Before the touch, so that the file is never older than it is held to be.
        let now = self.system.boottime();
        if self.look(locked, now).is_ok() && touch(&*self.system, locked).is_ok() {
            self.beaten.store(nanoseconds(now), Ordering::Release);
        }
    }

    /// Whether the last beat is no older than it should be.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age(self.system.boottime()) <= self.thresholds.heartbeat
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_nanos(self.beaten.load(Ordering::Acquire)))
    }

    /// I5, the fence: nothing is committed on a lock that others may have taken. Everything is
    /// looked at here and now, so that it does not matter whether the heartbeat's thread has run.
    pub(crate) fn verify(&self) -> std::result::Result<(), Fenced> {
        if self.system.pid() != self.pid {
            return Err(Fenced::Lost(Loss::Forked));
        }
        let Some(locked) = &self.locked else {
            return Ok(());
        };
        self.same_inode(locked)?;
        // The clock after the inode: a standstill between the two is seen, too.
        self.look_at_clock(self.system.boottime())
    }

    fn look(&self, locked: &Locked<S::File>, now: Duration) -> std::result::Result<(), Fenced> {
        self.look_at_clock(now)?;
        self.same_inode(locked)
    }

    fn same_inode(&self, locked: &Locked<S::File>) -> std::result::Result<(), Fenced> {
        match self.system.stat_at(LOCK_NAME) {
            Ok(stat) if stat.id == locked.id => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(self.lose(Loss::Replaced)),
            Err(errno) => Err(Fenced::Unknown(errno)),
        }
    }

    /// No beat for so long: this process stood still, and others may have taken it for dead.
    fn look_at_clock(&self, now: Duration) -> std::result::Result<(), Fenced> {
        let limit = self.thresholds.lost;
        if self.age(now) > limit {
            return Err(self.lose(Loss::Stalled { limit }));
        }
        self.loss
            .get()
            .map_or(Ok(()), |loss| Err(Fenced::Lost(*loss)))
    }

    fn lose(&self, loss: Loss) -> Fenced {
        let first = *self.loss.get_or_init(|| {
            tracing::warn!("lost a lock: {loss}");
            loss
        });
        Fenced::Lost(first)
    }

    /// Releases the lock. An explicit `LOCK_UN`: a forked child may share the file description, and
    /// then closing this descriptor would leave the lock held for as long as the child lives.
    pub(crate) fn release(self: &Arc<Self>) -> Result<()> {
        if self.system.pid() != self.pid {
            // For the same reason a child must not unlock what it inherited: the lock is the
            // parent's, and still held.
            return Ok(());
        }
        let Some(locked) = &self.locked else {
            return Ok(());
        };
        // The heart beats until the lock is gone: however slow this thread is, nobody finds the file
        // stale while it is locked.
        let released = self.system.unlock(&locked.file);
        self.system.heart().remove(self);
        released
    }
}

/// I1: sets the lock file's time to now.
pub(crate) fn touch<S: System>(system: &S, locked: &Locked<S::File>) -> Result<()> {
    match system.touch(&locked.file) {
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if locked.read_only => Ok(()),
        answer => answer,
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}
