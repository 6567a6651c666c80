//! Claim: every secret that the reference wrote is read with every key that fits, exactly, through
//! the library and through the binary; a key that does not fit is said not to fit.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

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

/// Its umask decides about the modes of its files; the root lets no other user in.
#[test]
fn a_store_is_used_without_a_word_whatever_mode_its_files_have() {
    for modes in golden::MODES {
        // One for each file of a secret, and two secrets with one file each.
        for (name, key) in [
            ("age", "age-1.txt"),
            ("ssh-ed25519", "ssh-ed25519"),
            ("password-logn10", "password.txt"),
            ("all-three", "age-1.txt"),
        ] {
            let sandbox = Sandbox::new();
            let store = golden::store_with(&sandbox, name, modes);
            let posixage = |args: &[&str]| with_key(&sandbox, &store, key).args(args);
            let ids: Vec<String> = ids(name).iter().map(ToString::to_string).collect();
            for expected in golden::expected_in(name) {
                let get = posixage(&["get", "--", &expected.id]).run();
                expected.assert_value(&get.succeeds_silently().stdout);
            }
            let list = posixage(&["list", "--long"]).run().succeeds_silently();
            assert_eq!(list.out().lines().count(), ids.len());

            if name == "password-logn10" {
                // To write with a password takes long.
                continue;
            }
            let set = posixage(&["set", "--raw", "--force", "--", &ids[0]]);
            set.input("new").run().succeeds_silently();
            let get = posixage(&["get", "--", &ids[0]]).run();
            assert_eq!(get.succeeds_silently().stdout, b"new");
            posixage(&["rm", "--", &ids[1]]).run().succeeds_silently();
            let left = posixage(&["list"]).run().succeeds_silently();
            assert_eq!(left.out().lines().count(), ids.len() - 1);
        }
    }
}

#[test]
fn loose_modes_are_named_and_tightened_and_nothing_wrong() {
    let [_, loose @ ..] = golden::MODES;
    for modes @ (directory, file) in loose {
        let sandbox = Sandbox::new();
        let store = golden::store_with(&sandbox, "age", modes);
        let verify = |args: &[&str]| with_key(&sandbox, &store, "age-1.txt").args(args).run();
        let found = verify(&["verify", "--decrypt", "--json"]).succeeds_silently();
        let found: Vec<serde_json::Value> = serde_json::from_slice(&found.stdout).expect("JSON");
        // With the lock file.
        let files = 1 + 2 * ids("age").len();
        let expected = if directory == 0o700 {
            files
        } else {
            files + ids("age").len()
        };
        assert_eq!(found.len(), expected);
        assert!(
            found
                .iter()
                .all(|f| f["kind"] == "loose" && f["wrong"] == false)
        );
        let of_files = |f: &&serde_json::Value| {
            f["problem"] == format!("has mode {file:04o}, looser than 0600")
        };
        assert_eq!(found.iter().filter(of_files).count(), files);

        let repaired = verify(&["verify", "--repair"]).succeeds_silently().out();
        assert_eq!(repaired.matches("; repaired\n").count(), expected);
        assert_eq!(verify(&["verify"]).succeeds_silently().out(), "");
    }
}

/// A root that others may enter keeps nothing from them, unless the secret's directory does.
#[test]
fn below_a_root_that_lets_others_in_loose_modes_are_wrong() {
    let sandbox = Sandbox::new();
    let store = golden::store_with(&sandbox, "age", (0o755, 0o644));
    let closed = store.join(ids("age")[0].directory_name());
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("chmod");
    fs::set_permissions(&store, Permissions::from_mode(0o711)).expect("chmod");
    let run = |args: &[&str]| with_key(&sandbox, &store, "age-1.txt").args(args).run();
    for args in [&["list"][..], &["get", "--", ids("age")[0].as_str()]] {
        run(args).fails(8).says(["is open to others (mode 0711)"]);
    }
    let found = run(&["verify", "--json"]);
    assert_eq!(found.status.code(), Some(7));
    let found: Vec<serde_json::Value> = serde_json::from_slice(&found.stdout).expect("JSON");
    for f in &found {
        let inside = f["path"]
            .as_str()
            .unwrap()
            .starts_with(closed.to_str().unwrap());
        let kind = if inside { "loose" } else { "mode" };
        assert_eq!(f["kind"], kind, "{f}");
    }
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
fn writes_to_a_reference_store_use_the_keys_in_use() {
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
