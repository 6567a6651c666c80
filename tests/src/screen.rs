//! What a process has written so far, and waiting for more of it.

use std::{
    io::Read,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

/// Collects what comes out of a pipe or a terminal, so that writing to it never blocks.
#[derive(Clone, Default)]
pub struct Screen(Arc<(Mutex<Text>, Condvar)>);

impl Screen {
    /// Reads `source` to its end, in a thread.
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let screen = Self::default();
        let writer = screen.clone();
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            // A terminal answers EIO when its other side is gone.
            while let Ok(n @ 1..) = source.read(&mut buffer) {
                writer.text().bytes.extend_from_slice(&buffer[..n]);
                writer.0.1.notify_all();
            }
            writer.text().ended = true;
            writer.0.1.notify_all();
        });
        screen
    }

    /// Waits until `wanted` stands at or behind `from`; returns the place behind it.
    ///
    /// # Panics
    /// It is not there after `limit`, or when everything has been written.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str, from: usize, limit: Duration) -> usize {
        let found = self.find(wanted, from, limit);
        found.unwrap_or_else(|| panic!("waited for {wanted:?}, saw {:?}", self.so_far()))
    }

    /// The same; `None` when everything has been written, and it is not there.
    ///
    /// # Panics
    /// There is neither it nor an end after `limit`.
    #[track_caller]
    pub fn find(&self, wanted: &str, from: usize, limit: Duration) -> Option<usize> {
        let deadline = Instant::now() + limit;
        let mut text = self.text();
        loop {
            let found = text.bytes[from..]
                .windows(wanted.len())
                .position(|window| window == wanted.as_bytes());
            if found.is_some() || text.ended {
                return found.map(|at| from + at + wanted.len());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen = String::from_utf8_lossy(&text.bytes).into_owned();
                drop(text);
                panic!("waited for {wanted:?}, saw {seen:?}");
            }
            text = (self.0.1.wait_timeout(text, left))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Everything, after the end. `None` if it does not end within `limit`.
    pub fn all(&self, limit: Duration) -> Option<Vec<u8>> {
        let waited = self
            .0
            .1
            .wait_timeout_while(self.text(), limit, |t| !t.ended);
        let (text, _) = waited.unwrap_or_else(PoisonError::into_inner);
        text.ended.then(|| text.bytes.clone())
    }

    /// What is there now.
    #[must_use]
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text().bytes).into_owned()
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
