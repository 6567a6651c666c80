//! The heartbeat: keeps all locks of the process fresh.
//!
//! One thread, the pacer, wakes at every beat and touches no file system: it shows that the process
//! runs. The files are touched by a thread for each file system that has a lock, which lasts for one
//! beat. So a file system that does not answer delays no beat on another.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{protocol::hold::Hold, system::System, wait::Thresholds};

/// The locks that a process holds.
///
/// While there are any, a thread beats for them. It ends when it finds none at a beat, so at most
/// one interval after the last was released; a program that locks again and again within that time
/// starts no second one. It never keeps the process from ending.
#[derive(Debug)]
pub(crate) struct Heart<S: System> {
    state: Mutex<State<S>>,
    hurry: Condvar,
}

#[derive(Debug)]
struct State<S: System> {
    process: u64,
    holds: Vec<Arc<Hold<S>>>,
    /// How often the thread beats; none while there is no thread.
    interval: Option<Duration>,
    /// The devices on which the last beat has not ended yet.
    beating: Vec<u64>,
}

impl<S: System> State<S> {
    const fn new(process: u64) -> Self {
        Self {
            process,
            holds: Vec::new(),
            interval: None,
            beating: Vec::new(),
        }
    }
}

impl<S: System> Heart<S> {
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(State::new(0)),
            hurry: Condvar::new(),
        }
    }

    /// Adds a lock. True when there is no thread: the caller starts it.
    pub(crate) fn add(&self, hold: &Arc<Hold<S>>) -> bool {
        let mut state = self.lock();
        if state.process != hold.process {
            // A fork inherits the list but neither the thread nor the locks in it. What is dropped
            // is only closed, and not under the mutex.
            let inherited = mem::replace(&mut *state, State::new(hold.process));
            drop(state);
            drop(inherited);
            state = self.lock();
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

    /// Whether the thread is missing although there is a lock: where none could be had, it is tried
    /// again at each beat that it should have had. True: the caller starts it.
    pub(crate) fn is_missing(&self, interval: Duration) -> bool {
        let mut state = self.lock();
        let missing = state.interval.is_none();
        state.interval.get_or_insert(interval);
        missing
    }

    pub(crate) fn remove(&self, hold: &Arc<Hold<S>>) {
        let mut state = self.lock();
        if let Some(index) = state.holds.iter().position(|held| Arc::ptr_eq(held, hold)) {
            state.holds.swap_remove(index);
        }
    }

    /// One beat of every lock, one after the other. The list is copied, so that no caller that locks
    /// or unlocks waits for a slow file system.
    #[cfg(test)]
    pub(crate) fn beat(&self) {
        let holds = self.lock().holds.clone();
        for hold in &holds {
            hold.beat();
        }
    }

    /// A lock that is held, for a beat whose calls are taken apart.
    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<Arc<Hold<S>>> {
        self.lock().holds.first().cloned()
    }

    /// As if the thread could not be started.
    #[cfg(test)]
    pub(crate) fn forget_thread(&self) {
        self.lock().interval = None;
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
    /// Starts the thread. Where none can be had, the lock is good for as long as it may go without a
    /// beat, and the next fence or the next lock of the process tries again.
    pub(crate) fn start(&'static self) {
        let thread = thread::Builder::new()
            .name("posixage-heart".into())
            .stack_size(64 * 1024);
        if thread.spawn(|| self.pace()).is_err() {
            self.lock().interval = None;
        }
    }

    fn pace(&'static self) {
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
            for hold in &state.holds {
                hold.show_life();
            }
            let due = state.due();
            drop(state);
            for (device, holds) in due {
                self.beat_on(device, holds);
            }
            state = self.lock();
        }
    }

    /// One beat of the locks on a file system, on a thread of its own.
    fn beat_on(&'static self, device: u64, holds: Vec<Arc<Hold<S>>>) {
        let holds = Arc::new(holds);
        let theirs = Arc::clone(&holds);
        let beat = move |holds: &[Arc<Hold<S>>]| {
            for hold in holds {
                hold.beat();
            }
            self.lock().beating.retain(|beating| *beating != device);
        };
        let thread = thread::Builder::new()
            .name("posixage-beat".into())
            .stack_size(64 * 1024);
        if thread.spawn(move || beat(&theirs)).is_err() {
            beat(&holds);
        }
    }
}

type Due<S> = Vec<(u64, Vec<Arc<Hold<S>>>)>;

impl<S: System> State<S> {
    /// The locks by file system, less the file systems that have yet to answer the last beat.
    fn due(&mut self) -> Due<S> {
        let mut due: Due<S> = Vec::new();
        for hold in &self.holds {
            let Some(locked) = &hold.locked else { continue };
            let device = locked.id.device;
            if self.beating.contains(&device) {
                continue;
            }
            match due.iter_mut().find(|(known, _)| *known == device) {
                Some((_, holds)) => holds.push(Arc::clone(hold)),
                None => due.push((device, vec![Arc::clone(hold)])),
            }
        }
        self.beating.extend(due.iter().map(|(device, _)| *device));
        due
    }
}
