//! What a commit without `RENAME_EXCHANGE` had set aside when it died: read, put back, and never
//! mistaken for a removed secret, whichever process writes next.

use std::fs;

use posixage::{Change, Error, Store};
use posixage_tests::{
    marked,
    place::make_dir,
    subject::{Subject, read},
};

/// The store after a death between the two renames, with a handle that has written before.
fn died_between() -> (Subject, Store) {
    let subject = Subject::new();
    subject.put(Some(1));
    let store = subject.open();
    store
        .remove(&"some/neighbour".parse().expect("an id"))
        .expect("remove");
    move_aside(&subject);
    (subject, store)
}

/// The store after a death behind the second rename: the old value is 1, the new one 2.
fn died_behind() -> (Subject, Store) {
    let (subject, store) = died_between();
    let name = subject.id().directory_name();
    let aside = subject.store().join(".posixage.old").join(&name);
    let kept = subject.sandbox().copy(&aside, "kept");
    rename(&aside, &subject.store().join(&name));
    subject.put(Some(2));
    make_dir(&aside);
    for entry in fs::read_dir(kept).expect("list") {
        let path = entry.expect("an entry").path();
        rename(&path, &aside.join(path.file_name().unwrap_or_default()));
    }
    (subject, store)
}

fn move_aside(subject: &Subject) {
    let old = subject.store().join(".posixage.old");
    make_dir(&old);
    let name = subject.id().directory_name();
    rename(&subject.store().join(&name), &old.join(&name));
}

#[expect(
    clippy::disallowed_methods,
    reason = "no commit: what a dead process has done"
)]
fn rename(from: &std::path::Path, to: &std::path::Path) {
    fs::rename(from, to).expect("rename");
}

#[test]
fn a_secret_set_aside_is_read_and_listed() {
    let (subject, store) = died_between();
    assert_eq!(read(&store, subject.id()), Ok(Some(1)));
    let mut listed = store.list(&"**".parse().expect("a pattern")).expect("list");
    assert!(listed.any(|entry| entry.id == *subject.id()));
    let get = subject
        .sandbox()
        .run(["get", subject.id().as_str()])
        .succeeds_silently();
    assert_eq!(marked::mark_of_value(subject.id(), &get.stdout), Ok(1));
}

#[test]
fn a_secret_set_aside_is_not_created_again() {
    let (subject, store) = died_between();
    let created = store.create(subject.id(), &marked::secret(subject.id(), 3));
    assert!(
        matches!(created, Err(Error::AlreadyExists { .. })),
        "{created:?}"
    );
    assert_eq!(read(&store, subject.id()), Ok(Some(1)));
}

#[test]
fn a_secret_set_aside_can_be_removed() {
    let (subject, store) = died_between();
    store.remove(subject.id()).expect("remove");
    assert_eq!(read(&store, subject.id()), Ok(None));
    assert_eq!(subject.open().count().expect("count"), 1);
}

#[test]
fn a_secret_set_aside_is_seen_by_an_update() {
    let (subject, store) = died_between();
    let updated = store.update(subject.id(), |current| -> Result<_, Error> {
        let current = current.map(|secret| marked::mark_of(subject.id(), secret));
        assert_eq!(current, Some(Ok(1)));
        Ok(Change::Set(marked::secret(subject.id(), 3)))
    });
    updated.expect("update");
    assert_eq!(read(&store, subject.id()), Ok(Some(3)));
}

#[test]
fn a_removal_does_not_bring_back_a_secret_set_aside() {
    let (subject, store) = died_behind();
    assert_eq!(read(&store, subject.id()), Ok(Some(2)));
    store.remove(subject.id()).expect("remove");
    assert_eq!(read(&store, subject.id()), Ok(None));
    assert_eq!(subject.open().count().expect("count"), 1);
}

#[test]
fn an_overwrite_coexists_with_a_secret_set_aside_before() {
    let (subject, store) = died_behind();
    store
        .set(subject.id(), &marked::secret(subject.id(), 3))
        .expect("set");
    assert_eq!(read(&store, subject.id()), Ok(Some(3)));
}
