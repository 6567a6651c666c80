//! The lock on a real kernel.

#![allow(
    clippy::disallowed_methods,
    reason = "where no thread can be had, a test may panic"
)]

mod faults;
mod heartbeat;
mod processes;
mod times;
mod waits;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Error, FILE_NAME, Kind, LockFile, Loss, Mode, Wait, system::LOCK_NAME};

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn lock_in(root: &Path) -> LockFile {
    LockFile::in_directory(fs::File::open(root).unwrap().into(), root)
}

fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn exclusive_excludes_and_shared_shares() {
    let root = root();
    let (one, other) = (lock_in(root.path()), lock_in(root.path()));
    let guard = one.acquire(Mode::Exclusive, Wait::Try).unwrap();
    guard.verify().unwrap();
    assert!(
        other
            .acquire(Mode::Exclusive, Wait::Try)
            .unwrap_err()
            .is_timeout()
    );
    assert!(
        other
            .acquire(Mode::Shared, Wait::Try)
            .unwrap_err()
            .is_timeout()
    );
    guard.release().unwrap();

    let first = one.acquire(Mode::Shared, Wait::Try).unwrap();
    let second = other.acquire(Mode::Shared, Wait::Try).unwrap();
    assert!(
        one.acquire(Mode::Exclusive, Wait::Try)
            .unwrap_err()
            .is_timeout()
    );
    drop((first, second));
    drop(one.acquire(Mode::Exclusive, Wait::Try).unwrap());
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_released() {
    let root = root();
    let (one, other) = (lock_in(root.path()), lock_in(root.path()));
    let guard = one.acquire(Mode::Exclusive, Wait::Try).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.acquire(Mode::Exclusive, Wait::default()).unwrap());
        while one.status().unwrap().waiters.is_empty() {
            std::thread::yield_now();
        }
        drop(guard);
        waiter.join().unwrap().verify().unwrap();
    });
}

#[test]
fn a_wait_that_is_given_up_leaves_no_hold_behind() {
    let root = root();
    let lock = lock_in(root.path());
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let error = lock
        .acquire(Mode::Exclusive, Wait::For(Duration::from_millis(20)))
        .unwrap_err();
    assert!(error.is_timeout());
    drop(guard);
    drop(lock.acquire(Mode::Exclusive, Wait::default()).unwrap());
}

#[test]
fn the_error_names_the_holder() {
    let root = root();
    let lock = lock_in(root.path());
    let _guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let error = lock.acquire(Mode::Shared, Wait::Try).unwrap_err();
    let message = error.to_string();
    let holder = format!(
        "without waiting: held by pid {} (posixage_lock",
        std::process::id()
    );
    assert!(message.contains(&holder), "{message}");
    assert!(message.ends_with("heartbeat 0 s ago"), "{message}");
    assert!(error.hint().unwrap().contains("wait longer"));
}

#[test]
fn a_lock_is_opened_by_path_and_excludes_by_directory() {
    let root = root();
    let guard = LockFile::open(root.path()).unwrap();
    let guard = guard.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let other = lock_in(root.path()).acquire(Mode::Shared, Wait::Try);
    assert!(other.unwrap_err().is_timeout());
    drop(guard);
    for missing in [root.path().join("missing"), root.path().join(FILE_NAME)] {
        let error = LockFile::open(&missing).unwrap_err();
        assert!(matches!(error, Error::Io { op: "open", path, .. } if path == missing));
    }
}

#[test]
fn handles_and_guards_go_from_thread_to_thread() {
    fn goes<T: Send + Sync + std::fmt::Debug + 'static>() {}
    goes::<LockFile>();
    goes::<crate::Guard>();
    goes::<Error>();
}

#[test]
fn the_two_spellings_of_the_name_agree() {
    assert_eq!(LOCK_NAME.to_str(), Ok(FILE_NAME));
}

#[test]
fn no_time_to_wait_is_no_wait() {
    let root = root();
    let lock = lock_in(root.path());
    let _guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    for wait in [Wait::For(Duration::ZERO), Wait::Until(Instant::now())] {
        let error = lock.acquire(Mode::Exclusive, wait).unwrap_err();
        assert!(error.to_string().contains("without waiting"), "{error}");
    }
}

#[test]
fn status_neither_makes_nor_touches_the_file() {
    let root = root();
    let lock = lock_in(root.path());
    assert!(!lock.status().unwrap().exists);
    assert!(!root.path().join(FILE_NAME).exists());
    drop(lock.acquire(Mode::Exclusive, Wait::Try).unwrap());
    let before = fs::metadata(root.path().join(FILE_NAME))
        .unwrap()
        .modified()
        .unwrap();
    let status = lock.status().unwrap();
    assert!(status.exists && status.holders.is_empty());
    let after = fs::metadata(root.path().join(FILE_NAME))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_removed_or_replaced_lock_file_fails_the_fence_for_good() {
    let root = root();
    let lock = lock_in(root.path());
    let path = root.path().join(FILE_NAME);
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let aside = root.path().join("aside");
    fs::hard_link(&path, &aside).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        guard.verify(),
        Err(Error::Lost {
            reason: Loss::Replaced,
            ..
        })
    ));
    fs::hard_link(&aside, &path).unwrap();
    assert!(guard.verify().unwrap_err().is_lost());
}

#[test]
fn something_else_at_the_lock_file_is_an_error_that_names_it() {
    let root = root();
    let lock = lock_in(root.path());
    let path = root.path().join(FILE_NAME);
    let kind = |mode| match lock.acquire(mode, Wait::default()) {
        Err(Error::NotRegular { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    for mode in [Mode::Exclusive, Mode::Shared] {
        fs::create_dir(&path).unwrap();
        assert_eq!(kind(mode), Kind::Directory);
        fs::remove_dir(&path).unwrap();

        symlink(root.path().join("target"), &path).unwrap();
        assert_eq!(kind(mode), Kind::Symlink);
        fs::remove_file(&path).unwrap();
        assert!(!root.path().join("target").exists());

        make_fifo(&path);
        assert_eq!(kind(mode), Kind::Fifo);
        fs::remove_file(&path).unwrap();

        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(kind(mode), Kind::Socket);
        drop(socket);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_removed_directory_is_an_error_and_not_a_wait() {
    let root = root();
    let inner = root.path().join("store");
    fs::create_dir(&inner).unwrap();
    let lock = lock_in(&inner);
    fs::remove_dir(&inner).unwrap();
    for mode in [Mode::Exclusive, Mode::Shared] {
        assert!(matches!(
            lock.acquire(mode, Wait::default()),
            Err(Error::Io { op: "open", .. })
        ));
    }
}
