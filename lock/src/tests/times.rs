//! The lock file's time: years ahead, and what is done where it cannot be.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{fs::FlockOperation, io::Errno};

use super::{
    faults::{Faulty, acquire},
    heartbeat::{make_stale, quick, until},
    lock_in, root,
};
use crate::{FILE_NAME, Mode, Wait, system::System};

const YEAR: Duration = Duration::from_secs(31_557_600);

fn file(root: &Path) -> File {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(root.join(FILE_NAME)).unwrap()
}

fn time(root: &Path) -> SystemTime {
    file(root).metadata().unwrap().modified().unwrap()
}

fn is_ahead(root: &Path) -> bool {
    time(root) > SystemTime::now() + YEAR
}

/// Near enough for a file system that keeps whole seconds.
fn is_now(root: &Path) -> bool {
    let (time, now, second) = (time(root), SystemTime::now(), Duration::from_secs(5));
    now - second <= time && time <= now + second
}

#[expect(clippy::disallowed_methods, reason = "this is a peer's lock")]
fn peer_locks(file: &File, operation: FlockOperation) {
    rustix::fs::flock(file, operation).unwrap();
}

#[test]
fn the_time_is_years_ahead_from_before_flock_to_after_the_release() {
    for mode in [Mode::Exclusive, Mode::Shared] {
        let root = root();
        let guard = lock_in(root.path()).acquire(mode, Wait::Try).unwrap();
        assert!(is_ahead(root.path()));
        drop(guard);
        assert!(is_ahead(root.path()));

        // Refused, and so touched before flock only.
        let peer = file(root.path());
        peer_locks(&peer, FlockOperation::LockExclusive);
        peer.set_modified(SystemTime::now()).unwrap();
        assert!(lock_in(root.path()).acquire(mode, Wait::Try).is_err());
        assert!(is_ahead(root.path()));
    }
}

#[test]
fn the_time_moves_with_each_beat_and_stays_ahead() {
    let root = root();
    let guard = quick(root.path())
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    for _ in 0..3 {
        let before = time(root.path());
        until("it beats", || time(root.path()) > before);
        assert!(is_ahead(root.path()));
    }
    guard.verify().unwrap();
}

#[test]
fn a_reader_leaves_the_time_ahead_though_a_peer_set_it_to_now() {
    let root = root();
    let guard = lock_in(root.path())
        .acquire(Mode::Shared, Wait::Try)
        .unwrap();
    let peer = file(root.path());
    peer_locks(&peer, FlockOperation::LockShared);
    peer.set_modified(SystemTime::now()).unwrap();
    drop(peer);
    guard.release().unwrap();
    assert!(is_ahead(root.path()));
}

#[test]
fn the_age_of_a_heartbeat_is_told_whichever_program_beat() {
    let root = root();
    let lock = lock_in(root.path());
    let age = || lock.status().unwrap().heartbeat_age.unwrap().as_secs();
    drop(lock.acquire(Mode::Exclusive, Wait::Try).unwrap());
    assert!(age() < 30);
    for passed in [0, 100] {
        let passed = Duration::from_secs(passed);
        let ours = time(root.path());
        file(root.path()).set_modified(ours - passed).unwrap();
        assert!((passed.as_secs()..passed.as_secs() + 30).contains(&age()));
        let theirs = SystemTime::now() - passed;
        file(root.path()).set_modified(theirs).unwrap();
        assert!((passed.as_secs()..passed.as_secs() + 30).contains(&age()));
        file(root.path()).set_modified(ours).unwrap();
    }
    let last = UNIX_EPOCH + Duration::from_secs(i32::MAX as u64);
    file(root.path()).set_modified(last).unwrap();
    assert_eq!(lock.status().unwrap().heartbeat_age, None);
}

/// An explicit time needs ownership; the time of now needs only write access.
#[test]
fn a_lock_file_of_another_user_is_touched_to_now() {
    for errno in [Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::OVERFLOW] {
        let root = root();
        let system = Faulty {
            refuses: Some("touch ahead"),
            ..Faulty::new(root.path(), errno)
        };
        make_old(root.path());
        let hold = acquire(system, Mode::Exclusive).unwrap();
        assert!(is_now(root.path()));
        make_old(root.path());
        hold.beat();
        assert!(is_now(root.path()));
        hold.verify().unwrap();
        hold.release().unwrap();
    }
}

/// A time that the file system does not keep would not move, and a holder whose file does not move
/// is taken over.
#[test]
fn a_file_system_that_clamps_times_is_touched_to_now() {
    let end = SystemTime::now() + YEAR * 2;
    // One that stops at its last second, and one that begins anew after it.
    for last in [end, UNIX_EPOCH] {
        let root = root();
        let system = Faulty {
            clamps: Some(last),
            ..Faulty::new(root.path(), Errno::IO)
        };
        let hold = acquire(system, Mode::Exclusive).unwrap();
        assert!(is_now(root.path()));
        make_old(root.path());
        hold.beat();
        assert!(is_now(root.path()));
        hold.verify().unwrap();
        hold.release().unwrap();
    }
}

/// The file system's end comes while the lock is held.
#[test]
fn a_heartbeat_whose_time_is_not_kept_goes_on_with_now() {
    let root = root();
    let hold = acquire(Faulty::new(root.path(), Errno::IO), Mode::Exclusive).unwrap();
    let clamped = SystemTime::now() + YEAR * 2;
    file(root.path()).set_modified(clamped).unwrap();
    hold.beat();
    assert!(is_now(root.path()));
    hold.release().unwrap();
}

#[test]
fn a_file_that_a_peer_left_idle_is_looked_at_again() {
    let root = root();
    make_old(root.path());
    let system = Faulty {
        removed: Some(root.path().join(FILE_NAME)),
        ..Faulty::new(root.path(), Errno::IO)
    };
    let hold = acquire(system, Mode::Exclusive).unwrap();
    assert_eq!(hold.system.pauses.get(), 1);
    let id = hold.locked.as_ref().unwrap().id;
    assert_eq!(
        hold.system
            .kernel
            .stat_at(crate::system::LOCK_NAME)
            .unwrap()
            .id,
        id
    );
    hold.verify().unwrap();
    hold.release().unwrap();
}

#[test]
fn a_file_that_ours_left_idle_is_not_waited_for() {
    let root = root();
    for mode in [Mode::Exclusive, Mode::Shared] {
        let hold = acquire(Faulty::new(root.path(), Errno::IO), mode).unwrap();
        assert_eq!(hold.system.pauses.get(), 0);
        hold.release().unwrap();
        file(root.path())
            .set_modified(time(root.path()) - YEAR)
            .unwrap();
    }
}

fn make_old(root: &Path) {
    drop(file(root));
    make_stale(root);
    assert!(!is_now(root));
    assert!(fs::exists(root.join(FILE_NAME)).unwrap());
}
