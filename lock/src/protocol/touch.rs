//! The lock file's time: what it is set to, and what it says about the last beat.
//!
//! The reference removes a lock file whose time is 30 s in the past. So ours is set years ahead: no
//! reference process removes it, however long this process is stopped, the wall clock jumps, or the
//! store lies idle. It still moves with each beat, so that the age of a beat can be told.
//!
//! The time is set to now instead where it cannot be set ahead: the file belongs to another user
//! (an explicit time needs ownership), or the file system keeps no such time. Then the lock is as
//! good as its heartbeat.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rustix::io::Errno;

use crate::{
    protocol::hold::{Locked, nanoseconds},
    system::{Result, System},
};

/// How far ahead. Long enough for a store that lies idle and for a clock that was wrong; short enough
/// that until 2033 it is before January 2038, where file systems with 32-bit times end.
pub(crate) const AHEAD: Duration = Duration::from_secs(5 * 31_557_600);

/// The last second of a signed 32-bit time. File systems that end there set any later time to it.
const LAST_32_BIT_SECOND: u64 = i32::MAX as u64;

/// File systems keep times in steps of up to two seconds.
const GRANULARITY: Duration = Duration::from_secs(2);

/// A peer may set the time to now between our touch and our next look at it. More than the longest
/// interval between the two in a lock that is not lost.
const UNTIL_NEXT_LOOK: Duration = Duration::from_secs(60);

/// How old the last touch is at `now`, of a file touched by ours or by the reference. None when the
/// file system did not keep the time.
pub(crate) fn age(now: Duration, mtime: Duration) -> Option<Duration> {
    if mtime.as_secs() == LAST_32_BIT_SECOND {
        return None;
    }
    let touched = match mtime > now + AHEAD / 2 {
        true => mtime.saturating_sub(AHEAD),
        false => mtime,
    };
    Some(now.saturating_sub(touched))
}

/// What has been found out about setting one lock file's time.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// A time ahead is refused, or not kept.
    only_now: AtomicBool,
    /// The time ahead that was set last, in nanoseconds since the epoch; zero for none.
    set: AtomicU64,
}

impl Reach {
    /// Compares the file's time with the one that was set. A time that is not kept does not move
    /// with the beats, and a holder whose file does not move is taken for stale.
    ///
    /// True when it is kept, or nothing is known to the contrary.
    pub(crate) fn keeps(&self, mtime: Duration) -> bool {
        let set = Duration::from_nanos(self.set.load(Ordering::Relaxed));
        if set.is_zero() || is_kept(set, mtime) {
            return true;
        }
        self.only_now.store(true, Ordering::Relaxed);
        self.set.store(0, Ordering::Relaxed);
        false
    }
}

fn is_kept(set: Duration, mtime: Duration) -> bool {
    let behind = set.saturating_sub(mtime);
    let set_to_now_by_a_peer = AHEAD - UNTIL_NEXT_LOOK..=AHEAD + GRANULARITY;
    behind <= GRANULARITY || set_to_now_by_a_peer.contains(&behind)
}

/// I1: sets the lock file's time years ahead, or to now where that is not to be had.
pub(crate) fn touch<S: System>(system: &S, locked: &Locked<S::File>) -> Result<()> {
    let reach = &locked.reach;
    if !reach.only_now.load(Ordering::Relaxed) {
        match system.touch_ahead(&locked.file, AHEAD) {
            Ok(time) => {
                reach.set.store(nanoseconds(time), Ordering::Relaxed);
                return Ok(());
            }
            Err(
                Errno::PERM
                | Errno::ACCESS
                | Errno::INVAL
                | Errno::RANGE
                | Errno::OVERFLOW
                | Errno::OPNOTSUPP
                | Errno::NOSYS,
            ) => reach.only_now.store(true, Ordering::Relaxed),
            Err(Errno::ROFS) if locked.read_only => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    match system.touch(&locked.file) {
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if locked.read_only => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_age_of_a_beat_is_told_from_both_kinds_of_time() {
        for passed in [0, 3, 29, 31, 86_400, 365 * 86_400].map(Duration::from_secs) {
            assert_eq!(age(NOW + passed, NOW + AHEAD), Some(passed));
            assert_eq!(age(NOW + passed, NOW), Some(passed));
        }
        // A clock that was set back.
        assert_eq!(age(NOW - SECOND * 3600, NOW + AHEAD), Some(Duration::ZERO));
        assert_eq!(age(NOW - SECOND * 3600, NOW), Some(Duration::ZERO));
        // An idle file of ours, for longer than it was set ahead.
        assert_eq!(age(NOW + AHEAD * 2, NOW + AHEAD), Some(AHEAD));
    }

    #[test]
    fn a_time_at_the_end_of_a_32_bit_file_system_says_nothing() {
        let end = Duration::new(LAST_32_BIT_SECOND, 0);
        assert_eq!(age(end - AHEAD / 2, end), None);
    }

    #[test]
    fn a_time_that_is_not_kept_is_told_from_a_coarse_one_and_from_a_peers() {
        let set = NOW + AHEAD;
        for kept in [set, set - SECOND, set + SECOND * 9, NOW, NOW + SECOND * 30] {
            assert!(is_kept(set, kept), "{kept:?}");
        }
        let clamped = set - SECOND * 86_400;
        let wrapped = Duration::ZERO;
        let ignored = NOW - SECOND * 3;
        for not_kept in [clamped, wrapped, ignored] {
            assert!(!is_kept(set, not_kept), "{not_kept:?}");
        }
    }
}
