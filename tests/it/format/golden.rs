//! Claim: every secret that the reference wrote is read with every key that fits, exactly, through
//! the library and through the binary; a key that does not fit is said not to fit.

use std::{collections::BTreeMap, fs, path::Path};

use posixage::{Entry, Error, Id, Identity, KeyFile, KeySource, Password, Pattern, Store};
use posixage_tests::{
    Program, Sandbox, golden,
    golden::{Expected, STORES},
    tree::Snapshot,
};

const KEYS: [&str; 6] = [
    "age-1.txt",
    "age-2.txt",
    "age-stranger.txt",
    "ssh-ed25519",
    "ssh-rsa",
    "password.txt",
];

fn identity(sandbox: &Sandbox, name: &str) -> KeySource<Identity> {
    let path = golden::key(sandbox, name);
    if name == "password.txt" {
        let text = fs::read_to_string(path).expect("a password");
        return Password::new(&text).expect("not empty").into();
    }
    KeyFile::new(path).identities().expect("a key")
}

fn open(sandbox: &Sandbox, store: &Path, key: &str) -> Store {
    let builder = Store::builder(store).identity(identity(sandbox, key));
    builder.open().expect("open a golden store")
}

fn key_flag(key: &str) -> &'static str {
    if key == "password.txt" {
        "--password-file"
    } else {
        "-i"
    }
}

fn with_key(sandbox: &Sandbox, store: &Path, key: &str) -> Program {
    let path = golden::key(sandbox, key);
    sandbox
        .posixage(["--store"])
        .arg(store)
        .arg(key_flag(key))
        .arg(path)
}

#[test]
fn library_reads_each_secret_with_each_key_that_fits() {
    let sandbox = Sandbox::new();
    let mut read = 0;
    for (name, keys) in STORES {
        let path = golden::store(&sandbox, name);
        for key in keys {
            let store = open(&sandbox, &path, key);
            for expected in golden::expected_in(name) {
                let secret = store.get(&expected.id.parse().unwrap()).unwrap();
                expected.assert_value(secret.expose());
                assert_metadata(&expected, secret.metadata());
                read += 1;
            }
            let filtered: Vec<Id> = store
                .filter(&Pattern::all())
                .unwrap()
                .map(|(id, secret)| secret.map(|_| id).unwrap())
                .collect();
            assert_eq!(filtered, ids(name), "{name} {key}");
        }
        let listed: Vec<Entry> = open(&sandbox, &path, keys[0])
            .list(&Pattern::all())
            .unwrap()
            .collect();
        let listed_ids: Vec<Id> = listed.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(listed_ids, ids(name));
        for expected in golden::expected_in(name) {
            let entry = listed
                .iter()
                .find(|e| e.id.as_str() == expected.id)
                .unwrap();
            assert_metadata(&expected, entry.metadata.as_ref().unwrap().as_ref());
        }
    }
    // 32 secrets; the three of two stores are read with two and with three keys.
    assert_eq!(golden::expected().len(), 32);
    assert_eq!(read, 32 + 3 + 3 * 2);
}

fn assert_metadata(expected: &Expected, metadata: Option<&posixage::Metadata>) {
    let metadata: Option<BTreeMap<String, String>> =
        metadata.map(|m| m.iter().map(|(k, v)| (k.into(), v.into())).collect());
    assert_eq!(
        metadata, expected.metadata,
        "{} {}",
        expected.store, expected.id
    );
}

fn ids(store: &str) -> Vec<Id> {
    let expected = golden::expected_in(store);
    let mut ids: Vec<Id> = expected
        .iter()
        .map(|e| e.id.parse().expect("an id"))
        .collect();
    ids.sort();
    ids
}

#[test]
fn binary_reads_each_secret_with_each_key_that_fits() {
    let sandbox = Sandbox::new();
    for (name, keys) in STORES {
        let store = golden::store(&sandbox, name);
        let before = Snapshot::of(&store);
        for key in keys {
            for expected in golden::expected_in(name) {
                let posixage = || with_key(&sandbox, &store, key);
                let get = posixage().args(["get", "--", &expected.id]).run();
                expected.assert_value(&get.succeeds_silently().stdout);

                let metadata = posixage()
                    .args(["get", "--metadata", "--", &expected.id])
                    .run();
                let json = metadata.succeeds_silently().stdout;
                let metadata: Option<BTreeMap<String, String>> =
                    serde_json::from_slice(&json).unwrap();
                assert_eq!(metadata, expected.metadata, "{name} {}", expected.id);
            }
        }
        let list = sandbox.run(["list", "--store", store.to_str().unwrap()]);
        let sorted: Vec<String> = ids(name).iter().map(ToString::to_string).collect();
        assert_eq!(list.succeeds_silently().out(), sorted.join("\n") + "\n");
        assert_eq!(Snapshot::of(&store), before, "reading changed {name}");
    }
}

