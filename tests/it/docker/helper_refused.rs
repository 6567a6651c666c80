//! Claim: where the Docker helper cannot read or write a credential it says why, never that there is none.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use posixage_tests::{
    Sandbox, Terminal,
    docker_helper::{NOT_FOUND, answer_line, get, helper, list, pair, refuses, request, store},
    golden, keys,
};

const REFRESH: &str = "https://index.docker.io/v1/refresh-token";

#[test]
fn listing_and_erasing_take_no_key() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    store(&sandbox, REFRESH, "hidden", "secret");
    fs::remove_file(sandbox.identity()).unwrap();
    let expected = [("host", "zoe"), (REFRESH, "")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(list(&sandbox), BTreeMap::from(expected));
    helper(&sandbox, "erase", "host").run().succeeds_silently();
    assert_eq!(list(&sandbox).len(), 1);
}

#[test]
fn a_key_that_does_not_fit_is_said_to_and_never_not_found() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let get = || helper(&sandbox, "get", "host");
    let wrong = get().env("POSIXAGE_IDENTITY", &stranger).run();
    refuses(&wrong, "age-stranger.txt (not a recipient)");
    assert!(wrong.out().contains("docker/host") && wrong.out().contains("hint: "));
    let missing = get().env("POSIXAGE_IDENTITY", "/no/such/key").run();
    refuses(&missing, "named by POSIXAGE_IDENTITY: no such file");
    fs::remove_file(sandbox.identity()).unwrap();
    let none = get().run();
    refuses(&none, "no key fits secret docker/host");
    for place in [
        "POSIXAGE_IDENTITY",
        "$CREDENTIALS_DIRECTORY",
        sandbox.identity().to_str().unwrap(),
    ] {
        refuses(&none, place);
    }
    for output in [wrong, missing, none] {
        assert!(!output.out().contains("not found"), "{output:?}");
    }
    // What needs no credential is not kept from going on.
    for identity in [stranger.to_str().unwrap(), "/no/such/key"] {
        let other = helper(&sandbox, "get", "other").env("POSIXAGE_IDENTITY", identity);
        assert_eq!(other.run().out(), NOT_FOUND);
    }
}

#[test]
fn without_a_terminal_a_locked_key_is_an_error_at_once() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    store(&sandbox, "host", "zoe", "secret");
    let key = keys::locked(&sandbox, "age-locked");
    let password = Sandbox::new();
    password.run(["init", "--password"]).succeeds();
    let with = helper(&password, "store", request("host", "zoe", "secret"));
    with.env("POSIXAGE_PASSWORD", "canary").run().succeeds();

    let begin = Instant::now();
    let get = helper(&sandbox, "get", "host").env("POSIXAGE_IDENTITY", &key);
    refuses(&get.run(), "age-locked is locked, and there is no terminal");
    let places = "POSIXAGE_PASSWORD_FILE, POSIXAGE_PASSWORD";
    refuses(&helper(&password, "get", "host").run(), places);
    // It takes milliseconds; this is for a machine that is busy with something else.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn with_a_person_at_the_terminal_it_asks_there_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    store(&sandbox, "host", "zoe", "secret");
    let key = keys::locked(&sandbox, "age-locked");
    let get = helper(&sandbox, "get", "").env("POSIXAGE_IDENTITY", &key);
    // As docker runs it: the request and the answer in pipes.
    let get = get.in_shell("echo host | \"$@\" >answer 2>errors");
    let mut terminal = Terminal::start(get);
    terminal.answers("passphrase", &keys::passphrase());
    terminal.wait().exits(0);
    let answer = fs::read_to_string(sandbox.home().join("answer")).unwrap();
    assert_eq!(answer, answer_line("host", "zoe", "secret"));
    assert_eq!(fs::read(sandbox.home().join("errors")).unwrap(), b"");
}

#[test]
fn a_lock_held_past_the_deadline_is_an_error_with_its_holder() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    let holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let pid = holder.id().to_string();
    for (action, input) in [
        ("get", "host".to_owned()),
        ("list", String::new()),
        ("erase", "host".to_owned()),
        ("store", request("host", "bob", "new")),
    ] {
        let output = helper(&sandbox, action, input)
            .env("POSIXAGE_LOCK_TIMEOUT", "50ms")
            .run();
        refuses(&output, &pid);
        assert!(!output.out().contains("not found"), "{output:?}");
    }
    holder.wait().succeeds();
    assert_eq!(get(&sandbox, "host"), pair("zoe", "secret"));
}

#[test]
fn one_damaged_entry_does_not_hide_the_others() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    store(&sandbox, "other", "zoe", "secret");
    let metadata = sandbox.store().join("ZG9ja2VyL2hvc3Q=/metadata.json");
    fs::write(&metadata, "{").unwrap();
    let output = helper(&sandbox, "list", "").run().succeeds();
    assert_eq!(output.out(), "{\"other\":\"zoe\"}\n");
    drop(output.says(["docker/host", "damaged"]));
    refuses(&helper(&sandbox, "get", "host").run(), "damaged");
    assert_eq!(get(&sandbox, "other"), pair("zoe", "secret"));
    for (name, content) in [
        ("secretage", &b""[..]),
        ("secretage", b"age-encryption.org/v1\n"),
    ] {
        store(&sandbox, "host", "zoe", "secret");
        assert_eq!(list(&sandbox).len(), 2);
        fs::write(metadata.with_file_name(name), content).unwrap();
        let output = helper(&sandbox, "list", "").run().succeeds();
        assert_eq!(output.out(), "{\"other\":\"zoe\"}\n");
        drop(output.says(["docker/host"]));
        refuses(&helper(&sandbox, "get", "host").run(), "docker/host");
    }
}

#[test]
fn a_key_that_asks_for_a_passphrase_is_not_asked_for_a_list() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    store(&sandbox, "host", "zoe", "secret");
    let key = keys::locked(&sandbox, "age-locked");
    let list = helper(&sandbox, "list", "").env("POSIXAGE_IDENTITY", &key);
    let output = list.run().succeeds_silently();
    assert_eq!(output.out(), "{\"host\":\"zoe\"}\n");
    // Another key beside it that does not fit changes nothing.
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let both = format!("{}:{}", stranger.display(), key.display());
    let list = helper(&sandbox, "list", "").env("POSIXAGE_IDENTITY", both);
    assert_eq!(list.run().succeeds_silently().out(), output.out());
}

#[test]
fn a_missing_named_store_is_an_error_that_hints_at_init() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.home().join("nowhere");
    for (action, input) in [
        ("get", "host".to_owned()),
        ("list", String::new()),
        ("erase", "host".to_owned()),
        ("store", request("host", "zoe", "secret")),
    ] {
        let helper = helper(&sandbox, action, input).env("POSIXAGE_STORE", &nowhere);
        let output = helper.run();
        refuses(&output, "no store at");
        assert!(
            output.out().contains("hint: make one: posixage --store"),
            "{output:?}"
        );
    }
    assert!(!nowhere.exists());
}

#[test]
fn a_failed_standard_output_is_said_on_standard_error() {
    let sandbox = Sandbox::new();
    let full = helper(&sandbox, "get", "host")
        .in_shell("\"$@\" >/dev/full")
        .run();
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(full.err(), NOT_FOUND);
}
