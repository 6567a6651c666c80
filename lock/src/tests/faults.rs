//! Every system call fails once, in every way that matters: the lock is an error and nothing stays
//! behind.

use std::{
    cell::Cell,
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;

use super::{lock_in, root};
use crate::{
    Error, FILE_NAME, Mode, Status, Takeover, Wait,
    protocol::{
        acquire::Contender,
        heartbeat::Heart,
        hold::{Fenced, Hold, Locked},
        touch::touch,
    },
    system::{Access, Name, Result, Stat, System, kernel::Kernel, queue::Place},
};

/// The kernel, with one call that fails.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) kernel: Kernel,
    pub(super) calls: Cell<usize>,
    /// Which call fails, counted from zero.
    pub(super) fails: Option<usize>,
    /// All calls of this kind fail.
    pub(super) refuses: Option<&'static str>,
    /// The file system sets every time ahead to this one.
    pub(super) clamps: Option<SystemTime>,
    /// A peer removes this file while a removal is waited for.
    pub(super) removed: Option<PathBuf>,
    pub(super) pauses: Cell<usize>,
    pub(super) errno: Errno,
    pub(super) process: Cell<u64>,
    pub(super) is_local: bool,
    /// A view of the file through which flock does not reach.
    pub(super) is_blind: bool,
    /// How often the heartbeat's thread was to be started.
    pub(super) started: Cell<usize>,
    pub(super) heart: Heart<Faulty>,
}

impl Faulty {
    pub(super) fn new(root: &Path, errno: Errno) -> Self {
        Self {
            kernel: Kernel::new(fs::File::open(root).unwrap().into()),
            calls: Cell::new(0),
            fails: None,
            refuses: None,
            clamps: None,
            removed: None,
            pauses: Cell::new(0),
            errno,
            process: Cell::new(1),
            is_local: true,
            is_blind: false,
            started: Cell::new(0),
            heart: Heart::new(),
        }
    }

    fn call(&self, name: &'static str) -> Result<()> {
        let number = self.calls.replace(self.calls.get() + 1);
        let fails = self.fails == Some(number) || self.refuses == Some(name);
        if fails { Err(self.errno) } else { Ok(()) }
    }
}

impl System for Faulty {
    type File = OwnedFd;
    type Place = Place;

    fn open(&self, access: Access) -> Result<OwnedFd> {
        self.call(if access == Access::Create {
            "create"
        } else {
            "open"
        })?;
        self.kernel.open(access)
    }
    fn stat(&self, file: &OwnedFd) -> Result<Stat> {
        self.call("stat")?;
        self.kernel.stat(file)
    }
    fn stat_at(&self, name: &Name) -> Result<Stat> {
        self.call("stat_at")?;
        self.kernel.stat_at(name)
    }
    fn touch(&self, file: &OwnedFd) -> Result<()> {
        self.call("touch")?;
        self.kernel.touch(file)
    }
    fn touch_ahead(&self, file: &OwnedFd, by: Duration) -> Result<Duration> {
        if self.refuses == Some("touch") {
            return Err(self.errno);
        }
        self.call("touch ahead")?;
        let time = self.kernel.touch_ahead(file, by)?;
        if let Some(last) = self.clamps {
            let file = fs::File::from(file.try_clone().unwrap());
            file.set_modified(last).unwrap();
        }
        Ok(time)
    }
    fn try_flock(&self, file: &OwnedFd, mode: Mode) -> Result<bool> {
        self.call("flock")?;
        if self.is_blind {
            return Ok(true);
        }
        self.kernel.try_flock(file, mode)
    }
    fn queue(&self, locked: Locked<OwnedFd>, mode: Mode) -> Result<Place> {
        self.call("queue")?;
        self.kernel.queue(locked, mode)
    }
    fn wait(&self, place: &mut Place, until: Duration) -> Result<Option<OwnedFd>> {
        self.call("wait")?;
        self.kernel.wait(place, until)
    }
    fn unlock(&self, file: &OwnedFd) -> Result<()> {
        self.kernel.unlock(file)
    }
    fn lock_directory(&self) -> Result<Option<OwnedFd>> {
        self.call("lock_directory")?;
        self.kernel.lock_directory()
    }
    fn create(&self, name: &Name) -> Result<OwnedFd> {
        self.call("create")?;
        self.kernel.create(name)
    }
    fn exchange(&self, one: &Name, other: &Name) -> Result<()> {
        self.call("exchange")?;
        self.kernel.exchange(one, other)
    }
    fn rename(&self, from: &Name, to: &Name) -> Result<()> {
        self.call("rename")?;
        self.kernel.rename(from, to)
    }
    fn remove(&self, name: &Name) -> Result<()> {
        self.call("remove")?;
        self.kernel.remove(name)
    }
    fn pause(&self, length: Duration) {
        self.kernel.pause(length);
        self.pauses.set(self.pauses.get() + 1);
        if let Some(file) = &self.removed {
            fs::remove_file(file).unwrap();
        }
    }
    fn wall_clock(&self) -> Duration {
        self.kernel.wall_clock()
    }
    fn boottime(&self) -> Duration {
        self.kernel.boottime()
    }
    fn monotonic(&self) -> Duration {
        self.kernel.monotonic()
    }
    fn pid(&self) -> u32 {
        self.kernel.pid()
    }
    fn process(&self) -> u64 {
        self.process.get()
    }
    fn write_word(&self, file: &OwnedFd, word: u64) -> Result<()> {
        self.call("write_word")?;
        self.kernel.write_word(file, word)
    }
    fn read_word(&self) -> Result<Option<u64>> {
        self.call("read_word")?;
        self.kernel.read_word()
    }
    fn is_local(&self, _: &OwnedFd) -> bool {
        self.is_local
    }
    fn status(&self) -> Result<Status> {
        self.kernel.status()
    }
    fn heart(&self) -> &Heart<Self> {
        &self.heart
    }
    fn keep_beating(&self) {
        self.started.set(self.started.get() + 1);
    }
}