#[test]
fn library_says_of_a_key_that_does_not_fit_that_it_does_not_fit() {
    let sandbox = Sandbox::new();
    for (name, fitting) in STORES {
        let path = golden::store(&sandbox, name);
        for key in KEYS.into_iter().filter(|key| !fitting.contains(key)) {
            let store = open(&sandbox, &path, key);
            for expected in golden::expected_in(name) {
                let error = store.get(&expected.id.parse().unwrap()).unwrap_err();
                let Error::NoKeyFits { has, attempts, .. } = &error else {
                    panic!("{name} {key} {}: {error}", expected.id);
                };
                assert!(!has.is_empty() && attempts.len() == 1, "{error}");
            }
        }
    }
}

#[test]
fn binary_says_of_a_key_that_does_not_fit_that_it_does_not_fit() {
    let sandbox = Sandbox::new();
    for (name, fitting) in STORES {
        let store = golden::store(&sandbox, name);
        for key in KEYS.into_iter().filter(|key| !fitting.contains(key)) {
            let get = with_key(&sandbox, &store, key)
                .args(["get", "github/token"])
                .run();
            let error = get.fails(5).says(["no key fits", "github/token"]).err();
            assert!(
                !error.contains("no secret") && !error.contains("not found"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_wrong_password_does_not_fit() {
    let sandbox = Sandbox::new();
    let wrong = sandbox.file("wrong.txt", "not the password\n");
    for name in ["password-logn10", "all-three"] {
        let path = golden::store(&sandbox, name);
        let password = Password::new("not the password").unwrap();
        let store = Store::builder(&path).identity(password).open().unwrap();
        let error = store.get(&"a".parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::NoKeyFits { .. }), "{error}");

        let get = sandbox.posixage(["get", "a", "--store"]).arg(&path);
        let by_file = get.clone().arg("--password-file").arg(&wrong).run();
        let by_environment = get.env("POSIXAGE_PASSWORD", "not the password").run();
        for output in [by_file, by_environment] {
            let error = output.fails(5).says(["no key fits", "password"]).err();
            assert!(!error.contains("no secret"), "{error}");
        }
    }
}

#[test]
fn the_password_is_read_from_each_place_that_may_hold_it() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "password-logn10");
    let file = golden::key(&sandbox, "password.txt");
    let password = fs::read_to_string(&file).unwrap();
    let get = || sandbox.posixage(["get", "a", "--store"]).arg(&store);

    let a = "1";
    assert_eq!(
        get()
            .env("POSIXAGE_PASSWORD", password.trim())
            .run()
            .succeeds_silently()
            .out(),
        a
    );
    // White space around a password is no part of it.
    let padded = format!(" {}\t", password.trim());
    assert_eq!(
        get()
            .env("POSIXAGE_PASSWORD", padded)
            .run()
            .succeeds_silently()
            .out(),
        a
    );
    assert_eq!(
        get()
            .env("POSIXAGE_PASSWORD_FILE", &file)
            .run()
            .succeeds_silently()
            .out(),
        a
    );

    let quoted = file.to_str().unwrap();
    sandbox.config(&format!("password-command = \"cat {quoted}\"\n"));
    assert_eq!(get().run().succeeds_silently().out(), a);
    sandbox.config(&format!("password-command = [\"cat\", \"{quoted}\"]\n"));
    assert_eq!(get().run().succeeds_silently().out(), a);
}

#[test]
fn what_we_add_to_a_store_of_the_reference_is_for_the_keys_in_use_and_leaves_the_rest_alone() {
    let sandbox = Sandbox::new();
    for (name, keys) in STORES {
        if name == "password-default" {
            continue;
        }
        let store = golden::store(&sandbox, name);
        let before = Snapshot::of(&store);
        let mut set = sandbox
            .posixage(["set", "new/secret", "--store"])
            .arg(&store)
            .input("fresh");
        for key in keys {
            set = set.arg(key_flag(key)).arg(golden::key(&sandbox, key));
        }
        set.run().succeeds();
        for key in keys {
            let get = |id: &str| {
                with_key(&sandbox, &store, key)
                    .args(["get", "--", id])
                    .run()
            };
            assert_eq!(
                get("new/secret").succeeds_silently().out(),
                "fresh",
                "{name} {key}"
            );
            for expected in golden::expected_in(name) {
                expected.assert_value(&get(&expected.id).succeeds_silently().stdout);
            }
        }
        with_key(&sandbox, &store, keys[0])
            .args(["rm", "new/secret"])
            .run()
            .succeeds();
        assert_eq!(
            Snapshot::of(&store).paths().count(),
            before.paths().count(),
            "{name}"
        );
    }
}
