//! Claim: `Store::set_many` writes like `set`, in order, and says how many it has written.

use std::path::PathBuf;

use posixage::{Error, Id, MAX_VALUE_LEN, Metadata, Pattern, Secret};
use posixage_tests::{Place, marked, subject, tree::Snapshot};

/// More than three of what is staged at the same time.
const COUNT: usize = 200;

fn id(n: usize) -> Id {
    format!("many/{n:03}").parse().expect("an id")
}

fn secret(n: usize, mark: u64) -> (Id, Secret) {
    let id = id(n);
    let secret = marked::secret(&id, mark);
    (id, secret)
}

#[test]
fn what_is_there_is_replaced_and_what_is_not_is_made_whole() {
    let place = Place::new();
    let store = place.open();
    store
        .set_many((0..COUNT / 2).map(|n| secret(n, 1)))
        .unwrap();
    store.set_many((0..COUNT).map(|n| secret(n, 2))).unwrap();
    let mut found = 0;
    for (id, secret) in place.open().filter(&Pattern::all()).unwrap() {
        assert_eq!(marked::mark_of(&id, &secret.unwrap()), Ok(2));
        found += 1;
    }
    assert_eq!(found, COUNT);
    assert_eq!(subject::leftovers(place.root()), Vec::<PathBuf>::new());
}

#[test]
fn of_one_id_the_last_holds() {
    let place = Place::new();
    let marks = [7, 1, 2, 3, 3, 9];
    let store = place.open();
    store.set_many(marks.map(|mark| secret(0, mark))).unwrap();
    assert_eq!(subject::read(&place.open(), &id(0)), Ok(Some(9)));
    assert_eq!(store.count().unwrap(), 1);
}

#[test]
fn nothing_is_nothing() {
    let place = Place::new();
    let before = Snapshot::of(place.root());
    place.open().set_many([]).unwrap();
    assert_eq!(Snapshot::of(place.root()), before);
}

#[test]
fn an_error_says_how_many_are_written_and_leaves_the_others() {
    let place = Place::new();
    let store = place.open();
    store.set_many((0..COUNT).map(|n| secret(n, 1))).unwrap();
    let too_large = COUNT - 20;
    let secrets = (0..COUNT).map(|n| match n {
        _ if n == too_large => {
            let metadata: Metadata = [("key", "x".repeat(2 << 20))].into_iter().collect();
            (id(n), Secret::new("value").with_metadata(metadata))
        }
        n => secret(n, 2),
    });
    let error = store.set_many(secrets).unwrap_err();
    assert!(
        matches!(&error.error, Error::MetadataTooLarge { id: named, .. } if *named == id(too_large))
    );
    assert!(0 < error.written && error.written <= too_large, "{error}");
    let said = format!("; secrets written before it: {}", error.written);
    assert!(error.to_string().ends_with(&said), "{error}");
    for n in 0..COUNT {
        let expected = if n < error.written { 2 } else { 1 };
        assert_eq!(subject::read(&store, &id(n)), Ok(Some(expected)), "{n}");
    }
    // Not a stage of the two others that were under way.
    assert_eq!(subject::leftovers(place.root()), Vec::<PathBuf>::new());
}

/// Millions could be written: what is not needed yet is not asked for.
#[test]
fn no_more_is_asked_for_than_there_is_room_for() {
    let place = Place::new();
    let store = place.open();
    let secrets = (0..7).map(|n| {
        // Three of them fill the room, which is emptied when the next is there.
        let written = [0, 0, 0, 0, 3, 3, 3][n];
        assert_eq!(store.count().unwrap(), written, "before {n}");
        let len = if n == 6 { MAX_VALUE_LEN + 1 } else { 6 << 20 };
        (id(n), Secret::new(vec![0; len]))
    });
    let error = store.set_many(secrets).unwrap_err();
    assert!(
        matches!(error.error, Error::ValueTooLarge { .. }),
        "{error}"
    );
    assert_eq!(error.written, 6);
}