pub(super) fn acquire(system: Faulty, mode: Mode) -> std::result::Result<Arc<Hold<Faulty>>, Error> {
    acquire_within(system, mode, Duration::from_millis(50))
}

#[expect(clippy::arc_with_non_send_sync, reason = "one thread")]
fn acquire_within(
    system: Faulty,
    mode: Mode,
    wait: Duration,
) -> std::result::Result<Arc<Hold<Faulty>>, Error> {
    let system = Arc::new(system);
    Contender::new(&system, Path::new("lock"), mode, Wait::For(wait)).acquire()
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn any_call_that_fails_is_an_error_and_leaves_no_lock() {
    for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::MFILE] {
        for mode in [Mode::Exclusive, Mode::Shared] {
            for call in 0.. {
                let root = root();
                let system = Faulty {
                    fails: Some(call),
                    ..Faulty::new(root.path(), errno)
                };
                match acquire(system, mode) {
                    Ok(hold) => {
                        // A shared lock that is free is touched once.
                        let calls = if mode == Mode::Exclusive { 6 } else { 5 };
                        assert_eq!(call, calls, "every call of an acquisition fails once");
                        hold.release().unwrap();
                        break;
                    }
                    Err(Error::Io { source, .. }) => {
                        assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()));
                    }
                    Err(other) => panic!("{other}"),
                }
                drop(
                    lock_in(root.path())
                        .acquire(Mode::Exclusive, Wait::Try)
                        .unwrap(),
                );
                assert_eq!(names(root.path()), [FILE_NAME]);
            }
        }
    }
}

#[test]
fn any_call_that_fails_while_waiting_leaves_nothing_behind() {
    let root = root();
    let lock = lock_in(root.path());
    for call in 4..7 {
        // A wait that was given up may hold it for a moment.
        let guard = lock.acquire(Mode::Exclusive, Wait::default()).unwrap();
        let system = Faulty {
            fails: Some(call),
            ..Faulty::new(root.path(), Errno::IO)
        };
        assert!(acquire(system, Mode::Exclusive).is_err());
        drop(guard);
        drop(lock.acquire(Mode::Exclusive, Wait::default()).unwrap());
    }
}

