//! Claim: any value, id and metadata come back exactly as they went in; what is too long is a clear
//! error and leaves the store as it was.

use posixage::{Metadata, Secret, Store};
use posixage_tests::{Place, Sandbox, shape, tree::Snapshot};
use proptest::prelude::*;

const KIB_64: usize = 64 << 10;

/// The values that break things, by name.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let cycle = |n: usize| (0..n).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
    vec![
        ("empty", Vec::new()),
        ("one-byte", vec![b'x']),
        ("nul", vec![0]),
        ("64KiB-1", cycle(KIB_64 - 1)),
        ("64KiB", cycle(KIB_64)),
        ("64KiB-and-1", cycle(KIB_64 + 1)),
        ("10MiB", cycle(10 << 20)),
        ("every-byte", (0..=255).collect()),
        ("newline", b"\n".to_vec()),
        ("newlines-at-the-end", b"line\n\n\n".to_vec()),
        ("crlf", b"line\r\n".to_vec()),
        ("latin-1", b"caf\xe9".to_vec()),
        ("looks-like-json", b"{\"secret\":\"x\"}".to_vec()),
    ]
}

fn metadata() -> Vec<(&'static str, Option<Metadata>)> {
    let control: String = (0..=0x1f)
        .map(char::from)
        .chain(['\x7f', '\u{85}'])
        .collect();
    let pairs = |pairs: &[(&str, &str)]| Some(pairs.iter().copied().collect::<Metadata>());
    vec![
        ("null", None),
        ("empty-object", Some(Metadata::new())),
        (
            "unicode",
            pairs(&[("grüße", "Zoë ☕ 日本語 \u{202e}right to left")]),
        ),
        ("control", pairs(&[("control", &control), (&control, "x")])),
        (
            "empty-key",
            pairs(&[("", "of an empty key"), ("empty value", "")]),
        ),
        ("quotes", pairs(&[("\"\\/", "</script>\u{2028}")])),
        ("equals", pairs(&[("a", "b=c==")])),
    ]
}

fn ids() -> [String; 5] {
    let components = "a/".repeat(94) + "b";
    [
        "x".into(),
        "x".repeat(189),
        components,
        ".".into(),
        "-:_./..".into(),
    ]
}

/// A store that the library and the binary share; the key is the binary's.
fn shared(sandbox: &Sandbox) -> Store {
    let key = posixage::KeyFile::new(sandbox.identity()).identities();
    let builder = Store::builder(sandbox.store()).identity(key.expect("the key of init"));
    builder.open().expect("the store of init")
}

#[test]
fn values_of_the_library_come_back_through_both() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    for (name, value) in values() {
        let id = name.parse().unwrap();
        store.create(&id, &Secret::new(value.clone())).unwrap();
        assert!(store.get(&id).unwrap().expose() == value, "{name}");
        assert!(sandbox.get(name) == value, "{name}");
    }
    shape::assert_store(&sandbox.store(), values().iter().map(|(name, _)| *name));
}

#[test]
fn values_of_the_binary_come_back_through_both() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    for (name, value) in values() {
        let set = sandbox
            .posixage(["set", "--raw", name])
            .input(value.clone());
        set.run().succeeds();
        assert!(sandbox.get(name) == value, "{name}");
        assert!(
            store.get(&name.parse().unwrap()).unwrap().expose() == value,
            "{name}"
        );
    }
    shape::assert_store(&sandbox.store(), values().iter().map(|(name, _)| *name));
}

#[test]
fn each_value_replaces_any_other() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    let id = "x".parse().unwrap();
    for (name, value) in values() {
        store.set(&id, &Secret::new(value.clone())).unwrap();
        assert!(store.get(&id).unwrap().expose() == value, "{name}");
    }
    for (name, value) in values() {
        sandbox.set("x", value.clone());
        assert!(sandbox.get("x") == value, "{name}");
    }
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn ids_of_one_and_of_189_bytes_work_and_190_is_a_clear_error() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    let ids = ids();
    for id in &ids {
        let set = sandbox.posixage(["set", "--", id]).input("by the binary");
        set.run().succeeds();
        let parsed = id.parse().unwrap();
        assert_eq!(store.get(&parsed).unwrap().expose(), b"by the binary");
        store.set(&parsed, &Secret::new("by the library")).unwrap();
        let get = sandbox.run(["get", "--", id]).succeeds_silently();
        assert_eq!(get.out(), "by the library");
    }
    let mut sorted = ids.to_vec();
    sorted.sort();
    assert_eq!(
        sandbox.run(["list"]).succeeds_silently().out(),
        sorted.join("\n") + "\n"
    );
    shape::assert_store(&sandbox.store(), ids.iter().map(String::as_str));

    let before = Snapshot::of(&sandbox.store());
    let too_long = "x".repeat(190);
    for args in [["set", &too_long], ["get", &too_long], ["rm", &too_long]] {
        let output = sandbox.posixage(args).input("value").run();
        output.fails(2).says(["190 bytes", "189"]);
    }
    assert!(too_long.parse::<posixage::Id>().is_err());
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn metadata_comes_back_exactly() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    for (name, metadata) in metadata() {
        let id = name.parse().unwrap();
        let secret = Secret::new("value").with_metadata(metadata.clone());
        store.create(&id, &secret).unwrap();
        assert_eq!(
            store.get(&id).unwrap().metadata(),
            metadata.as_ref(),
            "{name}"
        );
        assert_eq!(store.metadata(&id).unwrap(), metadata, "{name}");

        let shown = sandbox.run(["get", "--metadata", name]).succeeds_silently();
        assert_eq!(
            serde_json::from_slice::<Option<Metadata>>(&shown.stdout).unwrap(),
            metadata,
            "{name}"
        );

        // And in again, through the binary.
        let json = serde_json::json!({
            "secret": "value",
            "metadata": serde_json::from_slice::<serde_json::Value>(&shown.stdout).unwrap(),
        });
        let copy = format!("copy/{name}");
        let set = sandbox
            .posixage(["set", "--json", &copy])
            .input(json.to_string());
        set.run().succeeds();
        assert_eq!(
            store.metadata(&copy.parse().unwrap()).unwrap(),
            metadata,
            "{name}"
        );
    }
}

