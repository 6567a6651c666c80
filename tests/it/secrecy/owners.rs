//! Claim: a store, a secret or a key that is not its owner's alone is refused, with what to do about
//! it; one that is mounted can be allowed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
};

use posixage_tests::{
    Output, Sandbox, golden,
    process::ORDINARY_USER,
    tools,
    tree::{Snapshot, walk},
};

/// The golden store `age`, given to a user, in a sandbox with its key.
struct Given {
    sandbox: Sandbox,
    store: PathBuf,
    key: PathBuf,
}

impl Given {
    fn to(user: u32, sandbox: Sandbox) -> Self {
        let store = golden::store(&sandbox, "age");
        let key = golden::key(&sandbox, "age-1.txt");
        for path in walk(&store) {
            chown(&path, Some(user), Some(user)).expect("chown");
        }
        Self {
            sandbox,
            store,
            key,
        }
    }

    fn posixage(&self, args: &[&str]) -> Output {
        let posixage = self.sandbox.posixage(["--store"]).arg(&self.store);
        let posixage = posixage.arg("-i").arg(&self.key).args(args);
        posixage.input("v").run()
    }
}

#[test]
fn a_store_of_another_user() {
    if !tools::is_root() {
        tools::left_out("a store of another user, which takes root to make");
        return;
    }
    // Root's, in the hands of an ordinary user: closed, and then open to all.
    let given = Given::to(0, Sandbox::ordinary());
    let (store, posixage) = (&given.store, |args: &[&str]| given.posixage(args));
    let before = Snapshot::of(store);
    for args in [
        &["get", "a"][..],
        &["list"],
        &["set", "x"],
        &["rm", "a"],
        &["status"],
    ] {
        let output = posixage(args)
            .fails(1)
            .says([store.to_str().unwrap(), "permission denied"]);
        assert!(!output.hint().is_empty());
    }
    for mode in [0o755, 0o777] {
        fs::set_permissions(store, fs::Permissions::from_mode(mode)).unwrap();
        for args in [&["get", "a"][..], &["list"], &["set", "x"], &["rm", "a"]] {
            let output = posixage(args).fails(8).says([store.to_str().unwrap()]);
            assert!(!output.hint().is_empty(), "{output:?}");
        }
    }
    fs::set_permissions(store, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(Snapshot::of(store), before);
}

#[test]
fn root_reads_another_users_store_and_does_not_write_it() {
    if !tools::is_root() {
        tools::left_out("root in another user's store, which takes root");
        return;
    }
    let given = Given::to(ORDINARY_USER, Sandbox::new());
    let (store, posixage) = (&given.store, |args: &[&str]| given.posixage(args));
    let before = Snapshot::of(store);
    assert_eq!(posixage(&["get", "a"]).succeeds_silently().out(), "1");
    posixage(&["list"]).succeeds_silently();
    for args in [
        &["set", "x"][..],
        &["set", "--force", "a"],
        &["rm", "a"],
        &["rm", "--all", "--yes"],
    ] {
        let output = posixage(args)
            .fails(8)
            .says([ORDINARY_USER.to_string().as_str()]);
        assert!(!output.hint().is_empty());
    }
    assert_eq!(Snapshot::of(store), before);
}

#[test]
fn a_store_that_others_can_read_or_write() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    for (path, safe, unsafe_mode) in [
        (sandbox.store(), 0o700, 0o755),
        (sandbox.store(), 0o700, 0o710),
        (sandbox.identity(), 0o600, 0o640),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(unsafe_mode)).unwrap();
        let output = sandbox
            .run(["get", "x"])
            .fails(8)
            .says([path.to_str().unwrap()]);
        assert!(
            output.hint().contains(&format!("chmod {safe:o}")),
            "{output:?}"
        );
        let allowed = sandbox.run(["--allow-insecure-permissions", "get", "x"]);
        assert_eq!(allowed.succeeds_silently().out(), "value");
        let allowed = sandbox
            .posixage(["get", "x"])
            .env("POSIXAGE_ALLOW_INSECURE_PERMISSIONS", "1");
        assert_eq!(allowed.run().succeeds_silently().out(), "value");
        fs::set_permissions(&path, fs::Permissions::from_mode(safe)).unwrap();
        assert_eq!(sandbox.get("x"), b"value");
    }
}
