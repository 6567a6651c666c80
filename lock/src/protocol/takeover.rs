//! Taking the lock from a holder that stands still.
//!
//! The kernel releases what a dead holder held, so this is only for one that lives and does not
//! move: stopped, frozen, or on another machine. It is never done unasked.
//!
//! The lock file is not removed but exchanged for a new one that is locked already, so that at every
//! moment there is one at the path, and no process can lock it in between. The old holder keeps a lock
//! on an inode that is at the path no longer, and fails its fence when it goes on.

use std::time::Duration;

use rustix::io::Errno;

use crate::{
    Error,
    protocol::{
        acquire::Contender,
        hold::Locked,
        touch::{Reach, touch},
    },
    system::{LOCK_NAME, Name, Stat, System},
    wait::Thresholds,
};

/// The new lock file before the exchange, and the old one after it. Always the same name: it is
/// used only under the recovery mutex, so that what is found there was left by a process that was
/// killed.
pub(crate) const SPARE_NAME: &Name = c".posixage.lock.takeover";

/// A look at a lock file's heartbeat, again and again.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<Look>,
    /// For how long the heartbeat has been seen to stand still.
    still: Duration,
}

#[derive(Debug)]
struct Look {
    at: Duration,
    mtime: Duration,
    stopped: bool,
}

impl Watch {
    /// Looks once more. True when the holder has not moved for as long as it takes.
    ///
    /// Unwatched time hardly counts: after a suspend, or a stop of our own, the holder
    /// gets the chance to beat again. And a new waiter touches the file, too; that is no sign
    /// of life from holders of which all are `stopped`.
    pub(crate) fn look(
        &mut self,
        at: Duration,
        mtime: Duration,
        stopped: bool,
        times: &Thresholds,
    ) -> bool {
        self.still = match &self.last {
            Some(last) if last.mtime == mtime || last.stopped && stopped => {
                self.still + at.saturating_sub(last.at).min(times.look * 2)
            }
            _ => Duration::ZERO,
        };
        self.last = Some(Look { at, mtime, stopped });
        self.still >= times.stale
    }
}

impl<S: System> Contender<'_, S> {
    /// Replaces a stale lock file by a new, locked one. None when another process is at it,
    /// or when the old one turns out not to be stale.
    pub(crate) fn take_over(&self, stale: &Stat) -> Result<Option<Locked<S::File>>, Error> {
        let system = &**self.system;
        // The recovery mutex: of several that find the holder stale one replaces the file, and the
        // others find it replaced. Otherwise the second would replace the first's new file.
        let recovery = system
            .lock_directory()
            .map_err(|errno| self.flock_failed(errno))?;
        let Some(recovery) = recovery else {
            return Ok(None);
        };
        let taken = self.replace(stale);
        system
            .unlock(&recovery)
            .map_err(|errno| self.flock_failed(errno))?;
        taken
    }

    fn replace(&self, stale: &Stat) -> Result<Option<Locked<S::File>>, Error> {
        let system = &**self.system;
        let file = match system.create(SPARE_NAME) {
            Err(Errno::EXIST) => {
                system
                    .remove(SPARE_NAME)
                    .map_err(|errno| self.failed("take over", errno))?;
                system.create(SPARE_NAME)
            }
            answer => answer,
        }
        .map_err(|errno| self.failed("take over", errno))?;

        let taken = self.exchange(file, stale);
        // Ours if the exchange did not come about, the stale one if it did. One that stays behind is
        // in no way, and removed by the next takeover.
        let _ = system.remove(SPARE_NAME);
        taken
    }

    fn exchange(&self, file: S::File, stale: &Stat) -> Result<Option<Locked<S::File>>, Error> {
        let system = &**self.system;
        let id = system
            .stat(&file)
            .map_err(|errno| self.failed("stat", errno))?
            .id;
        let locked = Locked {
            file,
            id,
            read_only: false,
            reach: Reach::default(),
        };
        // Locked and fresh before it is at the path (I1): it is never there for others to lock, nor
        // for others to call stale.
        if !system
            .try_flock(&locked.file, self.mode)
            .map_err(|errno| self.flock_failed(errno))?
        {
            return Ok(None);
        }
        touch(system, &locked).map_err(|errno| self.failed("touch", errno))?;

        match system.exchange(SPARE_NAME, LOCK_NAME) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(errno @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV)) => {
                return Err(Error::Unsupported {
                    path: self.path.into(),
                    call: "renameat2 with RENAME_EXCHANGE",
                    source: errno.into(),
                });
            }
            Err(errno) => return Err(self.failed("take over", errno)),
        }

        // The holder may have come back to life, or the file may have been replaced, since it was
        // last looked at. Then it goes back to where it was; otherwise we would have taken the lock
        // from a holder that uses it.
        match system.stat_at(SPARE_NAME) {
            Ok(displaced) if displaced == *stale => return Ok(Some(locked)),
            Ok(_) => {}
            // It was swept away. The file at the path is ours, but with what right?
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("stat", errno)),
        }
        match system.exchange(SPARE_NAME, LOCK_NAME) {
            Ok(()) => {}
            // A peer removed ours in the meantime.
            Err(Errno::NOENT) => match system.rename(SPARE_NAME, LOCK_NAME) {
                Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
                Err(errno) => return Err(self.failed("take over", errno)),
            },
            Err(errno) => return Err(self.failed("take over", errno)),
        }
        system
            .unlock(&locked.file)
            .map_err(|errno| self.flock_failed(errno))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Thresholds = Thresholds::STANDARD;

    /// Looks once a second; says after how many the holder counts as stale.
    fn looks(beat: impl Fn(u64) -> u64, stopped: impl Fn(u64) -> bool) -> Option<u64> {
        let mut watch = Watch::default();
        (0..100).find(|&second| {
            let (at, mtime) = (
                Duration::from_secs(second),
                Duration::from_secs(beat(second)),
            );
            watch.look(at, mtime, stopped(second), &TIMES)
        })
    }

    #[test]
    fn a_holder_that_stands_still_is_stale_after_thirty_seconds() {
        assert_eq!(looks(|_| 0, |_| false), Some(30));
        assert_eq!(looks(|second| second.min(7), |_| false), Some(37));
    }

    #[test]
    fn a_holder_that_beats_is_never_stale() {
        assert_eq!(looks(|second| second / 29, |_| false), None);
    }

    #[test]
    fn a_waiter_behind_a_stopped_holder_is_no_sign_of_life() {
        assert_eq!(looks(|second| second, |_| true), Some(30));
        assert_eq!(looks(|second| second, |second| second % 20 != 0), None);
    }

    #[test]
    fn unwatched_time_hardly_counts() {
        let mut watch = Watch::default();
        for hour in 0..10 {
            assert!(!watch.look(
                Duration::from_secs(hour * 3600),
                Duration::ZERO,
                false,
                &TIMES
            ));
        }
    }
}