#[test]
fn metadata_from_arguments_comes_back_exactly() {
    let sandbox = Sandbox::new().initialised();
    let store = shared(&sandbox);
    for (name, metadata) in metadata() {
        let Some(metadata) = metadata.filter(|m| !m.is_empty()) else {
            continue;
        };
        let mut set = sandbox.posixage(["set", name]).input("value");
        for (key, value) in metadata.iter() {
            // An argument can hold neither a NUL nor a key with an equals sign.
            let (key, value) = (key.replace('\0', ""), value.replace('\0', ""));
            set = set.arg("--metadata").arg(format!("{key}={value}"));
        }
        set.run().succeeds();
        let expected: Metadata = metadata
            .iter()
            .map(|(k, v)| (k.replace('\0', ""), v.replace('\0', "")))
            .collect();
        assert_eq!(
            store.metadata(&name.parse().unwrap()).unwrap(),
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn a_value_of_over_64_mib_is_refused_and_the_old_one_stays() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let before = Snapshot::of(&sandbox.store());
    let limit = posixage::MAX_VALUE_LEN;
    assert_eq!(limit, 64 << 20);

    let store = shared(&sandbox);
    let error = store
        .set(&"x".parse().unwrap(), &Secret::new(vec![0; limit + 1]))
        .unwrap_err();
    assert!(error.to_string().contains(&limit.to_string()), "{error}");

    // An input without an end is not read to its end.
    let endless = sandbox
        .posixage(["set", "--force", "x"])
        .in_shell(r#"exec "$@" </dev/zero"#);
    endless.run().fails(1).says([limit.to_string().as_str()]);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    assert_eq!(sandbox.get("x"), b"old");
}

#[test]
fn metadata_that_is_none_is_refused_and_nothing_is_written() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for json in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"metadata":{}}"#,
        r#"{"secret":1}"#,
        r#"{"secret":"x","metadata":[]}"#,
        r#"{"secret":"x","metadata":{"a":1}}"#,
        r#"{"secret":"x","metadata":{"a":{"b":"c"}}}"#,
        r#"{"secret":"x","metadata":"a"}"#,
        r#"{"secret":"x","metadata":{}"#,
        r#"{"secret":"x"} {"secret":"y"}"#,
        r#"{"secret":"x","encoding":"rot13"}"#,
        r#"{"secret":"not base64!","encoding":"base64"}"#,
        r#"{"secret":"x","surprise":true}"#,
    ] {
        let set = sandbox.posixage(["set", "--json", "x"]).input(json).run();
        assert!(matches!(set.status.code(), Some(1 | 2)), "{json}: {set:?}");
        let code = set.status.code().unwrap();
        set.fails(code);
        assert_eq!(Snapshot::of(&sandbox.store()), before, "{json}");
    }
    let invalid = sandbox
        .posixage(["set", "--json", "x"])
        .input(b"{\"secret\":\"\xff\"}")
        .run();
    assert!(!invalid.status.success(), "{invalid:?}");

    let huge = format!(
        r#"{{"secret":"x","metadata":{{"k":"{}"}}}}"#,
        "y".repeat(1 << 20)
    );
    let set = sandbox.posixage(["set", "--json", "x"]).input(huge).run();
    set.fails(1).says(["metadata", "1048576"]);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn metadata_of_almost_a_mebibyte_comes_back() {
    let sandbox = Sandbox::new().initialised();
    let text = "y".repeat((1 << 20) - 64);
    let json = serde_json::json!({ "secret": "x", "metadata": { "k": text } });
    sandbox
        .posixage(["set", "--json", "x"])
        .input(json.to_string())
        .run()
        .succeeds();
    let shown = sandbox.run(["get", "--metadata", "x"]).succeeds_silently();
    let metadata: Metadata = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(metadata.get("k"), Some(&*text));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_set_is_got(
        text in "[A-Za-z0-9._:-]{1,9}(/[A-Za-z0-9._:-]{1,9}){0,4}",
        value in proptest::collection::vec(any::<u8>(), 0..600),
        pairs in proptest::option::of(proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5)),
    ) {
        let place = Place::new();
        let store = place.open();
        let id = text.parse().unwrap();
        let metadata: Option<Metadata> = pairs.map(|pairs| pairs.into_iter().collect());
        let secret = Secret::new(value).with_metadata(metadata);
        store.create(&id, &secret).unwrap();
        prop_assert!(store.get(&id).unwrap() == secret);
        let entries: Vec<_> = store.list(&posixage::Pattern::all()).unwrap().collect();
        prop_assert_eq!(entries.len(), 1);
        prop_assert_eq!(&entries[0].id, &id);
        shape::assert_store(place.root(), [text.as_str()]);
        store.remove(&id).unwrap();
        shape::assert_store(place.root(), []);
    }
}
