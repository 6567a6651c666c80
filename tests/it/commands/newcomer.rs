//! Claim: whatever a new user does wrong is answered at once with a line that says what is wrong,
//! the right exit code, and, where there is something to do, what to do.

use std::{
    ffi::OsStr,
    fs, iter,
    os::unix::fs::{PermissionsExt, chown},
};

use posixage_tests::{
    Program, Sandbox, Terminal, binary, docker_helper, golden, namespace, process::ORDINARY_USER,
    tools, tree::Snapshot,
};

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

/// A program without `HOME`, of a user that the system does not know: it has no home either.
fn without_home(program: Program) -> Program {
    let setpriv = tools::need("setpriv", "util-linux");
    let user = ["--reuid=54321", "--clear-groups"].map(OsStr::new);
    let front = iter::once(setpriv.as_os_str()).chain(user);
    program.env_remove("HOME").behind(front)
}

#[test]
fn no_home() {
    if !tools::is_root() {
        tools::left_out("a user that the system does not know, which takes root");
        return;
    }
    let sandbox = Sandbox::ordinary();
    let store = sandbox.path().join("store");
    let posixage = |args: &[&str]| without_home(root(&sandbox).args(args)).input("v");
    for args in [&["get", "x"][..], &["set", "x"], &["init"], &["list"]] {
        let output = posixage(args).run().fails(1).says(["HOME"]);
        assert!(output.hint().contains("--store"), "{output:?}");
        // Empty is as good as unset.
        posixage(args).env("HOME", "").run().fails(1).says(["HOME"]);
    }
    let place = store.to_str().unwrap();
    let init = posixage(&["--store", place, "init"]).run();
    assert!(
        init.err().contains("store") && !init.status.success(),
        "{init:?}"
    );
    assert!(!store.exists());
}

/// `posixage`, where a user that owns nothing can execute it, run by root.
fn root(sandbox: &Sandbox) -> Program {
    Program::new(sandbox.path().join("posixage")).current_dir("/")
}

#[test]
fn all_that_is_needed_can_be_named_without_a_home() {
    let sandbox = Sandbox::new();
    let store = sandbox.path().join("store");
    let key = golden::key(&sandbox, "age-1.txt");
    let posixage = |args: &[&str]| {
        let posixage = sandbox
            .posixage(["--store"])
            .arg(&store)
            .arg("-i")
            .arg(&key);
        posixage.args(args).env("HOME", "/nowhere").input("v")
    };
    posixage(&["init"]).run().succeeds();
    posixage(&["set", "x"]).run().succeeds();
    assert_eq!(posixage(&["get", "x"]).run().succeeds_silently().out(), "v");
}

#[test]
fn a_helper_without_a_home_knows_of_no_credential() {
    if !tools::is_root() {
        tools::left_out("a user that the system does not know, which takes root");
        return;
    }
    let sandbox = Sandbox::new();
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let helper = |name: &str, action: &str, input: &str| {
        let copy = sandbox.path().join(name);
        if !copy.exists() {
            let cp = sandbox.program("cp").arg(binary::directory().join(name));
            cp.arg(&copy).run().succeeds();
        }
        let program = Program::new(copy).arg(action).input(input);
        without_home(program.current_dir("/")).run()
    };
    let docker = |action| helper("docker-credential-posixage", action, "registry.example");
    docker_helper::answers(&docker("get"), docker_helper::NOT_FOUND);
    assert_eq!(docker("list").succeeds_silently().out(), "{}\n");
    assert_eq!(docker("erase").succeeds_silently().out(), "");
    for action in ["get", "erase"] {
        let description = "protocol=https\nhost=h\nusername=u\npassword=p\n\n";
        let git = helper("git-credential-posixage", action, description);
        assert_eq!(git.succeeds_silently().out(), "");
    }
}

#[test]
fn without_home_the_user_database_tells_where_it_is() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let id = rustix::process::getuid().as_raw();
    // In a mount namespace of its own, where this user's home is the sandbox's.
    let script = format!(
        "printf 'zoe:x:0:0::%s:/bin/sh\nzoe:x:{id}:0::%s:/bin/sh\n' \"$1\" \"$1\" >\"$2\" &&
         mount --bind \"$2\" /etc/passwd && shift 2 && exec \"$@\""
    );
    let Some(shell) = namespace::shell(&script) else {
        tools::left_out("a user database of its own, which takes a mount namespace");
        return;
    };
    let shell = shell.arg(sandbox.home()).arg(sandbox.path().join("passwd"));
    for home in [None, Some("")] {
        let get = shell.clone().arg(binary::posixage()).args(["get", "x"]);
        let get = match home {
            Some(home) => get.env("HOME", home),
            None => get.env_remove("HOME"),
        };
        assert_eq!(get.run().succeeds_silently().out(), "value");
    }
}

#[test]
fn a_directory_that_is_no_store_is_not_written_to() {
    let sandbox = Sandbox::new().initialised();
    let empty = sandbox.directory("empty");
    let other = sandbox.directory("other");
    sandbox.file("other/notes.txt", "mine");
    for place in [&empty, &other] {
        let before = Snapshot::of(place);
        for args in [
            &["set", "x"][..],
            &["get", "x"],
            &["list"],
            &["rm", "x"],
            &["rm", "--all", "--yes"],
            &["status"],
            &["verify", "--repair"],
            &["lock", "--", "true"],
            &["unlock", "--force"],
        ] {
            let posixage = sandbox.posixage(["--store"]).arg(place).args(args);
            let output = posixage.input("v").run().fails(1);
            let output = output.says(["no store at", place.to_str().unwrap()]);
            assert!(output.hint().contains("--store"), "{output:?}");
            assert_eq!(Snapshot::of(place), before, "{args:?}");
        }
    }
    // Made on purpose it is one, and so is one of the reference's, which has no file of its own but
    // the lock's.
    sandbox
        .posixage(["init", "--store"])
        .arg(&empty)
        .run()
        .succeeds();
    sandbox
        .posixage(["list", "--store"])
        .arg(&empty)
        .run()
        .succeeds();
    sandbox.file("theirs/.posixage.lock", "");
    sandbox
        .run(["list", "--store", "../theirs"])
        .succeeds_silently();
}

#[test]
fn a_directory_of_the_system_is_not_to_be_closed() {
    let sandbox = Sandbox::new();
    let place = sandbox.directory("etc");
    sandbox.file("etc/passwd", "");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let posixage = |args: &[&str]| {
        let output = sandbox.posixage(["--store"]).arg(&place).args(args).run();
        assert!(!output.err().contains("chmod"), "{output:?}");
        assert!(output.hint().contains("--store"), "{output:?}");
        output
    };
    for args in [&["list"][..], &["set", "x=v"], &["status"], &["verify"]] {
        posixage(args).fails(1).says(["no store at"]);
    }
    posixage(&["init"]).fails(8).says(["open to others"]);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
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
