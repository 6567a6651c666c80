//! Claim: whatever a new user does wrong is answered at once with a line that says what is wrong,
//! the right exit code, and, where there is something to do, what to do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use posixage_tests::{Sandbox, Terminal, golden, process::ORDINARY_USER, tools, tree::Snapshot};

#[test]
fn no_store() {
    let sandbox = Sandbox::new();
    for args in [
        &["get", "x"][..],
        &["list"],
        &["rm", "x"],
        &["status"],
        &["lock", "--", "true"],
    ] {
        let output = sandbox
            .run(args)
            .fails(1)
            .says(["no store", sandbox.store().to_str().unwrap()]);
        assert!(output.hint().contains("posixage init"), "{output:?}");
    }
    // Reading makes nothing.
    assert_eq!(fs::read_dir(sandbox.home()).unwrap().count(), 0);
}

#[test]
fn no_key() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    fs::remove_file(sandbox.identity()).unwrap();
    sandbox
        .run(["get", "x"])
        .fails(5)
        .says(["no key fits", "x"]);
    // Nothing makes a new key that would not fit.
    sandbox.posixage(["set", "y"]).input("v").run().succeeds();
    assert!(!sandbox.identity().exists());
    let missing = sandbox.home().join("missing");
    let output = sandbox.posixage(["get", "x", "-i"]).arg(&missing).run();
    output.fails(1).says(["named by -i", "no such file"]);
}

#[test]
fn no_terminal() {
    let sandbox = Sandbox::new();
    // Standard input is a pipe with nothing in it that is never closed: nothing may wait for more
    // than is there, except for the value of `set`.
    for args in [
        &["get", "x"][..],
        &["list"],
        &["init"],
        &["status"],
        &["rm", "x"],
        &["init", "--password"],
    ] {
        sandbox.posixage(args).start().end();
    }
    sandbox
        .run(["init", "--store", "locked", "--password"])
        .succeeds();
    let set = sandbox
        .posixage(["--store", "locked", "set", "x=value"])
        .start();
    set.end().fails(5).says(["password", "terminal"]);
    // Closed altogether.
    let closed = sandbox
        .posixage(["set", "x"])
        .in_shell(r#"exec "$@" <&-"#)
        .run();
    assert!(
        closed.status.code().is_some_and(|code| code <= 1),
        "{closed:?}"
    );
    let closed = sandbox
        .posixage(["list"])
        .in_shell(r#"exec "$@" >&-"#)
        .run();
    assert!(
        closed.status.code().is_some_and(|code| code <= 1),
        "{closed:?}"
    );
}

#[test]
fn a_wrong_path() {
    let sandbox = Sandbox::new();
    let missing = sandbox.home().join("missing");
    let posixage = || sandbox.posixage(["--store"]).arg(&missing);
    for args in [
        &["get", "x"][..],
        &["list"],
        &["set", "x"],
        &["rm", "x"],
        &["status"],
    ] {
        let output = posixage().args(args).input("v").run().fails(1);
        let output = output.says(["no store", missing.to_str().unwrap()]);
        assert!(output.hint().contains("init"), "{output:?}");
    }
    assert!(!missing.exists());
    // As the hint says.
    posixage().arg("init").run().succeeds();
    posixage().args(["set", "x"]).input("v").run().succeeds();
}

#[test]
fn errors_of_usage_look_like_all_others() {
    let sandbox = Sandbox::new().initialised();
    for (args, said, hint) in [
        (&["gte", "x"][..], "unknown command gte", "--help"),
        (&["lst"], "unknown command lst", "did you mean ls or list?"),
        (&["get"], "posixage: missing ID", "posixage get"),
        (
            &["--lock-timeout", "1h", "list"],
            "posixage: --lock-timeout: not a time",
            "",
        ),
        (&["get", "a", "b"], "unexpected argument", ""),
        (
            &["get", "--jsn", "x"],
            "unknown option --jsn",
            "did you mean --json?",
        ),
        (&["rm"], "ID", "posixage rm"),
        (&["lock"], "CMD", "posixage lock"),
        (&["set"], "ID", "posixage set"),
        (
            &["get", "--json", "--metadata", "x"],
            "--metadata",
            "posixage get",
        ),
        (&["get", "x", "--store"], "--store", ""),
        (
            &["completions", "tcsh"],
            "posixage: expected one of bash",
            "",
        ),
    ] {
        let output = sandbox.run(args).fails(2).says([said]);
        assert!(
            hint.is_empty() || output.hint().contains(hint),
            "{output:?}"
        );
    }
}

#[test]
fn the_words_of_other_tools_are_answered_with_ours() {
    let sandbox = Sandbox::new().initialised();
    for (word, ours) in [
        ("show", "posixage get"),
        ("insert", "posixage set"),
        ("add", "posixage set"),
        ("delete", "posixage rm"),
        ("remove", "posixage rm"),
        ("find", "posixage list"),
        ("grep", "posixage list"),
        ("edit", "posixage set --force"),
        ("generate", "posixage set"),
        ("exec", "posixage run"),
        ("mv", "posixage set"),
        ("cp", "posixage set"),
    ] {
        let output = sandbox.run([word, "x"]).fails(2).says([word]);
        assert!(output.hint().contains(ours), "{output:?}");
    }
    // The one that is an alias.
    sandbox.run(["ls"]).succeeds_silently();
}

#[test]
fn an_id_that_is_nearly_one_is_named() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("db/password", "value");
    sandbox.set("other", "value");
    for (id, hint) in [
        ("db/pasword", "did you mean db/password?"),
        ("DB/password", "did you mean db/password?"),
        ("password", "did you mean db/password?"),
        ("db", "posixage list db"),
        ("nothing-alike", ""),
    ] {
        let reference = format!("se://{id}");
        let run = sandbox.posixage(["run", "--", "true"]).env("A", reference);
        for program in [
            sandbox.posixage(["get", id]),
            sandbox.posixage(["get", "--metadata", id]),
            sandbox.posixage(["rm", id]),
            run,
        ] {
            let output = program.run().fails(3).says([id]);
            assert!(output.err().contains(hint), "{output:?}");
            assert_eq!(
                output.err().contains("hint: "),
                !hint.is_empty(),
                "{output:?}"
            );
        }
    }
}

#[test]
fn standard_output_that_is_closed_is_an_error() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let into = |args: &[&str], output: &str| {
        let program = sandbox.posixage(args);
        program.in_shell(&format!("exec \"$@\" {output}")).run()
    };
    for args in [
        &["get", "x"][..],
        &["get", "--json", "x"],
        &["list"],
        &["status"],
        &["--help"],
        &["completions", "bash"],
    ] {
        into(args, ">&-").fails(1).says(["standard output"]);
        // What a program does that wants no output, in either way.
        into(args, ">/dev/null").succeeds_silently();
        into(args, "1<>/dev/null").succeeds_silently();
    }
    let git = sandbox.helper("git-credential-posixage").arg("capability");
    git.in_shell("exec \"$@\" >&-").run().fails(1);
}

