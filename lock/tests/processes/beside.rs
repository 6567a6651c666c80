//! A process that takes the lock as the reference does, beside a holder of ours that stands still.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use posixage_lock::{FILE_NAME, LockFile, Mode, Wait};

use crate::program::{contender_named, hear, root};

/// By its rule: 30 s since the file's time.
const STALE: Duration = Duration::from_secs(60);

/// As after a standstill of two years: the time is where ours left it.
#[test]
fn a_peer_waits_for_a_holder_that_has_stood_still_for_years() {
    let left_by_ours = |time: SystemTime| time - Duration::from_secs(2 * 31_557_600);
    assert!(!beside_a_peer(left_by_ours));
}

#[test]
fn control_a_peer_overtakes_a_holder_that_touched_to_now() {
    assert!(beside_a_peer(|_| SystemTime::now() - STALE));
}

/// Whether a peer takes the lock file away from a holder of ours, that stands still with this time.
fn beside_a_peer(stands_still: impl Fn(SystemTime) -> SystemTime) -> bool {
    let root = root();
    let path = root.path().join(FILE_NAME);
    let lock = LockFile::in_directory(File::open(root.path()).unwrap().into(), root.path());
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let touched = file.metadata().unwrap().modified().unwrap();
    file.set_modified(stands_still(touched)).unwrap();

    let peer = contender_named("reference", root.path(), &["once"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // Until it has opened the file, and after that has been refused once, or has made its own.
    let mut opened = 0;
    let end = Instant::now() + Duration::from_secs(60);
    while opened < 2 && is_at(&path, &file) {
        assert!(Instant::now() < end, "the peer does not come");
        opened += usize::from(has_open(peer.id(), &path));
        std::thread::sleep(Duration::from_millis(1));
    }
    let overtaken = guard.verify().is_err();
    assert_eq!(overtaken, !is_at(&path, &file));
    drop(guard);
    hear(peer);
    overtaken || !is_at(&path, &file)
}

fn is_at(path: &Path, file: &File) -> bool {
    let inode = file.metadata().unwrap().ino();
    fs::metadata(path).is_ok_and(|at_path| at_path.ino() == inode)
}

fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = descriptors.flatten().map(|it| fs::read_link(it.path()));
    links.any(|link| link.is_ok_and(|link| link == path))
}
