//! A store is opened once: what makes it, and what keys it has, follows from the handle.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::mpsc, thread, time::Duration};

use posixage::{
    Error, Identity, Secret, Store, StoreConfig,
    lock::{FILE_NAME, LockFile, Mode, Wait},
};

fn config(identity: &Identity) -> StoreConfig {
    StoreConfig::new([identity.to_recipient().expect("a recipient")])
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}

#[test]
fn keys_are_added_to_an_open_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, other) = (Identity::generate(), Identity::generate());
    let store = Store::init(dir.path().join("store"), &config(&mine)).unwrap();
    let id = "a/b".parse().unwrap();
    let with_other = store.with_recipient(other.to_recipient().unwrap());
    with_other.create(&id, &Secret::new("value")).unwrap();

    let refused = store.get(&id).unwrap_err();
    assert!(matches!(refused, Error::NoKeyFits { .. }), "{refused}");
    let reader = store.with_identity(mine).with_identity(other);
    assert_eq!(reader.get(&id).unwrap().expose(), b"value");
    // The handle that they were added to has none still.
    assert!(store.get(&id).is_err());
}

#[test]
fn a_missing_store_is_made_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("above/store");
    let key = Identity::generate();
    let open = || {
        let builder = Store::builder(&path).identity(key.clone());
        builder.create_if_missing(config(&key)).open()
    };
    let id = "a/b".parse().unwrap();
    open().unwrap().create(&id, &Secret::new("value")).unwrap();
    assert_eq!(open().unwrap().get(&id).unwrap().expose(), b"value");
    let modes = [&path, &dir.path().join("above")].map(|path| fs::metadata(path).unwrap());
    assert!(
        modes
            .iter()
            .all(|stat| stat.permissions().mode() & 0o777 == 0o700)
    );
}

#[test]
fn a_store_without_config_is_not_given_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let key = Identity::generate();
    let store = Store::init(&path, &config(&key)).unwrap();
    store
        .create(&"a/b".parse().unwrap(), &Secret::new("value"))
        .unwrap();
    fs::remove_file(path.join(".posixage.toml")).unwrap();
    let builder = Store::builder(&path).create_if_missing(config(&key));
    assert!(builder.open().unwrap().config().is_none());
    assert!(!path.join(".posixage.toml").exists());
}

#[test]
fn of_many_that_make_one_store_all_open_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let made: Vec<String> = thread::scope(|scope| {
        let open = || {
            let key = config(&Identity::generate());
            let store = Store::builder(&path).create_if_missing(key).open();
            let store = store.expect("the store, whichever thread made it");
            store.config().expect("a config").recipients[0].to_string()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, String>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    });
    assert!(made.iter().all(|one| *one == made[0]), "{made:?}");
}

#[test]
fn init_waits_for_the_lock_as_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let directory = fs::File::open(dir.path()).unwrap();
    let lock = LockFile::in_directory(directory.into(), dir.path());
    let guard = lock.acquire(Mode::Exclusive, Wait::Try).unwrap();
    let key = Identity::generate();

    let builder = Store::builder(dir.path()).lock_wait(Wait::Try);
    let refused = builder.init(&config(&key)).unwrap_err();
    assert!(
        matches!(&refused, Error::Lock(e) if e.is_timeout()),
        "{refused}"
    );
    assert_eq!(names(dir.path()), [FILE_NAME]);

    let (said, notices) = mpsc::channel();
    thread::scope(|scope| {
        let builder =
            Store::builder(dir.path()).on_wait(move |_| said.send(()).unwrap_or_default());
        let waiting = scope.spawn(|| builder.init(&config(&key)));
        notices
            .recv_timeout(Duration::from_secs(60))
            .expect("a notice");
        drop(guard);
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_failing_init_leaves_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("above/store");
    let builder = Store::builder(&path);
    let refused =
        builder.init_with(|| Err::<StoreConfig, Error>(Error::NoStore { path: "key".into() }));
    assert!(matches!(refused.unwrap_err(), Error::NoStore { .. }));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_store_is_opened_in_a_directory_that_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let key = Identity::generate();
    Store::init(&path, &config(&key)).unwrap();
    let directory = fs::File::open(&path).unwrap();
    let store = Store::builder(&path).directory(directory).identity(key);
    let store = store.open().unwrap();
    let id = "a/b".parse().unwrap();
    store.create(&id, &Secret::new("value")).unwrap();
    assert_eq!(store.get(&id).unwrap().expose(), b"value");
    assert_eq!(store.count().unwrap(), 1);
}
