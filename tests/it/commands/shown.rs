//! Claim: help, listings and errors are, word for word, what the files in `shown/` say.
//!
//! A message that is changed on purpose: `SNAPSHOTS=overwrite tests/run commands::shown`, and read the
//! difference before you commit it.

use posixage_tests::{Sandbox, Transcript, docker_helper};
use snapbox::{assert_data_eq, file};

const COMMANDS: [&str; 14] = [
    "init",
    "set",
    "get",
    "list",
    "rm",
    "run",
    "lock",
    "unlock",
    "status",
    "verify",
    "docker",
    "docker setup",
    "docker status",
    "completions",
];

/// A store of seven secrets, one of them without metadata, one a login of docker's.
fn store() -> Sandbox {
    let sandbox = Sandbox::new().initialised();
    for id in ["a", "a/b", "a/b/c", "a-b", "db/password"] {
        let metadata = format!("id={id}");
        let set = sandbox.posixage(["set", id, "--metadata", &metadata]);
        set.input("value").run().succeeds();
    }
    sandbox.set("none", "value");
    docker_helper::store(&sandbox, "registry.example.com", "zoe", "token");
    sandbox
}

#[test]
fn help_of_every_command() {
    let sandbox = Sandbox::new();
    let mut shown = Transcript::of(&sandbox);
    shown.run(&["--help"]);
    for command in COMMANDS {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        shown.run(&words);
    }
    assert_data_eq!(shown.text(), file!["shown/help.txt"].raw());
}

#[test]
fn a_store_in_every_form_of_a_list() {
    let sandbox = store();
    let mut shown = Transcript::of(&sandbox);
    for args in [
        &["list"][..],
        &["list", "--long"],
        &["list", "--tree"],
        &["list", "--json"],
        &["list", "a"],
        &["list", "**/c"],
        &["list", "missing"],
    ] {
        shown.run(args);
    }
    assert_data_eq!(shown.text(), file!["shown/list.txt"].raw());
}

#[test]
fn the_state_of_a_store_and_what_is_wrong_with_it() {
    let sandbox = store();
    let mut shown = Transcript::of(&sandbox);
    shown.run(&["status"]);
    shown.run(&["verify"]);
    shown.run(&["verify", "--decrypt"]);
    let root = sandbox.store();
    std::fs::write(root.join("YQ==/secretage"), "damaged").expect("damage a ciphertext");
    std::fs::write(root.join("notes.txt"), "").expect("a stray file");
    std::fs::remove_file(root.join("YS9i/metadata.json")).expect("remove metadata");
    shown.run(&["verify"]);
    shown.run(&["get", "a"]);
    shown.run(&["get", "a/b"]);
    assert_data_eq!(shown.text(), file!["shown/state.txt"].raw());
}

#[test]
fn common_mistakes() {
    let sandbox = store();
    let mut shown = Transcript::of(&sandbox);
    for args in [
        &[][..],
        &["show", "a"],
        &["gte", "a"],
        &["get"],
        &["get", "a", "b"],
        &["get", "a", "--jsno"],
        &["get", "db/pasword"],
        &["get", "a b"],
        &["get", "a/*"],
        &["set", "a=value"],
        &["set", "a b=value"],
        &["set", "new"],
        &["rm", "missing"],
        &["rm"],
        &["list", "a*"],
        &["init"],
        &["run", "--", "nosuch"],
        &["lock", "--", "nosuch"],
        &["unlock"],
        &["unlock", "--force"],
        &["docker", "stauts"],
        &["--store", "/nowhere", "get", "a"],
        &["-i", "/nowhere", "get", "a"],
        &["--lock-timeout", "soon", "get", "a"],
    ] {
        shown.run(args);
    }
    assert_data_eq!(shown.text(), file!["shown/mistakes.txt"].raw());
}
