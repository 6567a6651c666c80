//! Claim: a handle whose root was moved away, or hidden, writes into neither place, and says why.

use std::{fs, path::Path};

use posixage::{Change, Error, Id, Secret, Store};
use posixage_tests::{Place, place::x, tree::Snapshot};

#[expect(
    clippy::disallowed_methods,
    reason = "moves a root away, as a person does"
)]
fn move_to(from: &Path, to: &Path) {
    fs::rename(from, to).expect("rename");
}

/// Each way to write, and whether it says that the root has moved.
fn writes_refused(store: &Store) {
    let y: Id = "y".parse().expect("an id");
    let new = || Secret::new("new");
    let update = store.update(&x(), |_| Ok(Change::Set(new())));
    let remove = store.update(&x(), |_| Ok(Change::Remove));
    let many = store.set_many([(x(), new()), (y.clone(), new())]);
    assert_eq!(many.as_ref().map_err(|e| e.written), Err(0));
    for written in [
        store.set(&x(), &new()),
        store.create(&y, &new()),
        store.remove(&x()),
        update,
        remove,
        many.map_err(Error::from),
    ] {
        match written {
            Err(error @ Error::Moved { .. }) => assert!(error.hint().is_some()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_written_into_a_root_that_was_moved_away() {
    let place = Place::new();
    let store = place.open();
    store.set(&x(), &Secret::new("value")).unwrap();
    let elsewhere = place.dir().join("elsewhere");
    move_to(place.root(), &elsewhere);
    let moved = Snapshot::of(&elsewhere);
    writes_refused(&store);

    // Another store in its place gets nothing either.
    let other = Place::new();
    move_to(other.root(), place.root());
    let there = Snapshot::of(place.root());
    writes_refused(&store);
    assert_eq!(Snapshot::of(&elsewhere), moved);
    assert_eq!(Snapshot::of(place.root()), there);

    // What was opened can be read, and written again when it is back.
    assert_eq!(store.get(&x()).unwrap().expose(), b"value");
    move_to(place.root(), other.root());
    move_to(&elsewhere, place.root());
    store.set(&x(), &Secret::new("new")).unwrap();
    assert_eq!(place.open().get(&x()).unwrap().expose(), b"new");
}
