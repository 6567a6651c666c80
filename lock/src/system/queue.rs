//! Places in the kernel's queue that can be left again.
//!
//! flock(2) waits without a deadline. So a thread waits, and hands over the lock that it gets. It is
//! one thread per lock file and mode, however many callers of the process wait: they form a [`Line`]
//! behind it. When all of them have given up, it stays in the kernel until the holder lets go, and
//! serves the next caller that comes; a lock that it is granted for no caller it releases at once.
//! So a process whose waits are given up again and again keeps one thread and one descriptor.
//!
//! Where no thread can be had, the caller asks again and again itself, until its deadline.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Mode,
    protocol::hold::Locked,
    system::{FileId, Result, kernel},
};

/// The lines of this process. A line is in here as long as it takes callers.
static LINES: Mutex<Vec<Arc<Line>>> = Mutex::new(Vec::new());

/// How long a caller without a thread sleeps between two tries: first, and at most.
const NAPS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// A caller's place.
#[derive(Debug)]
pub(crate) struct Place(Waits);

#[derive(Debug)]
enum Waits {
    InLine {
        line: Arc<Line>,
        number: u64,
    },
    ByItself {
        file: OwnedFd,
        key: Key,
        nap: Duration,
    },
    /// It has the lock, or an error.
    NoLonger,
}

/// Callers with the same key may have each other's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    id: FileId,
    mode: Mode,
    read_only: bool,
    /// A fork inherits the lines, but not their threads.
    process: u64,
}

#[derive(Debug)]
struct Line {
    key: Key,
    state: Mutex<State>,
    changed: Condvar,
}

/// Under a mutex, so that a lock that is granted while a caller gives up is either handed over or
/// released, and never forgotten.
#[derive(Debug, Default)]
struct State {
    /// Those that wait, in the order in which they came.
    tickets: VecDeque<Ticket>,
    /// What was granted and has not been picked up yet.
    served: Vec<(u64, Result<OwnedFd>)>,
    /// How many have come.
    count: u64,
    /// The thread has ended, or is about to: no caller may join.
    over: bool,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    /// None while the thread waits with it.
    file: Option<OwnedFd>,
}

impl Place {
    pub(crate) fn take(locked: Locked<OwnedFd>, mode: Mode, process: u64) -> Self {
        let Locked {
            file,
            id,
            read_only,
            ..
        } = locked;
        let key = Key {
            id,
            mode,
            read_only,
            process,
        };
        Self(join(file, key).unwrap_or_else(|file| Waits::ByItself {
            file,
            key,
            nap: NAPS.0,
        }))
    }

    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<OwnedFd>> {
        let end = Instant::now() + patience.min(Duration::from_secs(3600));
        let (waits, answer) = match std::mem::replace(&mut self.0, Waits::NoLonger) {
            // Perhaps there are threads again.
            Waits::ByItself { file, key, nap } => match join(file, key) {
                Ok(waits) => waits.wait(end),
                Err(file) => Waits::ByItself { file, key, nap }.wait(end),
            },
            waits => waits.wait(end),
        };
        self.0 = waits;
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Waits::InLine { line, number } = &self.0 else {
            return;
        };
        let mut state = line.lock();
        let served = state.take_served(*number);
        let waiting = state
            .tickets
            .iter()
            .position(|ticket| ticket.number == *number);
        let ticket = waiting.and_then(|index| state.tickets.remove(index));
        // A file system that does not answer may block a close: not under the mutex.
        drop(state);
        drop(ticket);
        if let Some(Ok(file)) = served {
            let _ = kernel::unlock(&file);
        }
    }
}

impl Waits {
    fn wait(self, end: Instant) -> (Self, Result<Option<OwnedFd>>) {
        match self {
            Self::InLine { line, number } => match line.wait(number, end) {
                Some(answer) => (Self::NoLonger, answer.map(Some)),
                None => (Self::InLine { line, number }, Ok(None)),
            },
            Self::ByItself { file, key, mut nap } => loop {
                match kernel::try_flock(&file, key.mode) {
                    Ok(true) => return (Self::NoLonger, Ok(Some(file))),
                    Ok(false) => {}
                    Err(errno) => return (Self::NoLonger, Err(errno)),
                }
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return (Self::ByItself { file, key, nap }, Ok(None));
                }
                thread::sleep(nap.min(left));
                nap = (nap * 2).min(NAPS.1);
            },
            Self::NoLonger => (Self::NoLonger, Ok(None)),
        }
    }
}

/// Joins the line for this lock, or begins it. The file comes back where no thread can be had.
fn join(file: OwnedFd, key: Key) -> std::result::Result<Waits, OwnedFd> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    // What a fork has inherited is of no use to it.
    lines.retain(|line| line.key.process == key.process);
    let mut open = lines.iter().filter(|line| line.key == key);
    if let Some((line, state)) = open.find_map(|line| Some((line, line.open()?))) {
        let number = join_line(state, file);
        let line = Arc::clone(line);
        return Ok(Waits::InLine { line, number });
    }
    let line = Arc::new(Line {
        key,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    // Before the thread looks at it.
    let state = line.lock();
    let served = Arc::clone(&line);
    let thread = thread::Builder::new()
        .name("posixage-queue".into())
        .stack_size(64 * 1024)
        .spawn(move || served.serve());
    if thread.is_err() {
        return Err(file);
    }
    let number = join_line(state, file);
    lines.push(Arc::clone(&line));
    Ok(Waits::InLine { line, number })
}

fn join_line(mut state: MutexGuard<'_, State>, file: OwnedFd) -> u64 {
    let number = state.count;
    state.count += 1;
    let file = Some(file);
    state.tickets.push_back(Ticket { number, file });
    number
}

impl Line {
    /// What the thread does: waits for the lock for the first of the line, and so on until there is
    /// none.
    fn serve(self: &Arc<Self>) {
        let mut file = self.lock().next_file(None);
        while let Some(asked) = file.take() {
            let answer = kernel::blocking_flock(&asked, self.key.mode);
            let mut state = self.lock();
            let Some(first) = state.tickets.pop_front() else {
                // Over before it is released, so that no caller joins in vain.
                state.over = true;
                drop(state);
                // Explicit: a forked child may share the description, and closing would not do.
                let _ = kernel::unlock(&asked);
                break;
            };
            let answer = answer.map(|()| asked);
            state.served.push((first.number, answer));
            file = state.next_file(first.file);
            drop(state);
            self.changed.notify_all();
        }
        self.close();
    }

    fn close(self: &Arc<Self>) {
        self.lock().over = true;
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| !Arc::ptr_eq(line, self));
    }

    /// Waits until `end` for what is granted; none if nothing was.
    fn wait(&self, number: u64, end: Instant) -> Option<Result<OwnedFd>> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.take_served(number) {
                return Some(answer);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    /// The state, if the line still takes callers.
    fn open(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.lock()).filter(|state| !state.over)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_served(&mut self, number: u64) -> Option<Result<OwnedFd>> {
        let index = self
            .served
            .iter()
            .position(|(served, _)| *served == number)?;
        Some(self.served.swap_remove(index).1)
    }

    /// The file to wait with next: one that is left over, or the first caller's own. None, and the
    /// line is over, when there is no caller.
    fn next_file(&mut self, spare: Option<OwnedFd>) -> Option<OwnedFd> {
        let file = self
            .tickets
            .front_mut()
            .and_then(|first| spare.or_else(|| first.file.take()));
        self.over = file.is_none();
        file
    }
}
