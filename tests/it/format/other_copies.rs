//! Claim: ciphertexts for key types that are not in use are not read; still, an error without a fitting
//! key names them.

use std::sync::{Arc, Mutex};

use posixage::{
    Error, Identity, KeySource, KeyType, Password, Pattern, Secret, Store, StoreConfig,
    lock::{self, Wait},
};
use posixage_tests::{Place, place::x};

/// A store for an age key and a password, with one secret.
fn place() -> Place {
    let place = Place::with(|recipient| {
        let config = StoreConfig::new([recipient]).with_password(true);
        config.with_work_factor(1)
    });
    let password = Password::new("password").expect("not empty");
    let store = place.builder().identity(password).open().expect("open");
    store.create(&x(), &Secret::new("value")).expect("create");
    place
}

/// Opens the store with a key that does not fit, which arrives while another handle takes the lock for good.
fn with_a_wrong_key(place: &Place) -> (Store, Arc<Mutex<Option<lock::Guard>>>) {
    let held = Arc::new(Mutex::new(None));
    let (holder, other) = (Arc::clone(&held), place.builder().open().expect("open"));
    let source = KeySource::callback(KeyType::Age, "wrong", move || {
        let guard = other.lock(lock::Mode::Exclusive).expect("the lock is free");
        *holder.lock().expect("no panic") = Some(guard);
        Ok(vec![Identity::generate()])
    });
    let builder = place.builder().identity(source).lock_wait(Wait::Try);
    (builder.open().expect("open"), held)
}

#[track_caller]
fn fits_not(found: Result<Secret, Error>) {
    match found {
        Err(Error::NoKeyFits { has, attempts, .. }) => {
            assert_eq!(has, [KeyType::Password, KeyType::Age]);
            assert_eq!(attempts.len(), 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_key_is_reported_while_another_has_the_lock() {
    let place = place();
    let (store, held) = with_a_wrong_key(&place);
    fits_not(store.get(&x()));
    assert!(held.lock().unwrap().take().is_some());
    let (store, held) = with_a_wrong_key(&place);
    let mut found = store.filter(&Pattern::all()).unwrap();
    fits_not(found.next().unwrap().1);
    assert!(held.lock().unwrap().take().is_some());
}