#[test]
fn an_id_that_is_none() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for (id, said) in [
        ("my token", "' '"),
        ("grüße", "'ü'"),
        ("a//b", "empty component"),
        ("/a", "empty component"),
        ("a/", "empty component"),
        ("", "empty component"),
        ("*", "'*'"),
        ("a+b", "'+'"),
        ("a\nb", "'\\n'"),
        ("../../etc/passwd\u{1b}[2J", "'\\u{1b}'"),
    ] {
        for args in [["set", id], ["get", id], ["rm", id]] {
            let output = sandbox
                .posixage(args)
                .input("v")
                .run()
                .fails(2)
                .says([said]);
            assert!(!output.err().contains('\u{1b}'), "{output:?}");
            assert!(!output.err().contains("[ID]") && !output.err().contains("<ID>"));
            assert!(output.hint().contains("A-Z a-z 0-9"), "{output:?}");
        }
    }
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    // Dots are letters like any other: nothing is ever outside.
    sandbox.set("../../../../tmp/posixage-escaped", "value");
    assert_eq!(sandbox.get("../../../../tmp/posixage-escaped"), b"value");
    assert_eq!(fs::read_dir(sandbox.store()).unwrap().count(), 3);
}

#[test]
fn help_and_version_make_nothing() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(["--version"]).succeeds_silently().out();
    assert!(version.starts_with("posixage "), "{version}");
    sandbox.run(["--help"]).succeeds_silently();
    assert!(!sandbox.home().join(".config").exists());
}

#[test]
fn a_store_that_is_a_file() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "mine");
    let posixage = || sandbox.posixage(["--store"]).arg(&file);
    for args in [
        &["get", "x"][..],
        &["list"],
        &["set", "x"],
        &["init"],
        &["status"],
        &["rm", "--all"],
    ] {
        let output = posixage().args(args).input("v").run().fails(1);
        output.says([file.to_str().unwrap(), "not a directory"]);
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let below = file.join("store");
    let output = sandbox.posixage(["init", "--store"]).arg(&below).run();
    output
        .fails(1)
        .says([below.to_str().unwrap(), "not a directory"]);
    sandbox
        .posixage(["list", "--store", "/dev/null"])
        .run()
        .fails(1);
}

#[test]
fn no_home() {
    let sandbox = Sandbox::new();
    let store = sandbox.path().join("store");
    let posixage = |args: &[&str]| sandbox.posixage(args).env_remove("HOME").input("v");
    for args in [&["get", "x"][..], &["set", "x"], &["init"], &["list"]] {
        let output = posixage(args).run().fails(1).says(["HOME"]);
        assert!(output.hint().contains("--store"), "{output:?}");
        // Empty is as good as unset.
        posixage(args).env("HOME", "").run().fails(1).says(["HOME"]);
    }
    let place = store.to_str().unwrap();
    let init = posixage(&["--store", place, "init"]).run().fails(1);
    assert!(init.hint().contains("-i"), "{init:?}");
    assert!(!store.exists());
    // All that is needed can be named.
    let key = golden::key(&sandbox, "age-1.txt");
    let posixage = |args: &[&str]| posixage(&["--store", place]).arg("-i").arg(&key).args(args);
    posixage(&["init"]).run().succeeds();
    posixage(&["set", "x"]).run().succeeds();
    assert_eq!(posixage(&["get", "x"]).run().succeeds_silently().out(), "v");
}