#[test]
fn any_call_that_fails_once_it_waits_leaves_no_lock() {
    let root = root();
    let lock = lock_in(root.path());
    for call in 5.. {
        let guard = lock.acquire(Mode::Exclusive, Wait::default()).unwrap();
        let system = Faulty {
            fails: Some(call),
            ..Faulty::new(root.path(), Errno::IO)
        };
        let over = AtomicBool::new(false);
        let acquired = thread::scope(|scope| {
            scope.spawn(|| {
                while lock.status().unwrap().waiters.is_empty() && !over.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                drop(guard);
            });
            let acquired = acquire_within(system, Mode::Exclusive, Duration::from_secs(30));
            over.store(true, Ordering::Relaxed);
            acquired
        });
        match acquired {
            Ok(hold) => {
                assert!(
                    call >= 8,
                    "wait, touch and look at the inode have failed once"
                );
                hold.release().unwrap();
                break;
            }
            Err(Error::Io { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        drop(lock.acquire(Mode::Exclusive, Wait::default()).unwrap());
    }
}

/// The error of a call is not the end of a lock that another process holds.
#[test]
fn any_call_of_a_takeover_that_fails_leaves_one_lock_file() {
    for call in 0..9 {
        let root = root();
        let guard = lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap();
        let system = Faulty {
            fails: Some(call),
            ..Faulty::new(root.path(), Errno::IO)
        };
        #[expect(clippy::arc_with_non_send_sync, reason = "one thread")]
        let system = Arc::new(system);
        let stale = system.kernel.stat_at(crate::system::LOCK_NAME).unwrap();
        let contender = Contender {
            takeover: Takeover::Stale,
            ..Contender::new(&system, Path::new("lock"), Mode::Exclusive, Wait::Try)
        };
        let taken = contender.take_over(&stale);
        assert!(
            names(root.path()).contains(&FILE_NAME.into()),
            "call {call}"
        );
        assert_eq!(
            guard.verify().is_err(),
            system.kernel.stat_at(crate::system::LOCK_NAME).unwrap().id != stale.id
        );
        if let Ok(Some(locked)) = taken {
            assert!(guard.verify().unwrap_err().is_lost());
            system.unlock(&locked.file).unwrap();
        }
        drop(guard);
        drop(
            lock_in(root.path())
                .acquire(Mode::Exclusive, Wait::Try)
                .unwrap(),
        );
    }
}

#[test]
fn a_file_system_without_flock_is_an_error_that_says_so() {
    for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
        let root = root();
        let system = Faulty {
            refuses: Some("flock"),
            ..Faulty::new(root.path(), errno)
        };
        let error = acquire(system, Mode::Exclusive).unwrap_err();
        assert!(matches!(error, Error::Unsupported { call: "flock", .. }));
        assert!(
            error
                .to_string()
                .contains("the file system does not support flock"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_file_system_without_exchange_is_an_error_that_says_so() {
    for errno in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::XDEV] {
        let root = root();
        let guard = lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap();
        #[expect(clippy::arc_with_non_send_sync, reason = "one thread")]
        let system = Arc::new(Faulty {
            refuses: Some("exchange"),
            ..Faulty::new(root.path(), errno)
        });
        let stale = system.kernel.stat_at(crate::system::LOCK_NAME).unwrap();
        let contender = Contender::new(&system, Path::new("lock"), Mode::Exclusive, Wait::Try);
        let error = contender.take_over(&stale).unwrap_err();
        assert!(error.to_string().contains("RENAME_EXCHANGE"), "{error}");
        guard.verify().unwrap();
        assert_eq!(names(root.path()), [FILE_NAME]);
    }
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    for errno in [Errno::ROFS, Errno::ACCESS, Errno::PERM] {
        let root = root();
        let denied = || Faulty {
            refuses: Some("create"),
            ..Faulty::new(root.path(), errno)
        };
        assert!(matches!(
            acquire(denied(), Mode::Exclusive),
            Err(Error::Io { op: "open", .. })
        ));

        let without = acquire(denied(), Mode::Shared).unwrap();
        assert!(without.locked.is_none());
        assert!(without.verify().is_ok());
        without.release().unwrap();
        assert!(names(root.path()).is_empty());

        drop(
            lock_in(root.path())
                .acquire(Mode::Exclusive, Wait::Try)
                .unwrap(),
        );
        let shared = acquire(denied(), Mode::Shared).unwrap();
        assert!(shared.locked.as_ref().unwrap().read_only);
        assert!(
            lock_in(root.path())
                .acquire(Mode::Exclusive, Wait::Try)
                .is_err()
        );
        shared.release().unwrap();
    }
}

#[test]
fn a_read_only_lock_file_need_not_be_touched() {
    let root = root();
    drop(
        lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap(),
    );
    let system = Faulty::new(root.path(), Errno::ROFS);
    let file = system.open(Access::ReadOnly).unwrap();
    let id = system.stat(&file).unwrap().id;
    let system = Faulty {
        refuses: Some("touch"),
        ..system
    };
    let mut locked = crate::protocol::hold::Locked {
        file,
        id,
        read_only: true,
        reach: crate::protocol::touch::Reach::default(),
    };
    assert!(touch(&system, &locked).is_ok());
    locked.read_only = false;
    assert!(touch(&system, &locked).is_err());
}

/// A file system behind which others may have gone on, such as one of the network.
#[test]
fn a_foreign_file_system_that_stood_still_loses_the_lock() {
    let root = root();
    for is_local in [true, false] {
        let system = Faulty {
            is_local,
            ..Faulty::new(root.path(), Errno::IO)
        };
        let hold = acquire(system, Mode::Exclusive).unwrap();
        let before = hold.last_seen.load(Ordering::SeqCst) - 21_000_000_000;
        hold.last_beat.store(before, Ordering::SeqCst);
        let answer = hold.verify();
        match is_local {
            true => answer.unwrap(),
            false => assert!(matches!(
                answer,
                Err(Fenced::Lost(crate::Loss::Unanswered { .. }))
            )),
        }
        hold.release().unwrap();
    }
}

/// Two sshfs mounts of one directory, or one beside the directory itself.
#[test]
fn where_flock_does_not_reach_the_first_of_two_holders_notices() {
    for (first_is_local, second_is_local) in [(false, false), (true, false), (false, true)] {
        let root = root();
        let view = |is_local| Faulty {
            is_local,
            is_blind: true,
            ..Faulty::new(root.path(), Errno::IO)
        };
        let first = acquire(view(first_is_local), Mode::Exclusive).unwrap();
        first.verify().unwrap();
        let second = acquire(view(second_is_local), Mode::Exclusive).unwrap();
        assert!(matches!(
            first.verify(),
            Err(Fenced::Lost(crate::Loss::SecondHolder))
        ));
        second.verify().unwrap();
        // The reference truncates it.
        fs::write(root.path().join(FILE_NAME), "").unwrap();
        assert!(second.verify().is_err());
        first.release().unwrap();
        second.release().unwrap();
    }
}

/// Where no thread can be had, it is tried again at each beat that it should have had.
#[test]
fn without_a_heartbeat_the_fence_refreshes_the_lock() {
    let root = root();
    let hold = acquire(Faulty::new(root.path(), Errno::IO), Mode::Exclusive).unwrap();
    let set_back = || {
        let before = hold.last_seen.load(Ordering::SeqCst) - 5_000_000_000;
        hold.last_beat.store(before, Ordering::SeqCst);
        before
    };
    let before = set_back();
    hold.refresh();
    assert_eq!(hold.last_beat.load(Ordering::SeqCst), before, "it has one");

    hold.system.heart.forget_thread();
    hold.refresh();
    assert!(hold.last_beat.load(Ordering::SeqCst) > before);
    assert_eq!(hold.system.started.get(), 2);

    let before = set_back();
    hold.system.heart.forget_thread();
    hold.verify().unwrap();
    assert!(hold.last_beat.load(Ordering::SeqCst) > before);
    assert_eq!(hold.system.started.get(), 3);
    hold.release().unwrap();
}

/// A child of fork(2) has a copy of the guard: it must neither believe in it nor release the
/// parent's lock with it.
#[test]
fn a_fork_has_no_lock_and_releases_none() {
    let root = root();
    let hold = acquire(Faulty::new(root.path(), Errno::IO), Mode::Exclusive).unwrap();
    let parent = hold.system.process.replace(2);
    assert!(matches!(
        hold.verify(),
        Err(Fenced::Lost(crate::Loss::Forked))
    ));
    hold.release().unwrap();
    assert!(
        lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .is_err()
    );
    hold.system.process.set(parent);
    assert!(hold.verify().is_ok());
    hold.release().unwrap();
    drop(
        lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap(),
    );
}

/// What a descendant has open does not hold the lock once its taker released it.
#[test]
fn releasing_releases_though_a_child_has_the_descriptor() {
    use std::{
        os::fd::AsFd,
        process::{Command, Stdio},
    };
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    let shared = guard.as_fd().try_clone_to_owned().unwrap();
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(shared)
        .spawn()
        .unwrap();
    drop(guard);
    drop(
        lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap(),
    );
    drop(child.stdin.take());
    child.wait().unwrap();
}
