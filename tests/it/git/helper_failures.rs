//! Claim: what goes wrong in `git-credential-posixage` is said, hides nothing else, gives nothing away,
//! and keeps no process waiting.

use std::fs;

use posixage_tests::{
    Output, Sandbox, Terminal,
    git_credential::{approve, get, helper, ids, reject, store, unattended_git},
    keys,
};

const PASSWORD: &str = "canary-of-the-password";

#[test]
fn a_key_that_cannot_be_used_is_no_trouble_where_none_is_needed() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        "protocol=https\nhost=h\nusername=zoe\npassword=p\n",
    );
    let broken = |operation, description: &str| {
        let helper = helper(&sandbox, operation, description);
        helper.env("POSIXAGE_IDENTITY", "/nowhere").run()
    };
    let other = broken("get", "protocol=https\nhost=other\n").succeeds_silently();
    assert_eq!(other.out(), "");
    broken("get", "protocol=https\nhost=h\n").fails(1);
    broken("erase", "protocol=https\nhost=other\npassword=p\n").succeeds_silently();
    broken("erase", "protocol=https\nhost=h\n").succeeds_silently();
    assert_eq!(ids(&sandbox), "");
}

/// Git's own view of a helper that fails: a line on standard error, and on to the next.
#[test]
fn after_a_failure_git_goes_on_to_the_next_helper() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=h\n";
    store(
        &sandbox,
        format!("{place}username=zoe\npassword={PASSWORD}\n"),
    );
    fs::remove_file(sandbox.identity()).unwrap();
    let git = |helpers: &[&str], action: &str, description: &str| {
        let git = unattended_git(&sandbox, helpers).args(["credential", action]);
        git.input(description).run()
    };
    let next = "!f() { echo username=next; echo password=one; }; f";
    let output = git(&["posixage", next], "fill", place).succeeds();
    assert!(output.out().contains("password=one"), "{output:?}");
    let output = output.says(["no key fits", "git/https/h/zoe", "hint: "]);
    assert_no_secret(&output);
    let output = git(&["posixage"], "fill", place);
    assert!(!output.status.success(), "{output:?}");
    output.says(["no key fits", "terminal prompts disabled"]);
    // What it may not compare it does not erase; it says so, and git goes on.
    let wrong = format!("{place}username=zoe\npassword=wrong\n");
    git(&["posixage"], "reject", &wrong)
        .succeeds()
        .says(["git/https/h/zoe"]);
    assert_eq!(ids(&sandbox), "git/https/h/zoe\n");
    // A password that a server has just accepted replaces one that cannot be read.
    approve(&sandbox, &format!("{place}username=zoe\npassword=new\n"));
    // To erase whatever there is takes no key.
    reject(&sandbox, place);
    assert_eq!(ids(&sandbox), "");
}

#[track_caller]
fn assert_no_secret(output: &Output) {
    assert!(!output.err().contains(PASSWORD), "{output:?}");
}

#[test]
fn a_locked_key_or_store_is_an_error_and_no_wait_for_somebody() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=h\n";
    let login = format!("{place}username=zoe\npassword={PASSWORD}\n");
    let key = keys::locked(&sandbox, "ssh-ed25519-locked");
    sandbox.posixage(["init", "-i"]).arg(&key).run().succeeds();
    let locked = |operation, description: &str| {
        helper(&sandbox, operation, description).env("POSIXAGE_IDENTITY", &key)
    };
    // To store takes no private key, even over what is there.
    for password in [PASSWORD, "other", PASSWORD] {
        let login = format!("{place}username=zoe\npassword={password}\n");
        locked("store", &login).run().succeeds_silently();
    }
    let output = locked("get", place).run().fails(5);
    assert_no_secret(&output.says(["locked", "terminal"]));
    locked("erase", &login).run().fails(5);
    // A person is asked once for a get, and not for the store that follows.
    let mut terminal =
        Terminal::start(locked("get", "").in_shell("printf 'protocol=https\\nhost=h\\n' | \"$@\""));
    terminal.answers("passphrase", &keys::passphrase());
    let end = terminal.wait().exits(0);
    assert!(end.screen.contains("username=zoe"), "{end:?}");
    let script = "printf 'protocol=https\\nhost=h\\nusername=zoe\\npassword=p\\n' | \"$@\"";
    let end = Terminal::start(locked("store", "").in_shell(script))
        .wait()
        .exits(0);
    assert_eq!(end.screen, "");
    // git was told not to ask, so nothing asks.
    let quiet = locked("get", "").env("GIT_TERMINAL_PROMPT", "0");
    let end = Terminal::start(quiet.in_shell("printf 'protocol=https\\nhost=h\\n' | \"$@\""))
        .wait()
        .exits(5);
    assert!(
        end.screen.contains("locked") && !end.screen.contains("passphrase for"),
        "{end:?}"
    );

    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    for operation in ["get", "store", "erase"] {
        let helper = locked(operation, &login).env("POSIXAGE_LOCK_TIMEOUT", "100ms");
        assert_no_secret(
            &helper
                .run()
                .fails(6)
                .says([holder.id().to_string().as_str()]),
        );
    }
    holder.write(b"done");
    holder.wait().succeeds();
}

