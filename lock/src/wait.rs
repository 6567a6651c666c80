//! How long to wait, and the protocol's fixed times.

use std::time::{Duration, Instant};

use crate::system::System;

/// How long to wait for a lock that another process holds.
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

    /// The wait's beginning and end by the system's monotonic clock; none for no wait at all.
    pub(crate) fn begin<S: System>(&mut self, system: &S) -> Option<Begun> {
        if self.begun.is_none() {
            let length = match self.wait {
                Wait::Try => Duration::ZERO,
                Wait::For(length) => length,
                Wait::Until(end) => end.saturating_duration_since(Instant::now()),
            };
            if !length.is_zero() {
                let at = system.monotonic();
                let until = at.saturating_add(length);
                self.begun = Some(Begun { at, until });
            }
        }
        self.begun
    }
}

/// The protocol's times. Private, and a struct, so that tests can shorten them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    /// A holder refreshes its lock file this often, so that a beat that comes late comes within
    /// five seconds. The reference calls a file stale after 30 s: several may go missing.
    pub(crate) heartbeat: Duration,
    /// A holder that has not refreshed its file for longer than this has lost the lock: well
    /// before anybody may call the file stale.
    pub(crate) lost: Duration,
    /// A holder whose file has not been refreshed for this long may be taken over.
    pub(crate) stale: Duration,
    /// A peer that has found the file stale removes it within this time, unless it is stopped.
    pub(crate) removal: Duration,
    /// A waiter looks this often whether it waits for the right inode.
    pub(crate) look: Duration,
    /// A wait is announced after this long.
    pub(crate) notice: Duration,
}

impl Thresholds {
    pub(crate) const STANDARD: Self = Self {
        heartbeat: Duration::from_secs(4),
        lost: Duration::from_secs(20),
        stale: Duration::from_secs(30),
        removal: Duration::from_millis(50),
        look: Duration::from_secs(1),
        notice: Duration::from_secs(1),
    };
}
