//! A secret's `metadata.json`.

use std::fs;

use posixage::{Error, Metadata};

use crate::place::{Place, id, make_dir, write};

thread_local! {
    static PLACE: (Place, Vec<u8>) = {
        let place = Place::in_memory();
        let sealed = place.seal("value");
        make_dir(&place.secret(&id("x")));
        (place, sealed)
    };
}

/// The input is the file.
pub fn run(input: &[u8]) {
    PLACE.with(|(place, sealed)| {
        let x = id("x");
        let secret = place.secret(&x);
        write(&secret.join("secretage"), 0o600, sealed);
        write(&secret.join("metadata.json"), 0o600, input);
        let store = place.open();
        match store.metadata(&x) {
            Ok(metadata) => {
                assert_eq!(Ok(&metadata), expected(input).as_ref());
                let got = store.get(&x).expect("what has metadata has a value");
                assert_eq!(got.metadata(), metadata.as_ref());
                // And back to disk, and from there.
                store.set(&x, &got).expect("set");
                assert_eq!(store.metadata(&x).expect("metadata"), metadata);
                let written = fs::read(secret.join("metadata.json")).expect("read");
                assert_eq!(Ok(metadata), expected(&written));
            }
            Err(Error::Damaged { .. }) => {
                assert_eq!(expected(input), Err(()));
                assert!(matches!(store.get(&x), Err(Error::Damaged { .. })));
            }
            Err(error) => panic!("{error}"),
        }
        let listed: Vec<_> = store
            .list(&"**".parse().expect("a pattern"))
            .expect("list")
            .collect();
        assert_eq!(listed.len(), 1);
    });
}

/// What JSON says that it is.
fn expected(json: &[u8]) -> Result<Option<Metadata>, ()> {
    match serde_json::from_slice(json) {
        _ if json.len() > posixage::MAX_METADATA_LEN => Err(()),
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::Object(object)) => {
            let text = |(key, value)| match value {
                serde_json::Value::String(text) => Ok((key, text)),
                _ => Err(()),
            };
            object
                .into_iter()
                .map(text)
                .collect::<Result<_, _>>()
                .map(Some)
        }
        _ => Err(()),
    }
}
