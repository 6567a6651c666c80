//! scrypt, with a bound on the memory that it takes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use age::{DecryptError, secrecy::SecretString};
use age_core::format::{FileKey, Stanza};

/// The largest scrypt work factor that is read or written. Each step doubles time and memory: 22
/// takes 4 GiB.
pub const MAX_WORK_FACTOR: u8 = 22;

/// How much memory scrypt takes at the same time in one process, in bytes (512 MiB): two threads at
/// work factor 18. Beyond it they take turns; a work factor that needs more has it all to itself.
const MAX_MEMORY: u64 = 512 << 20;

static MEMORY: Memory = Memory::new();

/// What the derivations of a process take.
struct Memory {
    in_use: Mutex<InUse>,
    given_back: Condvar,
}

struct InUse {
    pid: u32,
    bytes: u64,
}

/// How much one derivation takes, in bytes: 128 × r × N with r = 8, and N as far as it is allowed.
fn memory(work_factor: u8) -> u64 {
    1024 << work_factor.min(MAX_WORK_FACTOR)
}

/// How many derivations run at the same time, at most.
pub(crate) fn at_once(work_factor: u8) -> usize {
    usize::try_from(MAX_MEMORY / memory(work_factor))
        .unwrap_or(usize::MAX)
        .max(1)
}

/// The memory of one derivation, until it is dropped.
pub(crate) struct Share {
    memory: &'static Memory,
    bytes: u64,
}

impl Share {
    /// Waits until there is as much as this work factor takes.
    pub(crate) fn wait_for(work_factor: u8) -> Self {
        MEMORY.wait_for(work_factor)
    }
}

impl Memory {
    const fn new() -> Self {
        Self {
            in_use: Mutex::new(InUse { pid: 0, bytes: 0 }),
            given_back: Condvar::new(),
        }
    }

    fn wait_for(&'static self, work_factor: u8) -> Share {
        let bytes = memory(work_factor);
        let mut in_use = self.lock();
        let pid = std::process::id();
        if in_use.pid != pid {
            // A fork inherits what is taken, and none of the threads that would give it back.
            *in_use = InUse { pid, bytes: 0 };
        }
        while in_use.bytes > 0 && in_use.bytes + bytes > MAX_MEMORY {
            in_use = self
                .given_back
                .wait(in_use)
                .unwrap_or_else(PoisonError::into_inner);
        }
        in_use.bytes += bytes;
        Share {
            memory: self,
            bytes,
        }
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
pub(crate) struct Identity(age::scrypt::Identity);

impl Identity {
    pub(crate) fn new(password: SecretString) -> Self {
        let mut identity = age::scrypt::Identity::new(password);
        // The crate's own limit follows a timing: a slow machine would refuse the default.
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        Self(identity)
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let work_factor = stanza.args.get(1).and_then(|factor| factor.parse().ok());
        let _share = work_factor.map(Share::wait_for);
        self.0.unwrap_stanza(stanza)
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
                    let share = Share::wait_for([1, 17, 18, 18, 19, MAX_WORK_FACTOR][n % 6]);
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
        let share = INHERITED.wait_for(18);
        assert_eq!(INHERITED.lock().bytes, share.bytes);
        drop(share);
        assert_eq!(INHERITED.lock().bytes, 0);
    }
}
