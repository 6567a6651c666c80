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
    protocol::touch::{Reach, touch},
    system::{FileId, LOCK_NAME, Result, Stat, System},
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
    /// See [`System::process`].
    pub(crate) process: u64,
    /// What this holder wrote into the lock file; zero for nothing.
    pub(crate) word: AtomicU64,
    pub(crate) thresholds: Thresholds,
    /// When the lock file was last refreshed, in nanoseconds of the boot-time clock.
    pub(crate) last_beat: AtomicU64,
    /// When a thread of the process was last seen to run, by the same clock.
    pub(crate) last_seen: AtomicU64,
    /// Set once and never taken back: a holder that lost the lock for a moment may have been overtaken in
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
    pub(crate) reach: Reach,
}

/// Why the fence does not let a commit through.
#[derive(Debug)]
pub(crate) enum Fenced {
    Lost(Loss),
    Unknown(Errno),
}

impl<S: System> Hold<S> {
    /// I4: refreshes the file, so that no process takes this one for dead while it runs.
    pub(crate) fn beat(&self) {
        if let Some(now) = self.begin_beat() {
            self.finish_beat(now);
        }
    }

    /// A beat's look at the inode. Says when it was; none for a lock that is lost.
    pub(crate) fn begin_beat(&self) -> Option<Duration> {
        let locked = self.locked.as_ref()?;
        // Before the touch, so that the file is never older than it is held to be.
        let now = self.system.boottime();
        let current = self.look(locked, now).ok()?;
        locked.reach.keeps(current.mtime);
        Some(now)
    }

    /// A beat's touch.
    pub(crate) fn finish_beat(&self, now: Duration) {
        let Some(locked) = &self.locked else { return };
        if touch(&*self.system, locked).is_ok() {
            self.last_beat.store(nanoseconds(now), Ordering::Release);
        }
    }

    /// Beats if the heartbeat has no thread and a beat is due.
    pub(crate) fn refresh(&self) {
        if self.system.process() == self.process {
            self.show_life();
            self.beat_if_alone();
        }
    }

    /// Beats now if the heartbeat has no thread and a beat is due, and tries to start the thread.
    fn beat_if_alone(&self) {
        let interval = self.thresholds.heartbeat;
        let is_due = self.age(self.system.boottime()) >= interval;
        if is_due && self.locked.is_some() && self.system.heart().is_missing(interval) {
            self.system.keep_beating();
            self.beat();
        }
    }

    /// A thread of the process runs: it does not stand still.
    pub(crate) fn show_life(&self) {
        let _ = self.has_not_stood_still(self.system.boottime());
    }

