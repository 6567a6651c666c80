//! Sequences of operations on a store, beside a map in memory that does the same.

use std::collections::BTreeMap;

use posixage::{Change, Error, Id, Metadata, Pattern, Secret, Store};

use arbitrary::Unstructured;

use super::{choose, next, take};
use crate::place::{Place, id};

const IDS: [&str; 6] = ["a", "a/b", "a/b/c", "b", "a/c", "docker/host:5000"];

const PATTERNS: [&str; 7] = ["**", "*", "a/**", "a/*", "**/c", "a/b", "x/**"];

type Model = BTreeMap<Id, (Vec<u8>, Option<Metadata>)>;

thread_local! {
    static PLACE: Place = Place::in_memory();
}

/// The input is the sequence. The store is empty before and after it.
pub fn run(input: &[u8]) {
    PLACE.with(|place| {
        let mut bytes = Unstructured::new(input);
        let (mut store, mut model) = (place.open(), Model::new());
        for _ in 0..64 {
            if bytes.is_empty() {
                break;
            }
            step(&mut bytes, &mut store, &mut model, place);
        }
        look(&place.open(), &model, "**");
        for id in model.keys() {
            store.remove(id).expect("remove");
        }
        assert_eq!(store.count().expect("count"), 0);
    });
}

fn step(bytes: &mut Unstructured<'_>, store: &mut Store, model: &mut Model, place: &Place) {
    let id = id(choose(bytes, &IDS));
    match next(bytes) % 11 {
        0 | 1 => {
            let new = secret(bytes);
            store.set(&id, &new).expect("set");
            model.insert(id, kept(&new));
        }
        2 => {
            let new = secret(bytes);
            match (store.create(&id, &new), model.contains_key(&id)) {
                (Ok(()), false) => drop(model.insert(id, kept(&new))),
                (Err(Error::AlreadyExists { .. }), true) => {}
                other => panic!("create {id}: {other:?}"),
            }
        }
        3 => match (store.remove(&id), model.remove(&id)) {
            (Ok(()), Some(_)) | (Err(Error::NotFound { .. }), None) => {}
            other => panic!("remove {id}: {other:?}"),
        },
        4 => update(bytes, store, model, &id),
        5 => match (store.get(&id), model.get(&id)) {
            (Ok(secret), Some(expected)) => assert_eq!(&kept(&secret), expected),
            (Err(Error::NotFound { .. }), None) => {}
            other => panic!("get {id}: {other:?}"),
        },
        6 => match (store.metadata(&id), model.get(&id)) {
            (Ok(metadata), Some((_, expected))) => assert_eq!(&metadata, expected),
            (Err(Error::NotFound { .. }), None) => {}
            other => panic!("metadata of {id}: {other:?}"),
        },
        7 => look(store, model, choose(bytes, &PATTERNS)),
        8 => *store = place.open(),
        9 => assert_eq!(store.count().expect("count"), model.len()),
        _ => {
            let many: Vec<_> = (0..next(bytes) % 6)
                .map(|_| (crate::place::id(choose(bytes, &IDS)), secret(bytes)))
                .collect();
            store.set_many(many.clone()).expect("set many");
            model.extend(many.iter().map(|(id, new)| (id.clone(), kept(new))));
        }
    }
}

fn update(bytes: &mut Unstructured<'_>, store: &Store, model: &mut Model, id: &Id) {
    let what = next(bytes) % 4;
    let new = secret(bytes);
    let mut seen = None;
    let updated = store.update(id, |current| -> Result<_, Box<dyn std::error::Error>> {
        seen = current.map(kept);
        Ok(match what {
            0 => Change::Keep,
            1 => Change::Remove,
            2 => Change::Set(new.clone()),
            _ => return Err("no".into()),
        })
    });
    assert_eq!(seen.as_ref(), model.get(id));
    match (updated, what) {
        (Ok(()), 0) | (Err(_), 3) => {}
        (Ok(()), 1) => drop(model.remove(id)),
        (Ok(()), 2) => drop(model.insert(id.clone(), kept(&new))),
        other => panic!("update {id}: {other:?}"),
    }
}

/// What is listed and what is decrypted is what is there, in order.
fn look(store: &Store, model: &Model, pattern: &str) {
    let pattern: Pattern = pattern.parse().expect("a pattern");
    let expected = || model.iter().filter(|(id, _)| pattern.matches(id));
    let listed = store.list(&pattern).expect("list");
    let listed: Vec<_> = listed
        .map(|e| (e.id, e.metadata.expect("metadata")))
        .collect();
    let wanted: Vec<_> = expected()
        .map(|(id, (_, metadata))| (id.clone(), metadata.clone()))
        .collect();
    assert_eq!(listed, wanted);
    let found = store.filter(&pattern).expect("filter");
    let found: Vec<_> = found
        .map(|(id, secret)| (id, kept(&secret.expect("a value"))))
        .collect();
    let wanted: Vec<_> = expected()
        .map(|(id, kept)| (id.clone(), kept.clone()))
        .collect();
    assert_eq!(found, wanted);
}

fn secret(bytes: &mut Unstructured<'_>) -> Secret {
    let value = take(bytes);
    let metadata = match next(bytes) % 3 {
        0 => None,
        1 => Some(Metadata::new()),
        _ => Some(
            [("k", String::from_utf8_lossy(take(bytes)))]
                .into_iter()
                .collect(),
        ),
    };
    Secret::new(value).with_metadata(metadata)
}

fn kept(secret: &Secret) -> (Vec<u8>, Option<Metadata>) {
    (secret.expose().to_vec(), secret.metadata().cloned())
}
