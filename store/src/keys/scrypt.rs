//! scrypt, with a bound on the memory that it takes.

use std::{
    io::{self, ErrorKind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use age::{DecryptError, secrecy::SecretString};
use age_core::format::{FileKey, Stanza};

use crate::keys::memory;

/// The largest scrypt work factor that is read or written. Each step doubles time and memory: 22
/// takes 4 GiB.
pub const MAX_WORK_FACTOR: u8 = 22;

/// How much memory scrypt takes at the same time in one process, in bytes (512 MiB): two threads at
/// work factor 18. Beyond it they take turns; a work factor that needs more has it all to itself.
const MAX_MEMORY: u64 = 512 << 20;

static MEMORY: Memory = Memory::new();

/// What the derivations of a process take.
#[derive(Debug)]
struct Memory {
    in_use: Mutex<InUse>,
    given_back: Condvar,
}

#[derive(Debug)]
struct InUse {
    pid: u32,
    bytes: u64,
}

/// How much one derivation takes, in bytes: 128 × r × N with r = 8, and N as far as it is allowed.
pub(crate) fn bytes(work_factor: u8) -> u64 {
    1024 << work_factor.min(MAX_WORK_FACTOR)
}

/// How many derivations run at the same time, at most.
pub(crate) fn at_once(work_factor: u8) -> usize {
    usize::try_from(MAX_MEMORY / bytes(work_factor))
        .unwrap_or(usize::MAX)
        .max(1)
}

/// Why there is no memory for a derivation.
#[derive(Debug)]
pub(crate) struct Scarce {
    /// How much it takes, in bytes.
    pub(crate) needed: u64,
}

/// The memory of one derivation, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: &'static Memory,
    bytes: u64,
}

impl Share {
    /// Waits until there is as much as this work factor takes.
    ///
    /// # Errors
    /// The machine, or a limit of the process, does not have it: to try would end the process.
    pub(crate) fn wait_for(work_factor: u8) -> Result<Self, Scarce> {
        MEMORY.wait_for(work_factor, memory::available)
    }
}

impl Memory {
    const fn new() -> Self {
        Self {
            in_use: Mutex::new(InUse { pid: 0, bytes: 0 }),
            given_back: Condvar::new(),
        }
    }

    fn wait_for(
        &'static self,
        work_factor: u8,
        available: impl Fn() -> u64,
    ) -> Result<Share, Scarce> {
        let bytes = bytes(work_factor);
        let mut in_use = self.lock();
        let pid = std::process::id();
        if in_use.pid != pid {
            // A fork inherits what is taken, and none of the threads that would give it back.
            *in_use = InUse { pid, bytes: 0 };
        }
        // What the others take may not be allocated yet.
        let fits = |in_use: &InUse| {
            let all = in_use.bytes + bytes;
            all <= MAX_MEMORY && all <= available()
        };
        while in_use.bytes > 0 && !fits(&in_use) {
            in_use = self
                .given_back
                .wait(in_use)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if in_use.bytes == 0 && bytes > available() {
            return Err(Scarce { needed: bytes });
        }
        in_use.bytes += bytes;
        Ok(Share {
            memory: self,
            bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.lock().bytes -= self.bytes;
        self.memory.given_back.notify_all();
    }
}

/// Decrypts with a password.
pub(crate) struct Identity {
    identity: age::scrypt::Identity,
    max_work_factor: u8,
}

impl Identity {
    /// With work factors up to this one.
    pub(crate) fn new(password: SecretString, max_work_factor: u8) -> Self {
        let mut identity = age::scrypt::Identity::new(password);
        // The crate's own limit follows a timing: a slow machine would refuse the default.
        identity.set_max_work_factor(max_work_factor);
        Self {
            identity,
            max_work_factor,
        }
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let work_factor = stanza.args.get(1).and_then(|factor| factor.parse().ok());
        let is_allowed = |factor: &u8| *factor <= self.max_work_factor;
        let _share = match work_factor.filter(is_allowed).map(Share::wait_for) {
            Some(Err(_)) => return Some(Err(io::Error::from(ErrorKind::OutOfMemory).into())),
            share => share,
        };
        self.identity.unwrap_stanza(stanza)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn two_run_at_once_at_the_default_and_one_whatever_it_takes() {
        assert_eq!([17, 18, 19, MAX_WORK_FACTOR].map(at_once), [4, 2, 1, 1]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may panic")]
    fn the_limit_is_kept_and_every_wait_ends() {
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for n in 0..64 {
                let (now, most) = (&now, &most);
                scope.spawn(move || {
                    let share = MEMORY
                        .wait_for([1, 17, 18, 18, 19, MAX_WORK_FACTOR][n % 6], || u64::MAX)
                        .unwrap();
                    let taken = now.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                    if share.bytes <= MAX_MEMORY {
                        most.fetch_max(taken, Ordering::SeqCst);
                    } else {
                        assert_eq!(taken, share.bytes, "something beside what needs it all");
                    }
                    thread::yield_now();
                    now.fetch_sub(share.bytes, Ordering::SeqCst);
                });
            }
        });
        let most = most.into_inner();
        assert!((256 << 20..=MAX_MEMORY).contains(&most), "{most}");
    }

    #[test]
    fn what_was_taken_before_a_fork_is_nobodys_after_it() {
        static INHERITED: Memory = Memory::new();
        *INHERITED.lock() = InUse {
            pid: std::process::id() + 1,
            bytes: MAX_MEMORY,
        };
        // Would wait for ever.
        let share = INHERITED.wait_for(18, || u64::MAX).unwrap();
        assert_eq!(INHERITED.lock().bytes, share.bytes);
        drop(share);
        assert_eq!(INHERITED.lock().bytes, 0);
    }

    #[test]
    fn what_the_machine_does_not_have_is_refused_not_tried() {
        static SMALL: Memory = Memory::new();
        let available = || 300 << 20;
        let scarce = SMALL.wait_for(MAX_WORK_FACTOR, available).unwrap_err();
        assert_eq!(scarce.needed, 4 << 30);
        let first = SMALL.wait_for(17, available).unwrap();
        drop(first);
        drop(SMALL.wait_for(18, available).unwrap());
    }
}