    /// Whether the last beat is no older than it should be.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age(self.system.boottime()) <= self.thresholds.heartbeat
    }

    /// How long ago the file was refreshed.
    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_nanos(self.last_beat.load(Ordering::Acquire)))
    }

    /// I5, the fence: nothing is committed on a lock that others may have taken. Everything is
    /// looked at here and now, so that it does not matter whether the heartbeat's thread has run.
    pub(crate) fn verify(&self) -> std::result::Result<(), Fenced> {
        if self.system.process() != self.process {
            return Err(Fenced::Lost(Loss::Forked));
        }
        let Some(locked) = &self.locked else {
            return Ok(());
        };
        self.beat_if_alone();
        let current = self.same_inode(locked)?;
        self.same_word(&current)?;
        // The clock after the inode: a standstill between the two is seen, too.
        let now = self.system.boottime();
        self.has_not_stood_still(now)?;
        if self.age(now) > self.thresholds.lost {
            self.catch_up(locked, now)?;
        }
        Ok(())
    }

    /// The process ran, but its beats did not get through: the file system stood still, as when it
    /// was frozen for a snapshot.
    ///
    /// On a local one all processes that could take the lock were stopped with it. So the file is
    /// refreshed and looked at now. A takeover that comes first has replaced the file, and one that
    /// comes later finds the time moved and gives it back. Elsewhere, on another machine or behind a
    /// FUSE program, others may have gone on: the lock is lost.
    fn catch_up(&self, locked: &Locked<S::File>, now: Duration) -> std::result::Result<(), Fenced> {
        self.may_be_silent(locked)?;
        touch(&*self.system, locked).map_err(Fenced::Unknown)?;
        self.same_inode(locked)?;
        self.has_not_stood_still(self.system.boottime())?;
        self.last_beat.store(nanoseconds(now), Ordering::Release);
        Ok(())
    }

    fn look(&self, locked: &Locked<S::File>, now: Duration) -> std::result::Result<Stat, Fenced> {
        self.has_not_stood_still(now)?;
        if self.age(now) > self.thresholds.lost {
            self.may_be_silent(locked)?;
        }
        self.same_inode(locked)
    }

    fn may_be_silent(&self, locked: &Locked<S::File>) -> std::result::Result<(), Fenced> {
        let limit = self.thresholds.lost;
        match self.system.is_local(&locked.file) {
            true => Ok(()),
            false => Err(self.lose(Loss::Unanswered { limit })),
        }
    }

    fn same_inode(&self, locked: &Locked<S::File>) -> std::result::Result<Stat, Fenced> {
        match self.system.stat_at(LOCK_NAME) {
            Ok(stat) if stat.id == locked.id => Ok(stat),
            Ok(_) | Err(Errno::NOENT) => Err(self.lose(Loss::Replaced)),
            Err(errno) => Err(Fenced::Unknown(errno)),
        }
    }

    /// Whether no other exclusive holder has written into the file, by a view of it through which
    /// flock does not reach.
    fn same_word(&self, current: &Stat) -> std::result::Result<(), Fenced> {
        let word = self.word.load(Ordering::Acquire);
        if self.mode == Mode::Shared || word == 0 && current.size == 0 {
            return Ok(());
        }
        match self.system.read_word() {
            Ok(Some(found)) if found == word => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(self.lose(Loss::SecondHolder)),
            Err(errno) => Err(Fenced::Unknown(errno)),
        }
    }

    /// No thread of this process ran for so long: it stood still, and others may have taken it for
    /// dead.
    fn has_not_stood_still(&self, now: Duration) -> std::result::Result<(), Fenced> {
        let limit = self.thresholds.lost;
        let before = self.last_seen.fetch_max(nanoseconds(now), Ordering::AcqRel);
        if now.saturating_sub(Duration::from_nanos(before)) > limit {
            return Err(self.lose(Loss::Stalled { limit }));
        }
        self.loss
            .get()
            .map_or(Ok(()), |loss| Err(Fenced::Lost(*loss)))
    }

    fn lose(&self, loss: Loss) -> Fenced {
        Fenced::Lost(*self.loss.get_or_init(|| loss))
    }

    /// Ends the hold without releasing the lock: other processes with the same description go on.
    pub(crate) fn leave(self: &Arc<Self>) {
        if self.system.process() == self.process {
            self.system.heart().remove(self);
        }
    }

    /// Releases the lock. An explicit `LOCK_UN`: a forked child may share the file description, and
    /// then closing this descriptor would leave the lock held for as long as the child lives.
    pub(crate) fn release(self: &Arc<Self>) -> Result<()> {
        if self.system.process() != self.process {
            // For the same reason a child must not unlock what it inherited: the lock is the
            // parent's, and still held.
            return Ok(());
        }
        let Some(locked) = &self.locked else {
            return Ok(());
        };
        // I1 once more: a reference process that shared the lock may have set the time to now since.
        // An exclusive lock kept the time as it is. A touch that fails leaves a lock that is as good
        // as ever.
        if self.mode == Mode::Shared && !locked.read_only {
            let _ = touch(&*self.system, locked);
        }
        // The heart beats until the lock is gone: however slow this thread is, no peer finds the file
        // stale while it is locked.
        let released = self.system.unlock(&locked.file);
        self.system.heart().remove(self);
        released
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}
