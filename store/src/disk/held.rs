//! The store's lock while it is held, as types: a function that needs it says so.

use std::ops::Deref;

use posixage_lock::{Error, Guard, LockFile, Mode, Wait};

/// The lock, held shared at least: no writer changes what is read.
#[must_use = "the lock is released as soon as this is dropped"]
pub(crate) struct Shared(Guard);

/// The lock, held exclusively: nothing else reads or writes.
#[must_use = "the lock is released as soon as this is dropped"]
pub(crate) struct Exclusive(Shared);

impl Shared {
    pub(crate) fn acquire(lock: &LockFile, wait: Wait) -> Result<Self, Error> {
        lock.acquire(Mode::Shared, wait).map(Self)
    }

    /// The fence: whether the lock is still held.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        self.0.verify()
    }
}

impl Exclusive {
    pub(crate) fn acquire(lock: &LockFile, wait: Wait) -> Result<Self, Error> {
        let guard = lock.acquire(Mode::Exclusive, wait)?;
        Ok(Self(Shared(guard)))
    }
}

/// An exclusive lock allows all that a shared one does.
impl Deref for Exclusive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
