//! Claim: to iterate holds no lock between two steps, waits once at most, and passes over what was
//! removed in the meantime.

use posixage::{
    Entry, Error, Finding, Id, Secret, Store, VerifyOptions,
    lock::{Mode, Wait},
};
use posixage_tests::Place;

/// More than one of a listing's batches.
const COUNT: usize = 300;

fn fill(place: &Place) -> Store {
    let builder = place.builder().identity(place.identity().clone());
    let store = builder.lock_wait(Wait::Try).open().expect("a store");
    let secrets = (0..COUNT).map(|n| (id(n), Secret::new("value")));
    store.set_many(secrets).expect("write");
    store
}

fn id(n: usize) -> Id {
    format!("many/{n:03}").parse().expect("a store")
}

/// Asserts that most failed, all for want of the lock, and only one of them waited for it.
fn assert_one_waited<'a>(errors: impl Iterator<Item = Option<&'a Error>>) {
    let waits: Vec<_> = errors
        .flatten()
        .map(|error| match error {
            Error::Lock(posixage::lock::Error::Timeout { waited, .. }) => waited,
            error => panic!("{error}"),
        })
        .collect();
    assert!(waits.len() > COUNT / 2, "what was locked says so");
    let long = waits.iter().filter(|waited| !waited.is_zero()).count();
    assert_eq!(long, 1, "one waited, the others did not");
}

#[test]
fn a_listing_is_sorted_and_complete_and_writers_go_on_beside_it() {
    let place = Place::new();
    let store = fill(&place);
    let mut listed = Vec::new();
    for entry in store.list(&"many/*".parse().unwrap()).unwrap() {
        drop(store.lock(Mode::Exclusive).expect("the lock is free"));
        if listed.is_empty() {
            store.remove(&id(COUNT - 1)).unwrap();
        }
        assert!(entry.metadata.is_ok());
        listed.push(entry.id);
    }
    let expected: Vec<Id> = (0..COUNT - 1).map(id).collect();
    assert_eq!(listed, expected, "the last one was removed at the first");
}

#[test]
fn filter_goes_on_beside_writers_too() {
    let place = Place::new();
    let store = fill(&place);
    let mut found = 0;
    for (at, secret) in store.filter(&"**".parse().unwrap()).unwrap() {
        drop(store.lock(Mode::Exclusive).expect("the lock is free"));
        assert_eq!(secret.unwrap().expose(), b"value", "{at}");
        found += 1;
    }
    assert_eq!(found, COUNT);
}

#[test]
fn a_listing_waits_once_for_a_held_lock() {
    let place = Place::new();
    let store = fill(&place);
    let patient = store.with_lock_wait(Wait::For(std::time::Duration::from_millis(200)));
    let mut entries = patient.list(&"**".parse().unwrap()).unwrap();
    let first = entries.next().unwrap();
    assert_eq!(first.id, id(0));
    let held = store.lock(Mode::Exclusive).unwrap();
    let rest: Vec<Entry> = entries.collect();
    assert_eq!(rest.len(), COUNT - 1, "every secret has its entry");
    assert_one_waited(rest.iter().map(|entry| entry.metadata.as_ref().err()));
    drop(held);
}

#[test]
fn filter_waits_once_for_a_held_lock() {
    let place = Place::new();
    let store = fill(&place);
    let patient = store.with_lock_wait(Wait::For(std::time::Duration::from_millis(200)));
    let mut secrets = patient.filter(&"**".parse().unwrap()).unwrap();
    secrets.next().unwrap().1.unwrap();
    let held = store.lock(Mode::Exclusive).unwrap();
    let rest: Vec<_> = secrets.collect();
    assert_eq!(rest.len(), COUNT - 1, "every secret has its place");
    assert_one_waited(rest.iter().map(|(_, secret)| secret.as_ref().err()));
    drop(held);
}

#[test]
fn a_check_tells_what_it_found_when_it_has_let_the_lock_go() {
    let place = Place::new();
    let store = fill(&place);
    let stray = store.path().join("stray");
    std::fs::write(&stray, "").unwrap();
    for n in 0..3 {
        let directory = place.secret(&id(n));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory, mode).unwrap();
    }
    for what in [VerifyOptions::new(), VerifyOptions::new().with_repair(true)] {
        let mut found = 0;
        let tell = |finding| {
            found += 1;
            drop(store.lock(Mode::Exclusive).expect("the lock is free"));
            drop::<Finding>(finding);
        };
        store.verify(what, tell).unwrap();
        assert_eq!(found, 4);
    }
}

#[test]
fn a_wait_is_a_handles_and_a_calls() {
    let place = Place::new();
    let store = fill(&place);
    let held = store.lock(Mode::Exclusive).unwrap();
    let waited = |store: &Store| match store.get(&id(0)) {
        Err(Error::Lock(posixage::lock::Error::Timeout { waited, .. })) => waited,
        other => panic!("{other:?}"),
    };
    let short = std::time::Duration::from_millis(50);
    assert!(waited(&store).is_zero());
    assert!(waited(&store.with_lock_wait(Wait::For(short))) >= short);
    assert!(waited(&store).is_zero(), "that was for one call");
    drop(held);
}
