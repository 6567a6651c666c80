//! Waits that are given up, and notices of them.

use std::{fs, path::Path, sync::mpsc, time::Duration};

use super::{
    heartbeat::{quick, until},
    lock_in, root,
};
use crate::{FILE_NAME, Mode, Wait};

/// How often this process has a file open.
fn descriptors(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == path))
        .count()
}

#[test]
fn a_thousand_waits_given_up_keep_one_descriptor_for_each_mode() {
    let root = root();
    let path = fs::canonicalize(root.path()).unwrap().join(FILE_NAME);
    let lock = lock_in(root.path());
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    for wait in 0..1_000 {
        let mode = [Mode::Shared, Mode::Exclusive][wait % 2];
        let error = lock.acquire(mode, Wait::For(Duration::from_micros(10)));
        assert!(error.unwrap_err().is_timeout());
    }
    assert!(descriptors(&path) <= 3, "{}", descriptors(&path));
    drop(guard);
    drop(lock.acquire(Mode::Exclusive, Wait::default()).unwrap());
    until("the threads are gone", || descriptors(&path) == 0);
}

#[test]
fn many_that_give_up_at_once_keep_one_descriptor() {
    let root = root();
    let path = fs::canonicalize(root.path()).unwrap().join(FILE_NAME);
    let lock = lock_in(root.path());
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let error = lock.acquire(Mode::Shared, Wait::For(Duration::from_millis(20)));
                assert!(error.unwrap_err().is_timeout());
            });
        }
    });
    assert!(descriptors(&path) <= 2, "{}", descriptors(&path));
    drop(guard);
}

/// Standard error on a terminal that was stopped, a full pipe.
#[test]
fn a_notice_that_hangs_delays_no_lock() {
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    let (told, was_told) = mpsc::channel();
    let (release, hang) = mpsc::channel::<()>();
    let hang = std::sync::Mutex::new(hang);
    let waiter = quick(root.path()).on_wait(move |_| {
        told.send(()).unwrap();
        let _ = hang.lock().unwrap().recv();
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| waiter.acquire(Mode::Exclusive, Wait::default()).unwrap());
        was_told.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(guard);
        until("it has the lock", || waiting.is_finished());
        let guard = waiting.join().unwrap();
        guard.verify().unwrap();
        guard.release().unwrap();
    });
    let again = lock_in(root.path()).acquire(Mode::Exclusive, Wait::default());
    drop(again.unwrap());
    drop(release);
}