#[test]
fn a_neighbour_that_is_damaged_does_not_hide_the_others() {
    let sandbox = Sandbox::new();
    let login = |host| format!("protocol=https\nhost={host}\nusername=zoe\npassword=p\n");
    store(&sandbox, login("good"));
    store(&sandbox, login("bad"));
    let directory = |host| {
        let id: posixage::Id = format!("git/https/{host}/zoe").parse().unwrap();
        sandbox.store().join(id.directory_name())
    };
    fs::write(directory("bad").join("metadata.json"), "{").unwrap();
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=good\n"),
        "username=zoe\npassword=p\n"
    );
    helper(&sandbox, "get", "protocol=https\nhost=bad\n")
        .run()
        .fails(7);
    store(&sandbox, login("bad"));
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=bad\n"),
        "username=zoe\npassword=p\n"
    );
    fs::write(directory("bad").join("secretage"), "").unwrap();
    helper(&sandbox, "get", "protocol=https\nhost=bad\n")
        .run()
        .fails(7);
    store(&sandbox, login("bad"));
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=bad\n"),
        "username=zoe\npassword=p\n"
    );
}

#[test]
fn one_damaged_credential_of_a_host_does_not_hide_an_older_one() {
    let sandbox = Sandbox::new();
    for (username, path) in [("zoe", "secretage"), ("bob", "secretage")] {
        let login = format!("protocol=https\nhost=h\nusername={username}\npassword={username}s\n");
        store(&sandbox, login);
        let id: posixage::Id = format!("git/https/h/{username}").parse().unwrap();
        if username == "bob" {
            fs::write(
                sandbox.store().join(id.directory_name()).join(path),
                "damaged",
            )
            .unwrap();
        }
    }
    let output = helper(&sandbox, "get", "url=https://h\n").run().succeeds();
    assert_eq!(output.out(), "username=zoe\npassword=zoes\n");
    drop(output.says(["git/https/h/bob"]));
    // Alone it is an error.
    helper(&sandbox, "get", "url=https://bob@h\n")
        .run()
        .fails(7);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no commit")]
fn changed_metadata_cannot_send_a_password_elsewhere() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        format!("protocol=https\nhost=bank\nusername=zoe\npassword={PASSWORD}\n"),
    );
    let id: posixage::Id = "git/https/bank/zoe".parse().unwrap();
    let directory = sandbox.store().join(id.directory_name());
    let metadata = fs::read_to_string(directory.join("metadata.json")).unwrap();
    let thief = metadata.replace("\"bank\"", "\"thief\"");
    assert_ne!(thief, metadata);
    fs::write(directory.join("metadata.json"), thief).unwrap();
    let renamed: posixage::Id = "git/https/thief/zoe".parse().unwrap();
    for name in [id.directory_name(), renamed.directory_name()] {
        let place = sandbox.store().join(&name);
        fs::rename(&directory, &place).unwrap();
        let output = helper(&sandbox, "get", "protocol=https\nhost=thief\n")
            .run()
            .fails(7);
        assert_no_secret(&output.says(["metadata"]));
    }
    // Typing the password again repairs it.
    let login = format!("protocol=https\nhost=bank\nusername=zoe\npassword={PASSWORD}\n");
    fs::rename(
        sandbox.store().join(renamed.directory_name()),
        sandbox.store().join(id.directory_name()),
    )
    .unwrap();
    store(&sandbox, login.as_str());
    assert!(get(&sandbox, "protocol=https\nhost=bank\n").contains(PASSWORD));
    assert_eq!(get(&sandbox, "protocol=https\nhost=thief\n"), "");
}

#[test]
fn without_its_password_the_error_says_where_it_was_sought() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    let file = sandbox.file("password", "correct horse\n");
    let place = "protocol=https\nhost=h\n";
    let login = format!("{place}username=zoe\npassword={PASSWORD}\n");
    let with = |operation, description: &str| {
        let helper = helper(&sandbox, operation, description);
        helper
            .env("POSIXAGE_PASSWORD_FILE", &file)
            .run()
            .succeeds_silently()
            .out()
    };
    let without = |operation, description: &str| {
        let output = helper(&sandbox, operation, description).run().fails(5);
        assert_no_secret(&output.says(["POSIXAGE_PASSWORD_FILE", "no terminal"]));
    };
    without("store", &login);
    with("store", &login);
    with("store", &login);
    without("get", place);
    assert_eq!(
        with("get", place),
        format!("username=zoe\npassword={PASSWORD}\n")
    );
    with("erase", &format!("{place}username=zoe\npassword=other\n"));
    without("erase", &login);
    assert_eq!(ids(&sandbox), "git/https/h/zoe\n");
    with("erase", &login);
    assert_eq!(ids(&sandbox), "");
}
