//! `posixage rm`

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use posixage::Id;
use posixage_tests::{Sandbox, Terminal, docker_helper, git_credential, shape, tree::Snapshot};

fn store() -> Sandbox {
    let sandbox = Sandbox::new().initialised();
    for id in ["a", "b", "a/b"] {
        sandbox.set(id, "value");
    }
    sandbox
}

#[test]
fn removes_what_is_named_and_nothing_else() {
    let sandbox = store();
    sandbox.run(["rm", "a"]).succeeds_silently();
    shape::assert_store(&sandbox.store(), ["b", "a/b"]);
    sandbox.run(["get", "a"]).fails(3);
    assert_eq!(sandbox.get("a/b"), b"value");
    sandbox.run(["rm", "b", "a/b"]).succeeds_silently();
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn a_missing_one_is_an_error_and_does_not_keep_the_others() {
    let sandbox = store();
    sandbox
        .run(["rm", "a", "missing", "b"])
        .fails(3)
        .says(["missing"]);
    shape::assert_store(&sandbox.store(), ["a/b"]);
    let before = Snapshot::of(&sandbox.store());
    sandbox.run(["rm", "missing"]).fails(3);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn without_a_name_nothing_is_removed() {
    let sandbox = store();
    let before = Snapshot::of(&sandbox.store());
    for args in [
        &["rm"][..],
        &["rm", "--all", "a"],
        &["rm", "*"],
        &["rm", "**"],
        &["rm", "a b"],
    ] {
        sandbox.run(args).fails(2);
        assert_eq!(Snapshot::of(&sandbox.store()), before);
    }
}

#[test]
fn all_removes_every_secret_and_leaves_a_store() {
    let sandbox = store();
    sandbox.run(["rm", "--all", "--yes"]).succeeds_silently();
    shape::assert_store(&sandbox.store(), []);
    sandbox.run(["rm", "--all"]).succeeds_silently();
    sandbox.set("again", "value");
    assert_eq!(sandbox.get("again"), b"value");
}

#[test]
fn all_without_a_terminal_wants_yes() {
    let sandbox = store();
    let before = Snapshot::of(&sandbox.store());
    let rm = sandbox.run(["rm", "--all"]).fails(2);
    assert!(rm.hint().contains("--yes"), "{rm:?}");
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn all_asks_on_a_terminal_and_takes_only_yes_for_yes() {
    let sandbox = store();
    let before = Snapshot::of(&sandbox.store());
    for answer in ["", "n", "no", "yikes", "\x04"] {
        let mut terminal = Terminal::start(sandbox.posixage(["rm", "--all"]));
        terminal.wait_for("remove 3 secrets from ");
        terminal.wait_for("[y/N]");
        terminal.types(answer);
        let end = terminal.wait().exits(1);
        assert!(end.screen.contains("nothing was removed"), "{end:?}");
        assert_eq!(Snapshot::of(&sandbox.store()), before, "{answer:?}");
    }
    let mut terminal = Terminal::start(sandbox.posixage(["rm", "--all"]));
    terminal.wait_for("[y/N]");
    terminal.types("y");
    terminal.wait().exits(0);
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn all_keeps_the_entries_of_other_programs_unless_named() {
    let sandbox = Sandbox::new().initialised();
    docker_helper::store(&sandbox, "registry.example", "zoe", "token");
    let approve = "protocol=https\nhost=h.example\nusername=zoe\npassword=p\n\n";
    git_credential::approve(&sandbox, approve);
    let kept = ["docker-setup/x", "cargo/c"];
    for id in kept.iter().chain(&["a", "docker", "mine/docker"]) {
        sandbox.set(id, "value");
    }
    let rm = sandbox.run(["rm", "--all", "--yes"]).succeeds();
    assert!(rm.err().contains("4 entries kept"), "{rm:?}");
    let list = sandbox.run(["list"]).succeeds_silently().out();
    let ids: Vec<&str> = list.lines().collect();
    assert_eq!(ids.len(), 4, "{list}");
    assert!(kept.iter().all(|id| ids.contains(id)), "{list}");
    let login = docker_helper::get(&sandbox, "registry.example");
    assert_eq!(login, docker_helper::pair("zoe", "token"));
    sandbox.posixage(["rm"]).args(ids).run().succeeds_silently();
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn takes_no_key() {
    let sandbox = store();
    std::fs::remove_file(sandbox.identity()).unwrap();
    sandbox.run(["rm", "a"]).succeeds_silently();
    shape::assert_store(&sandbox.store(), ["b", "a/b"]);
}

#[test]
fn of_many_that_remove_the_same_one_does() {
    let sandbox = store();
    let running: Vec<_> = (0..6)
        .map(|_| sandbox.posixage(["rm", "a"]).start())
        .collect();
    let outputs: Vec<_> = running.into_iter().map(|rm| rm.wait()).collect();
    assert_eq!(
        outputs.iter().filter(|o| o.status.success()).count(),
        1,
        "{outputs:?}"
    );
    for output in outputs.into_iter().filter(|o| !o.status.success()) {
        output.fails(3);
    }
    shape::assert_store(&sandbox.store(), ["b", "a/b"]);
}

#[test]
fn read_only_directories_are_removed_too() {
    let sandbox = Sandbox::ordinary().initialised();
    for (id, mode) in [("a", 0o500), ("b", 0o400), ("c", 0o500)] {
        sandbox.set(id, "value");
        let id: Id = id.parse().unwrap();
        let secret = sandbox.store().join(id.directory_name());
        if id.as_str() == "c" {
            fs::write(secret.join("foreign"), "").unwrap();
            fs::remove_file(secret.join("secretage")).unwrap();
            fs::remove_file(secret.join("metadata.json")).unwrap();
        }
        fs::set_permissions(secret, Permissions::from_mode(mode)).unwrap();
    }
    sandbox.set("a", "new");
    sandbox.run(["rm", "a", "b", "c"]).succeeds_silently();
    shape::assert_store(&sandbox.store(), []);
}
