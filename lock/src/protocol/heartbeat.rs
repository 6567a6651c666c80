//! The heartbeat: one thread of the process keeps all its locks fresh.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{protocol::hold::Hold, system::System, wait::Thresholds};

/// The locks that a process holds.
///
/// While there are any, a thread beats for them. It goes when it finds none at a beat, so at most
/// one interval after the last was released; a program that locks again and again within that time
/// starts no second one. It never keeps the process from ending.
#[derive(Debug)]
pub(crate) struct Heart<S: System> {
    state: Mutex<State<S>>,
    hurry: Condvar,
}

#[derive(Debug)]
struct State<S: System> {
    pid: u32,
    holds: Vec<Arc<Hold<S>>>,
    /// How often the thread beats; none while there is no thread.
    interval: Option<Duration>,
}

impl<S: System> Heart<S> {
    pub(crate) const fn new() -> Self {
        let state = State {
            pid: 0,
            holds: Vec::new(),
            interval: None,
        };
        Self {
            state: Mutex::new(state),
            hurry: Condvar::new(),
        }
    }

    /// Adds a lock. True when there is no thread yet: the caller starts it.
    pub(crate) fn add(&self, hold: &Arc<Hold<S>>) -> bool {
        let mut state = self.lock();
        if state.pid != hold.pid {
            // A fork inherits the list but neither the thread nor the locks in it.
            *state = State {
                pid: hold.pid,
                holds: Vec::new(),
                interval: None,
            };
        }
        state.holds.push(Arc::clone(hold));
        let wanted = hold.thresholds.heartbeat;
        match state.interval {
            Some(interval) if interval <= wanted => false,
            Some(_) => {
                state.interval = Some(wanted);
                self.hurry.notify_one();
                false
            }
            None => {
                state.interval = Some(wanted);
                true
            }
        }
    }

    pub(crate) fn remove(&self, hold: &Arc<Hold<S>>) {
        let mut state = self.lock();
        if let Some(index) = state.holds.iter().position(|held| Arc::ptr_eq(held, hold)) {
            state.holds.swap_remove(index);
        }
    }

    /// One beat of every lock. The list is copied, so that nobody who locks or unlocks waits for a
    /// slow file system.
    pub(crate) fn beat(&self) {
        let holds = self.lock().holds.clone();
        for hold in &holds {
            hold.beat();
        }
    }

    /// Whether there is a lock to beat for.
    #[cfg(test)]
    pub(crate) fn is_beating(&self) -> bool {
        !self.lock().holds.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Heart<S>
where
    S: System + Send + Sync + 'static,
    S::File: Send + Sync,
{
    /// Starts the thread.
    pub(crate) fn start(&'static self) {
        let thread = thread::Builder::new()
            .name("posixage-heart".into())
            .stack_size(128 * 1024);
        if let Err(error) = thread.spawn(|| self.run()) {
            // The lock is good all the same, for as long as a lock may go without a beat.
            tracing::warn!("no heartbeat for the lock: {error}");
            self.lock().interval = None;
        }
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let interval = state.interval.unwrap_or(Thresholds::STANDARD.heartbeat);
            state = self
                .hurry
                .wait_timeout(state, interval)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            if state.holds.is_empty() {
                state.interval = None;
                return;
            }
            drop(state);
            self.beat();
            state = self.lock();
        }
    }
}
