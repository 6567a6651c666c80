//! One thread keeps all locks fresh, and goes when there are none.

use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

use super::{lock_in, make_fifo, root};
use crate::{
    Error, FILE_NAME, Kind, LockFile, Loss, Mode, Wait,
    system::{LOCK_NAME, System, kernel::Kernel},
    wait::Thresholds,
};

/// Far shorter than the real ones, in the same order.
pub(super) const SHORT: Thresholds = Thresholds {
    heartbeat: Duration::from_millis(20),
    lost: Duration::from_secs(3),
    stale: Duration::from_secs(4),
    removal: Duration::from_millis(20),
    look: Duration::from_millis(20),
    notice: Duration::from_millis(20),
};

pub(super) fn quick(root: &Path) -> LockFile {
    LockFile {
        thresholds: SHORT,
        ..lock_in(root)
    }
}

/// Waits until something is so; a minute is never.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn hearts() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| {
            fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|name| name == "posixage-heart\n")
        })
        .count()
}

fn age(root: &Path) -> SystemTime {
    fs::metadata(root.join(FILE_NAME))
        .unwrap()
        .modified()
        .unwrap()
}

/// In one test, since other tests of the same process have hearts, too.
#[test]
fn one_heart_beats_for_all_locks_and_stops_after_the_last() {
    let roots: Vec<_> = (0..8).map(|_| root()).collect();
    let guards: Vec<_> = roots
        .iter()
        .map(|root| {
            quick(root.path())
                .acquire(Mode::Exclusive, Wait::Try)
                .unwrap()
        })
        .collect();
    until("there is a heart", || hearts() > 0);
    let before: Vec<_> = roots.iter().map(|root| age(root.path())).collect();
    for (root, before) in roots.iter().zip(before) {
        until("it has beaten", || age(root.path()) > before);
    }
    assert_eq!(hearts(), 1);
    for guard in &guards {
        guard.verify().unwrap();
    }
    drop(guards);
    until("there is no heart", || hearts() == 0);

    let _again = quick(roots[0].path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    until("there is a heart again", || hearts() == 1);
}

#[test]
fn the_heart_finds_a_replaced_file_before_anybody_asks() {
    let root = root();
    let guard = quick(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    fs::remove_file(root.path().join(FILE_NAME)).unwrap();
    until("the loss is noted", || {
        format!("{guard:?}").contains("Replaced")
    });
    assert!(guard.verify().unwrap_err().is_lost());
}

/// What a suspended machine or a stopped process looks like afterwards: the boot-time clock has gone
/// on, and the heart has not.
#[test]
fn a_gap_in_the_heartbeat_loses_the_lock_for_good() {
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    guard.verify().unwrap();
    let now = guard.hold().last_seen.load(Ordering::SeqCst);
    let set_back = |gap: Duration| {
        let before = now - u64::try_from(gap.as_nanos()).unwrap();
        guard.hold().last_seen.store(before, Ordering::SeqCst);
        guard.hold().last_beat.store(before, Ordering::SeqCst);
    };
    set_back(Duration::from_secs(19));
    guard.verify().unwrap();
    set_back(Duration::from_secs(21));
    let stalled = |error| {
        matches!(
            error,
            Error::Lost {
                reason: Loss::Stalled { .. },
                ..
            }
        )
    };
    assert!(stalled(guard.verify().unwrap_err()));
    let old = age(root.path());
    guard.hold().beat();
    assert_eq!(age(root.path()), old, "a lost lock is not kept fresh");
    set_back(Duration::ZERO);
    assert!(stalled(guard.verify().unwrap_err()));
}

/// What a frozen file system looks like to a process that ran all the time.
#[test]
fn a_local_file_system_that_stood_still_loses_no_lock() {
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    let set_back = || {
        let now = guard.hold().last_seen.load(Ordering::SeqCst);
        let before = now - 60_000_000_000;
        guard.hold().last_beat.store(before, Ordering::SeqCst);
    };
    make_stale(root.path());
    set_back();
    guard.verify().unwrap();
    let fresh = age(root.path());
    assert!(fresh.elapsed().unwrap_or_default() < Duration::from_secs(25));
    set_back();
    fs::remove_file(root.path().join(FILE_NAME)).unwrap();
    assert!(guard.verify().unwrap_err().is_lost());
}

/// A file from 2020 is fresh before its lock can be seen.
#[test]
fn an_idle_file_is_fresh_before_it_is_locked() {
    let root = root();
    drop(
        lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap(),
    );
    make_stale(root.path());
    let _guard = lock_in(root.path())
        .acquire(Mode::Shared, Wait::Try)
        .unwrap();
    assert!(age(root.path()).elapsed().unwrap_or_default() < Duration::from_secs(25));

    make_stale(root.path());
    let refused = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap_err();
    assert!(refused.is_timeout());
    assert!(age(root.path()).elapsed().unwrap_or_default() < Duration::from_secs(25));
}

/// As if the lock file was last touched in 2020.
pub(super) fn make_stale(root: &Path) {
    let file = fs::File::options()
        .write(true)
        .open(root.join(FILE_NAME))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800))
        .unwrap();
}

