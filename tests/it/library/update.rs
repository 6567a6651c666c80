//! Claim: `Store::update` reads, changes and writes, and no other write comes between.

use posixage::{Change, Error, Identity, Secret, Store};
use posixage_tests::{Place, place::x, shape, tree::Snapshot};

/// An error of a caller's own.
#[derive(Debug)]
struct Whim(Option<Error>);

impl From<Error> for Whim {
    fn from(error: Error) -> Self {
        Self(Some(error))
    }
}

fn increment(store: &Store) -> Result<(), Box<dyn std::error::Error>> {
    store.update(&x(), |secret| {
        let text = secret.map_or("0".into(), |s| {
            String::from_utf8_lossy(s.expose()).into_owned()
        });
        let next = text.parse::<u32>()? + 1;
        Ok(Change::Set(Secret::new(next.to_string())))
    })
}

#[test]
fn no_increment_is_lost_among_handles_and_threads() {
    let place = Place::new();
    let shared = place.open();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let own = place.open();
                for _ in 0..20 {
                    increment(&own).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..20 {
                    increment(&shared).unwrap();
                }
            });
        }
    });
    assert_eq!(place.open().get(&x()).unwrap().expose(), b"120");
    shape::assert_store(place.root(), ["x"]);
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    store.create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.root());
    let error = store.update(&x(), |_| Err(Whim(None))).unwrap_err();
    assert!(error.0.is_none(), "{error:?}");
    store
        .update(&x(), |_| Ok::<_, Error>(Change::Keep))
        .unwrap();
    let huge = Secret::new(vec![0; posixage::MAX_VALUE_LEN + 1]);
    let error = store.update(&x(), |_| Ok(Change::Set(huge))).unwrap_err();
    assert!(
        matches!(error, Whim(Some(Error::ValueTooLarge { .. }))),
        "{error:?}"
    );
    assert_eq!(Snapshot::of(place.root()), before);
}

#[test]
fn a_panic_in_the_change_releases_the_lock_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    store.create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.root());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.update(&x(), |_| -> Result<_, Error> { panic!("as a test") })
    }));
    assert!(panicked.is_err());
    assert_eq!(Snapshot::of(place.root()), before);
    store.set(&x(), &Secret::new("new")).unwrap();
    assert_eq!(store.get(&x()).unwrap().expose(), b"new");
}

#[test]
fn what_was_not_there_can_be_made_and_what_was_can_be_removed() {
    let place = Place::new();
    let store = place.open();
    let make = |secret: Option<&Secret>| -> Result<_, Error> {
        assert!(secret.is_none());
        Ok(Change::Set(Secret::new("made")))
    };
    store.update(&x(), make).unwrap();
    let remove = |secret: Option<&Secret>| -> Result<_, Error> {
        assert_eq!(secret.unwrap().expose(), b"made");
        Ok(Change::Remove)
    };
    store.update(&x(), remove).unwrap();
    store
        .update(&x(), |_| Ok::<_, Error>(Change::Remove))
        .unwrap();
    assert!(matches!(store.get(&x()), Err(Error::NotFound { .. })));
    shape::assert_store(place.root(), []);
}

#[test]
fn a_secret_that_no_key_reads_is_not_replaced() {
    let place = Place::new();
    place.open().create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.root());
    let stranger = place.builder().identity(Identity::generate());
    let update = stranger
        .open()
        .unwrap()
        .update(&x(), |_| Ok::<_, Error>(Change::Remove));
    assert!(matches!(update, Err(Error::NoKeyFits { .. })), "{update:?}");
    assert_eq!(Snapshot::of(place.root()), before);
}
