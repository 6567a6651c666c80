//! Telling a caller that it waits, and for which holder.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    Status,
    system::{System, kernel::Kernel},
};

type Notice = dyn Fn(&Status) + Send + Sync;

/// A caller's notice.
#[derive(Clone)]
pub(crate) struct Announcer(Arc<Inner>);

struct Inner {
    system: Arc<Kernel>,
    notice: Box<Notice>,
    busy: AtomicBool,
}

impl Announcer {
    pub(crate) fn new(system: Arc<Kernel>, notice: Box<Notice>) -> Self {
        Self(Arc::new(Inner {
            system,
            notice,
            busy: AtomicBool::new(false),
        }))
    }

    /// Gives the notice, from a thread of its own. A notice may hang: standard error on a terminal
    /// that was stopped with Ctrl-S, a full pipe. The thread that waits may be granted the lock in
    /// the meantime, and would keep it for as long, without a heartbeat.
    ///
    /// No notice where no thread can be had, and none while the last one hangs.
    pub(crate) fn announce(&self) {
        if self.0.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let inner = Arc::clone(&self.0);
        let thread = thread::Builder::new()
            .name("posixage-notice".into())
            .spawn(move || {
                (inner.notice)(&in_the_way(&*inner.system));
                inner.busy.store(false, Ordering::Release);
            });
        if thread.is_err() {
            self.0.busy.store(false, Ordering::Release);
        }
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").finish_non_exhaustive()
    }
}

/// What is known of those that keep this process waiting.
pub(crate) fn in_the_way<S: System>(system: &S) -> Status {
    // The kernel lists locks a page at a time, and may pass over one while others come and go.
    let mut status = Status::default();
    for _ in 0..3 {
        status = system.status().unwrap_or_default();
        if !status.holders.is_empty() {
            break;
        }
    }
    // This process was refused.
    if status.holders.is_empty() && !status.is_complete {
        status.held = Some(true);
    }
    let own = system.pid();
    status.waiters.retain(|pid| *pid != own);
    status
}