#[test]
fn a_wait_is_announced_once_with_the_holder() {
    use std::sync::{Arc, atomic::AtomicUsize};
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    let notices = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&notices);
    let waiter = quick(root.path()).on_wait(move |status| {
        assert_eq!(status.holders[0].pid, std::process::id());
        counted.fetch_add(1, Ordering::SeqCst);
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| waiter.acquire(Mode::Shared, Wait::default()).unwrap());
        until("it is announced", || notices.load(Ordering::SeqCst) == 1);
        drop(guard);
        drop(waiting.join().unwrap());
    });
    assert_eq!(notices.load(Ordering::SeqCst), 1);
}

#[test]
fn a_waiter_moves_over_when_the_file_is_replaced() {
    let root = root();
    let _orphan = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    let waiter = quick(root.path());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| waiter.acquire(Mode::Exclusive, Wait::default()).unwrap());
        until("it waits", || !waiter.status().unwrap().waiters.is_empty());
        fs::remove_file(root.path().join(FILE_NAME)).unwrap();
        waiting.join().unwrap().verify().unwrap();
    });
}

/// Replaces the lock file by something else, at once, so that the name is never free.
fn replace_lock_file(root: &Path, kind: Kind) {
    let other = root.join("other");
    match kind {
        Kind::Directory => fs::create_dir(&other).unwrap(),
        Kind::Symlink => std::os::unix::fs::symlink("elsewhere", &other).unwrap(),
        _ => make_fifo(&other),
    }
    let system = Kernel::new(fs::File::open(root).unwrap().into());
    system.exchange(c"other", LOCK_NAME).unwrap();
}

#[test]
fn a_foreign_lock_file_is_found_by_waiter_and_holder() {
    for kind in [Kind::Directory, Kind::Symlink, Kind::Fifo] {
        let root = root();
        let guard = lock_in(root.path())
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap();
        let waiter = quick(root.path());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| waiter.acquire(Mode::Exclusive, Wait::default()));
            until("it waits", || !waiter.status().unwrap().waiters.is_empty());
            replace_lock_file(root.path(), kind);
            let error = waiting.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::NotRegular { kind: found, .. } if found == kind));
        });
        assert!(guard.verify().unwrap_err().is_lost());
        assert!(!root.path().join("elsewhere").exists());
    }
}

#[test]
fn sixty_four_threads_exclude_each_other_on_any_handles() {
    let root = root();
    let one = lock_in(root.path());
    let number = root.path().join("number");
    fs::write(&number, "0").unwrap();
    let increment = |lock: &LockFile| {
        let guard = lock
            .acquire(Mode::Exclusive, Wait::For(Duration::from_secs(100)))
            .unwrap();
        let value: u32 = fs::read_to_string(&number).unwrap().parse().unwrap();
        fs::write(&number, (value + 1).to_string()).unwrap();
        guard.verify().unwrap();
    };
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let (one, increment) = (&one, &increment);
            let own = lock_in(root.path());
            scope.spawn(move || {
                for _ in 0..20 {
                    increment(if thread % 2 == 0 { one } else { &own });
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&number).unwrap(), (64 * 20).to_string());
}
