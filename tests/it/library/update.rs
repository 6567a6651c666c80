//! Claim: `Store::update` reads, changes and writes with nobody in between.

use std::path::Path;

use posixage::{Change, Error, Id, Identity, Secret, Store, StoreConfig};
use posixage_tests::{shape, tree::Snapshot};

struct Place {
    dir: tempfile::TempDir,
    identity: Identity,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            identity: Identity::generate(),
        };
        let recipients = vec![place.identity.to_recipient().expect("a recipient")];
        let config = StoreConfig::new(recipients);
        Store::init(place.path().as_ref(), &config).expect("init");
        place
    }

    fn path(&self) -> impl AsRef<Path> + use<> {
        self.dir.path().join("store")
    }

    fn open(&self) -> Store {
        let builder = Store::builder(self.path().as_ref()).identity(self.identity.clone());
        builder.open().expect("open")
    }
}

fn x() -> Id {
    "x".parse().expect("an id")
}

fn increment(store: &Store) -> Result<(), Error> {
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
    shape::assert_store(place.path().as_ref(), ["x"]);
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    store.create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.path().as_ref());
    let error = store.update(&x(), |_| Err("on a whim".into())).unwrap_err();
    assert!(matches!(&error, Error::Update { .. }) && error.to_string().contains("on a whim"));
    store.update(&x(), |_| Ok(Change::Keep)).unwrap();
    let huge = Secret::new(vec![0; posixage::MAX_VALUE_LEN + 1]);
    let error = store.update(&x(), |_| Ok(Change::Set(huge))).unwrap_err();
    assert!(matches!(error, Error::ValueTooLarge { .. }), "{error}");
    assert_eq!(Snapshot::of(place.path().as_ref()), before);
}

#[test]
fn a_panic_in_the_change_releases_the_lock_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    store.create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.path().as_ref());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.update(&x(), |_| panic!("as a test"))
    }));
    assert!(panicked.is_err());
    assert_eq!(Snapshot::of(place.path().as_ref()), before);
    store.set(&x(), &Secret::new("new")).unwrap();
    assert_eq!(store.get(&x()).unwrap().expose(), b"new");
}

#[test]
fn what_was_not_there_can_be_made_and_what_was_can_be_removed() {
    let place = Place::new();
    let store = place.open();
    let make = |secret: Option<&Secret>| {
        assert!(secret.is_none());
        Ok(Change::Set(Secret::new("made")))
    };
    store.update(&x(), make).unwrap();
    let remove = |secret: Option<&Secret>| {
        assert_eq!(secret.unwrap().expose(), b"made");
        Ok(Change::Remove)
    };
    store.update(&x(), remove).unwrap();
    store.update(&x(), |_| Ok(Change::Remove)).unwrap();
    assert!(matches!(store.get(&x()), Err(Error::NotFound { .. })));
    shape::assert_store(place.path().as_ref(), []);
}

#[test]
fn a_secret_that_no_key_reads_is_not_replaced() {
    let place = Place::new();
    place.open().create(&x(), &Secret::new("old")).unwrap();
    let before = Snapshot::of(place.path().as_ref());
    let stranger = Store::builder(place.path().as_ref()).identity(Identity::generate());
    let update = stranger
        .open()
        .unwrap()
        .update(&x(), |_| Ok(Change::Remove));
    assert!(matches!(update, Err(Error::NoKeyFits { .. })), "{update:?}");
    assert_eq!(Snapshot::of(place.path().as_ref()), before);
}
