//! Claim: `Store::filter` decrypts ahead, on all cores, which shows in nothing but its speed.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use posixage::{Error, Id, KeySource, KeyType, Password, Pattern, Secret, Store, StoreConfig};
use posixage_tests::Place;

/// More than two of what is decrypted ahead.
const COUNT: usize = 600;

fn id(n: usize) -> Id {
    format!("many/{n:03}").parse().expect("an id")
}

fn fill(place: &Place, value: impl Fn(usize) -> Vec<u8>) -> Store {
    let store = place.open();
    let secrets = (0..COUNT).map(|n| (id(n), Secret::new(value(n))));
    store.set_many(secrets).expect("write");
    store
}

#[test]
fn values_come_in_order_each_once_and_an_error_at_its_place() {
    let place = Place::new();
    let store = fill(&place, |n| n.to_string().into_bytes());
    let damaged = place.secret(&id(333)).join("secretage");
    fs::write(damaged, "not an age file").unwrap();
    let found: Vec<_> = store.filter(&Pattern::all()).unwrap().collect();
    let ids: Vec<Id> = found.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, (0..COUNT).map(id).collect::<Vec<_>>());
    for (n, (_, secret)) in found.into_iter().enumerate() {
        match secret {
            Ok(secret) => assert_eq!(secret.expose(), n.to_string().as_bytes()),
            Err(Error::Damaged { id: named, .. }) => assert_eq!((n, named), (333, id(333))),
            Err(error) => panic!("{n}: {error}"),
        }
    }
}

#[test]
fn large_values_come_in_order_too() {
    let place = Place::new();
    // One in 300 alone is more than is decrypted ahead.
    let value = |n: usize| vec![n as u8; if n % 300 == 7 { 17 << 20 } else { n }];
    let store = fill(&place, value);
    let mut n = 0;
    for (_, secret) in store.filter(&Pattern::all()).unwrap() {
        assert!(secret.unwrap().expose() == value(n), "{n}");
        n += 1;
    }
    assert_eq!(n, COUNT);
}

#[test]
fn threads_that_decrypt_ask_once() {
    let config = StoreConfig::new([]).with_password(true).with_work_factor(2);
    let place = Place::with(|_| config);
    let password = || Password::new("correct horse").unwrap();
    let store = place.builder().identity(password()).open().unwrap();
    store
        .set_many((0..40).map(|n| (id(n), Secret::new("value"))))
        .unwrap();

    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let source = KeySource::callback(KeyType::Password, "asked", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Password::new("correct horse").unwrap().into()])
    });
    let store = place.builder().identity(source).open().unwrap();
    let found = store.filter(&Pattern::all()).unwrap();
    assert!(
        found
            .map(|(_, secret)| secret.unwrap())
            .all(|s| s.expose() == b"value")
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
