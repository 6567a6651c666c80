//! Claim: a store is found by any path that leads to it.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use posixage_tests::{Sandbox, shape};

fn works(sandbox: &Sandbox, store: impl AsRef<OsStr>) {
    let posixage = || sandbox.posixage(["--store"]).arg(&store);
    posixage()
        .args(["set", "--force", "x"])
        .input("value")
        .run()
        .succeeds();
    assert_eq!(
        posixage()
            .args(["get", "x"])
            .run()
            .succeeds_silently()
            .out(),
        "value"
    );
    assert_eq!(
        posixage().args(["list"]).run().succeeds_silently().out(),
        "x\n"
    );
    posixage().args(["rm", "x"]).run().succeeds();
}

#[test]
fn a_relative_path_a_link_and_slashes_lead_to_the_store() {
    let sandbox = Sandbox::new().initialised();
    symlink(sandbox.store(), sandbox.home().join("link")).unwrap();
    let store = sandbox.store();
    let store = store.to_str().unwrap();
    for path in [
        ".local/share/posixage",
        "./.local//share/../share/posixage/",
        "link",
        "link/",
        store,
        &format!("{store}/."),
    ] {
        works(&sandbox, path);
    }
    shape::assert_store(&sandbox.store(), []);
    let here = sandbox
        .posixage(["--store", ".", "list"])
        .current_dir(sandbox.store())
        .run();
    here.succeeds_silently();
}

#[test]
fn a_path_may_be_any_bytes() {
    let sandbox = Sandbox::new().initialised();
    for name in [
        &b"with space"[..],
        b"caf\xe9",
        "☕\n".as_bytes(),
        b"-dash",
        b"$HOME",
        b"'\"",
    ] {
        let path = sandbox.home().join(OsStr::from_bytes(name));
        sandbox
            .posixage(["init", "--store"])
            .arg(&path)
            .run()
            .succeeds();
        works(&sandbox, &path);
        sandbox
            .posixage(["status", "--json", "--store"])
            .arg(&path)
            .run()
            .succeeds_silently();
    }
}

#[test]
fn a_path_that_leads_nowhere_or_in_a_circle_is_an_error() {
    let sandbox = Sandbox::new().initialised();
    let circle = sandbox.home().join("circle");
    symlink(&circle, &circle).unwrap();
    let dangling = sandbox.home().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    let long = sandbox.home().join("x".repeat(300));
    let deep = sandbox.home().join("y/".repeat(3000));
    for path in [&circle, &dangling, &long, &deep] {
        for args in [&["list"][..], &["set", "x"], &["init"]] {
            let output = sandbox
                .posixage(["--store"])
                .arg(path)
                .args(args)
                .input("v")
                .run();
            output.fails(1);
        }
    }
    assert!(!sandbox.home().join("nowhere").exists());
    sandbox.run(["--store", "", "list"]).fails(2);
}

#[test]
fn a_secret_that_is_a_link_is_not_followed() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let elsewhere = sandbox.directory("elsewhere");
    let link = sandbox.store().join("eQ=="); // y
    posixage_tests::tree::copy(&sandbox.store().join("eA=="), &elsewhere.join("y"));
    symlink(elsewhere.join("y"), &link).unwrap();
    sandbox.run(["get", "y"]).fails(7).says(["y", "damaged"]);
    // It can be replaced and removed; what it leads to is not touched.
    sandbox
        .posixage(["set", "--force", "y"])
        .input("new")
        .run()
        .succeeds();
    assert_eq!(sandbox.get("y"), b"new");
    std::fs::read(Path::new(&elsewhere).join("y/secretage")).unwrap();
    shape::assert_store(&sandbox.store(), ["x", "y"]);
    symlink(elsewhere.join("y"), sandbox.store().join("eg==")).unwrap(); // z
    sandbox.run(["rm", "z"]).succeeds();
    std::fs::read(elsewhere.join("y/secretage")).unwrap();
    shape::assert_store(&sandbox.store(), ["x", "y"]);
}
