//! How long to wait, and the protocol's fixed times.

use std::time::{Duration, Instant};

use crate::system::System;

/// How long to wait for a lock that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Try,
    /// This long. Time during which the machine is suspended does not count.
    For(Duration),
    /// Until then.
    Until(Instant),
}

impl Default for Wait {
    /// Thirty seconds.
    fn default() -> Self {
        Self::For(Duration::from_secs(30))
    }
}

/// When a wait ends. Begins with the first refusal, so that a lock that is free costs no look at
/// the clock.
#[derive(Debug)]
pub(crate) struct Deadline {
    wait: Wait,
    begun: Option<Begun>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) at: Duration,
    pub(crate) until: Duration,
}

impl Deadline {
    pub(crate) fn new(wait: Wait) -> Self {
        Self { wait, begun: None }
    }

    /// The wait's beginning and end by the system's monotonic clock; none for [`Wait::Try`].
    pub(crate) fn begin<S: System>(&mut self, system: &S) -> Option<Begun> {
        let length = match self.wait {
            Wait::Try => return None,
            Wait::For(length) => length,
            Wait::Until(end) => end.saturating_duration_since(Instant::now()),
        };
        Some(*self.begun.get_or_insert_with(|| {
            let at = system.monotonic();
            Begun {
                at,
                until: at.saturating_add(length),
            }
        }))
    }
}

/// The protocol's times. Private, and a struct, so that tests can shorten them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    /// A holder refreshes its lock file this often. The reference calls a file stale after 30 s,
    /// and our own waiters do, so several beats may go missing.
    pub(crate) heartbeat: Duration,
    /// A holder that has not refreshed its file for longer than this has lost the lock: well
    /// before anybody may call the file stale.
    pub(crate) lost: Duration,
    /// A holder whose file has not been refreshed for this long may be taken over.
    pub(crate) stale: Duration,
    /// A waiter looks this often whether it waits for the right inode.
    pub(crate) look: Duration,
    /// A wait is announced after this long.
    pub(crate) notice: Duration,
}

impl Thresholds {
    pub(crate) const STANDARD: Self = Self {
        heartbeat: Duration::from_secs(5),
        lost: Duration::from_secs(20),
        stale: Duration::from_secs(30),
        look: Duration::from_secs(1),
        notice: Duration::from_secs(1),
    };
}