#[test]
fn a_home_that_is_not_there_or_cannot_be_written() {
    let sandbox = Sandbox::ordinary();
    let output = sandbox
        .posixage(["set", "x"])
        .env("HOME", "/proc/no/home")
        .input("v")
        .run();
    output.fails(1).says(["/proc/no/home"]);
    let closed = sandbox.directory("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let output = sandbox
        .posixage(["set", "x"])
        .env("HOME", &closed)
        .input("v")
        .run();
    output
        .fails(1)
        .says([closed.to_str().unwrap(), "permission denied"]);
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}

#[test]
fn ctrl_c_in_a_prompt() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "first"]));
    terminal.wait_for_hidden("value of first");
    terminal.interrupts();
    let end = terminal.wait();
    assert_eq!(end.signal(), Some(2), "{end:?}");
    assert!(terminal.echoes());
    // The store was made, nothing is in it, and the next try works.
    sandbox
        .posixage(["set", "first"])
        .input("value")
        .run()
        .succeeds();
    assert_eq!(sandbox.get("first"), b"value");
}

#[test]
fn a_configuration_that_is_not_understood_names_the_file() {
    let sandbox = Sandbox::new().initialised();
    let file = sandbox.home().join(".config/posixage/config.toml");
    for toml in [
        "store = 1\n",
        "stor = \"x\"\n",
        "not toml",
        "identities = [1]\n",
    ] {
        sandbox.config(toml);
        sandbox
            .run(["list"])
            .fails(1)
            .says([file.to_str().unwrap()]);
    }
    sandbox.config("");
    sandbox.run(["list"]).succeeds_silently();
    let own = sandbox.store().join(".posixage.toml");
    for toml in [
        "format = 2\n",
        "",
        "format = 1\nrecipients = [\"zoe\"]\n",
        "\u{0}",
    ] {
        fs::write(&own, toml).unwrap();
        sandbox.run(["list"]).fails(7).says([own.to_str().unwrap()]);
    }
}

#[test]
fn a_configuration_that_is_no_file_does_not_hang() {
    let sandbox = Sandbox::new().initialised();
    let path = sandbox.home().join(".config/posixage/config.toml");
    let refused = || {
        for program in [
            sandbox.posixage(["list"]),
            sandbox
                .helper("git-credential-posixage")
                .arg("get")
                .input("host=h\n"),
        ] {
            let says = [path.to_str().unwrap(), "not a regular file"];
            program.run().fails(1).says(says);
        }
    };
    let mkfifo = sandbox.program("mkfifo").arg(&path);
    mkfifo.run().succeeds();
    refused();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused();
    fs::remove_dir(&path).unwrap();
    sandbox.config(&"#".repeat((1 << 20) + 1));
    sandbox.run(["list"]).fails(1).says(["1 MiB"]);
}

#[test]
fn a_configuration_that_others_may_write_is_not_followed() {
    let sandbox = Sandbox::new().initialised();
    let ran = sandbox.path().join("ran");
    sandbox.config(&format!(
        "password-command = \"echo password; touch {}\"\n",
        ran.display()
    ));
    let path = sandbox.home().join(".config/posixage/config.toml");
    let store = sandbox.path().join("other");
    let init = || sandbox.posixage(["init", "--store"]).arg(&store);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = init().run().fails(8).says([path.to_str().unwrap()]);
        assert!(output.hint().contains("chmod go-w"), "{output:?}");
        assert!(!ran.exists() && !store.exists());
        sandbox
            .run(["list", "--allow-insecure-permissions"])
            .succeeds();
    }
    // Others may read it: nothing in it is secret.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    if tools::is_root() {
        chown(&path, Some(ORDINARY_USER), None).unwrap();
        init().run().fails(8).says(["another user"]);
        assert!(!ran.exists() && !store.exists());
        chown(&path, Some(0), None).unwrap();
    }
    init().run().succeeds();
    assert!(ran.exists(), "the control");
}

#[test]
fn a_key_or_a_password_in_a_pipe() {
    let sandbox = Sandbox::new();
    let init = sandbox.posixage(["init", "-i", "/dev/stdin"]);
    let output = init.input("key").run().fails(1);
    output.says(["/dev/stdin cannot be used"]);
    assert!(!sandbox.store().exists());
    let init = sandbox.posixage(["init", "--password-file", "/dev/stdin"]);
    let output = init.input("password\n").run().succeeds();
    assert!(output.out().contains("recipient: password"), "{output:?}");
}
