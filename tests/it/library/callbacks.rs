//! Claim: a key that comes from a callback is fetched when it is needed, once, and with no lock held.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use posixage::{
    Change, Identity, KeyError, KeySource, KeyType, Password, Pattern, Recipient, Secret, Store,
    StoreBuilder, StoreConfig,
    lock::{Mode, Wait},
};
use posixage_tests::{Place, place::x};

/// A store for a password, with one secret, `x`.
struct Guarded {
    place: Place,
    calls: Arc<AtomicUsize>,
}

impl Guarded {
    fn new() -> Self {
        let config = StoreConfig::new([]).with_password(true).with_work_factor(1);
        let guarded = Self {
            place: Place::with(|_| config),
            calls: Arc::default(),
        };
        let store = guarded.builder().identity(password()).open().expect("open");
        store.create(&x(), &Secret::new("value")).expect("create");
        guarded
    }

    /// The password, from a callback that counts its calls and checks that the store's lock is free.
    fn source(&self) -> KeySource<Identity> {
        let (path, calls) = (self.place.root().to_path_buf(), Arc::clone(&self.calls));
        KeySource::callback(KeyType::Password, "asked for", move || {
            assert_free(&path);
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(vec![password().into()])
        })
    }

    fn builder(&self) -> StoreBuilder {
        self.place.builder()
    }
}

fn password() -> Password {
    Password::new("password").expect("not empty")
}

fn assert_free(store: &Path) {
    // Another thread may be reading just now, and does not wait for this one.
    let store = Store::builder(store)
        .lock_wait(Wait::For(Duration::from_secs(10)))
        .open()
        .expect("open");
    drop(
        store
            .lock(Mode::Exclusive)
            .expect("the lock is free while a key is fetched"),
    );
}

#[test]
fn a_callback_is_asked_once_and_never_under_the_lock() {
    let guarded = Guarded::new();
    let store = guarded.builder().identity(guarded.source()).open().unwrap();
    assert_eq!(store.list(&Pattern::all()).unwrap().count(), 1);
    store.metadata(&x()).unwrap();
    assert_eq!(
        guarded.calls.load(Ordering::Relaxed),
        0,
        "asked for nothing"
    );
    assert_eq!(store.get(&x()).unwrap().expose(), b"value");
    store.set(&x(), &Secret::new("new")).unwrap();
    store
        .update(&x(), |_| Ok::<_, posixage::Error>(Change::Keep))
        .unwrap();
    assert_eq!(store.filter(&Pattern::all()).unwrap().count(), 1);
    assert_eq!(store.get(&x()).unwrap().expose(), b"new");
    assert_eq!(guarded.calls.load(Ordering::Relaxed), 1);
}

type Use = (&'static str, fn(&Store));

#[test]
fn holds_no_lock_whatever_needs_it_first() {
    let uses: [Use; 4] = [
        ("get", |store| drop(store.get(&x()).unwrap())),
        ("filter", |store| {
            assert_eq!(store.filter(&Pattern::all()).unwrap().count(), 1)
        }),
        ("set", |store| store.set(&x(), &Secret::new("new")).unwrap()),
        ("update", |store| {
            store
                .update(&x(), |_| Ok::<_, posixage::Error>(Change::Keep))
                .unwrap()
        }),
    ];
    for (name, needs_it) in uses {
        let guarded = Guarded::new();
        let store = guarded.builder().identity(guarded.source()).open().unwrap();
        needs_it(&store);
        assert_eq!(guarded.calls.load(Ordering::Relaxed), 1, "{name}");
    }
}

#[test]
fn a_recipient_may_come_from_a_callback_too() {
    let guarded = Guarded::new();
    let path = guarded.place.root().to_path_buf();
    let recipient = KeySource::callback(KeyType::Password, "asked for", move || {
        assert_free(&path);
        Ok(vec![Recipient::from(password())])
    });
    let store = guarded.builder().recipient(recipient).open().unwrap();
    store
        .create(&"y".parse().unwrap(), &Secret::new("value"))
        .unwrap();
    let reader = guarded.builder().identity(password()).open().unwrap();
    assert_eq!(
        reader.get(&"y".parse().unwrap()).unwrap().expose(),
        b"value"
    );
}

#[test]
fn one_that_fails_is_passed_over_and_not_asked_again() {
    let guarded = Guarded::new();
    let calls = Arc::clone(&guarded.calls);
    let fails = KeySource::callback(KeyType::Password, "a person", move || {
        calls.fetch_add(1, Ordering::Relaxed);
        Err(KeyError::Unavailable("no terminal".into()))
    });
    let store = guarded
        .builder()
        .identity(fails)
        .identity(password())
        .open()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(store.get(&x()).unwrap().expose(), b"value");
    }
    assert_eq!(guarded.calls.load(Ordering::Relaxed), 1);
}

#[test]
fn one_of_a_type_that_the_secret_lacks_is_not_asked() {
    let guarded = Guarded::new();
    let calls = Arc::clone(&guarded.calls);
    let idle = KeySource::callback(KeyType::Age, "not needed", move || {
        calls.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Identity::generate()])
    });
    let store = guarded
        .builder()
        .identity(idle)
        .identity(password())
        .open()
        .unwrap();
    assert_eq!(store.get(&x()).unwrap().expose(), b"value");
    assert_eq!(guarded.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn threads_that_need_it_at_once_share_one_answer() {
    let guarded = Guarded::new();
    let store = guarded.builder().identity(guarded.source()).open().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(store.get(&x()).unwrap().expose(), b"value"));
        }
    });
    assert_eq!(guarded.calls.load(Ordering::Relaxed), 1);
}

/// On one terminal two would read the same line.
#[test]
fn threads_that_need_different_ones_ask_one_after_the_other() {
    let guarded = Guarded::new();
    let identity = Identity::generate();
    let public = identity.to_recipient().unwrap();
    for n in 0..8 {
        let builder = guarded.builder().work_factor(1);
        let builder = match n % 2 {
            0 => builder.recipient(public.clone()),
            _ => builder.recipient(password()),
        };
        let store = builder.open().unwrap();
        let id = format!("y/{n}").parse().unwrap();
        store.create(&id, &Secret::new("value")).unwrap();
    }

    let asked = Arc::new(Asked::default());
    let (first, second) = (Arc::clone(&asked), Arc::clone(&asked));
    let store = guarded
        .builder()
        .identity(KeySource::callback(KeyType::Age, "a key", move || {
            first.answers();
            Ok(vec![identity])
        }))
        .identity(KeySource::password("a password", move || {
            second.answers();
            Ok(password())
        }))
        .open()
        .unwrap();
    let found = store.filter(&"y/*".parse().unwrap()).unwrap();
    assert_eq!(found.filter(|(_, secret)| secret.is_ok()).count(), 8);
    assert_eq!(asked.calls.load(Ordering::SeqCst), 2);
    assert!(!asked.together.load(Ordering::SeqCst), "two asked at once");
}

/// A person who is asked for several keys.
#[derive(Default)]
struct Asked {
    now: AtomicUsize,
    calls: AtomicUsize,
    together: AtomicBool,
}

impl Asked {
    /// Takes long enough for another question to come meanwhile.
    fn answers(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.together.fetch_or(now > 1, Ordering::SeqCst);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(500) && !self.together.load(Ordering::SeqCst)
        {
            std::thread::yield_now();
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}
