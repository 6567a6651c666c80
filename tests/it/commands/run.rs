//! `posixage run`

use std::{fs, os::unix::fs::PermissionsExt};

use posixage_tests::{Program, Sandbox, Terminal, golden, page, strace, tools};
use rustix::process::Signal;

const VALUE: &str = "canary-of-the-value";

/// `posixage run` of a script, for which `X` is a reference.
fn run(sandbox: &Sandbox, script: &str) -> Program {
    sandbox
        .posixage(["run", "--", "sh", "-c", script])
        .env("X", "se://db/password")
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("db/password", VALUE);
    sandbox
}

#[test]
fn references_are_resolved_and_everything_else_is_left_alone() {
    let sandbox = sandbox();
    sandbox.set("empty", "");
    let others = [
        ("PART", "postgres://zoe:se://db/password@host"),
        ("BEFORE", " se://db/password"),
        ("OTHER", "sf://db/password"),
        ("EMPTY", ""),
        ("LINES", "a\nb"),
    ];
    let mut env = run(&sandbox, "exec env -0")
        .env("Y", "se://empty")
        .env("POSIXAGE_LOCK_TIMEOUT", "5s")
        .env("POSIXAGE_PASSWORD", "canary-of-the-password");
    for (name, value) in others {
        env = env.env(name, value);
    }
    let output = env.run().succeeds_silently().out();
    let lines: Vec<&str> = output.split_terminator('\0').collect();
    let expected = [("X", VALUE), ("Y", ""), ("POSIXAGE_LOCK_TIMEOUT", "5s")];
    for (name, value) in expected.into_iter().chain(others) {
        let line = format!("{name}={value}");
        assert!(lines.contains(&&*line), "{line} in {lines:?}");
    }
    assert!(!output.contains("POSIXAGE_PASSWORD"), "{lines:?}");
    // HOME and PATH come from the sandbox, PWD and the like from the shell.
    assert!(lines.len() <= 12, "{lines:?}");
}

#[test]
fn a_value_is_handed_over_byte_for_byte() {
    let sandbox = sandbox();
    let all: Vec<u8> = (1..=255).collect();
    for value in [
        &b"two\nlines\n"[..],
        b"\n",
        b" $HOME `id` '\"\\ ",
        &all,
        b"se://db/password",
    ] {
        sandbox.set("db/password", value);
        let output = run(&sandbox, "exec printenv X").run().succeeds_silently();
        assert_eq!(output.stdout, [value, b"\n"].concat());
    }
    // The longest that a system hands over, and one more.
    let longest = vec![b'x'; (128 << 10) - "X=".len() - 1];
    sandbox.set("db/password", &*longest);
    let output = run(&sandbox, "printenv X | wc -c")
        .run()
        .succeeds_silently();
    assert_eq!(output.out().trim(), (longest.len() + 1).to_string());
    sandbox.set("db/password", [&*longest, b"x"].concat());
    let output = run(&sandbox, "echo started").run().fails(126);
    assert!(output.hint().contains("128 KiB"), "{output:?}");
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let sandbox = sandbox();
    for code in [0, 1, 5, 255] {
        let output = run(&sandbox, &format!("exit {code}")).run();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.err(), "");
    }
}

#[test]
fn a_signal_ends_the_command_and_nothing_stands_in_between() {
    let sandbox = sandbox();
    let output = run(&sandbox, "kill -TERM $$").run();
    assert_eq!(output.signal(), Some(15));
    // Sent to the process that was started, it arrives at the command.
    let script = "trap 'cat; exit 3' TERM; echo \"pid $$\"; while :; do read line; done";
    let mut running = run(&sandbox, script).start();
    running.wait_for(&format!("pid {}", running.id()));
    running.signal(Signal::TERM);
    running.write(b"wake\n");
    assert_eq!(running.wait().status.code(), Some(3));
    let running = run(&sandbox, "echo here; exec cat").start();
    running.wait_for("here");
    running.signal(Signal::KILL);
    assert_eq!(running.end().signal(), Some(9));
}

#[test]
fn ctrl_c_is_the_commands() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(run(&sandbox, "echo here; exec cat"));
    terminal.wait_for("here");
    terminal.interrupts();
    assert_eq!(terminal.wait().signal(), Some(2));
    let script = "trap 'exit 4' INT; echo here; while :; do read line; done";
    let mut terminal = Terminal::start(run(&sandbox, script));
    terminal.wait_for("here");
    terminal.interrupts();
    // A shell that was about to read when the signal came sees it when it has read.
    terminal.types("wake");
    terminal.wait().exits(4);
}

#[test]
fn input_output_and_arguments_are_the_commands() {
    let sandbox = sandbox();
    let output = run(&sandbox, "cat; echo error >&2").input("in\0put").run();
    assert_eq!(output.stdout, b"in\0put");
    assert_eq!(output.err(), "error\n");
    let printf = [
        "run",
        "--",
        "printf",
        "%s|",
        "a b",
        "",
        "--env-file",
        "se://db/password",
    ];
    let output = sandbox.run(printf).succeeds_silently();
    assert_eq!(output.out(), "a b||--env-file|se://db/password|");
}

#[test]
fn every_reference_that_fails_is_named_and_nothing_is_started() {
    let sandbox = sandbox();
    sandbox.set("with-nul", "a\0b");
    let script = "echo started; touch started";
    let missing = run(&sandbox, script)
        .env("A", "se://missing/one")
        .env("B", "se://missing/two")
        .env("C", "se://missing/one");
    let output = missing.run().fails(3);
    let output = output.says([
        "variables A, C: no secret missing/one",
        "variable B: no secret missing/two",
    ]);
    assert_eq!(output.err().lines().count(), 2, "{output:?}");

    for (reference, code, why) in [
        ("se://", 1, "empty"),
        ("se://a b", 1, "not allowed"),
        ("se://**", 1, "not allowed"),
        ("se://db/password ", 1, "not allowed"),
        ("se://with-nul", 1, "NUL"),
    ] {
        let output = run(&sandbox, script)
            .env("BAD", reference)
            .run()
            .fails(code);
        output.says(["variable BAD: ", why]);
    }
    // Failures of different kinds.
    let mixed = run(&sandbox, script)
        .env("A", "se://missing")
        .env("B", "se://with-nul");
    mixed.run().fails(1).says(["A: ", "B: "]);
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn without_a_fitting_key_or_a_free_lock_nothing_starts() {
    let sandbox = sandbox();
    let script = "touch started";
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let wrong = run(&sandbox, script)
        .env("POSIXAGE_IDENTITY", &stranger)
        .run();
    wrong.fails(5).says(["X: no key fits"]);
    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let held = run(&sandbox, script).env("POSIXAGE_LOCK_TIMEOUT", "0");
    held.env("Y", "se://other").run().fails(6);
    // Without references there is no need of a lock, or a store.
    sandbox
        .posixage(["run", "--store", "/nowhere", "--", "true"])
        .run()
        .succeeds_silently();
    run(&sandbox, script)
        .arg("--store")
        .env("POSIXAGE_STORE", "/nowhere")
        .run()
        .fails(1);
    holder.write(b"done");
    holder.wait().succeeds();
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn a_program_that_cannot_be_run_is_told_as_a_shell_tells_it() {
    let sandbox = sandbox();
    let plain = sandbox.file("home/plain", "#!/bin/sh\n");
    for (program, code) in [
        ("no-such-program", 127),
        ("/no/such/program", 127),
        (plain.to_str().unwrap(), 126),
        ("/", 126),
    ] {
        let output = sandbox
            .posixage(["run", "--", program])
            .env("X", "se://db/password");
        output.run().fails(code).says(["cannot run", program]);
    }
    // A directory that this user may not look into says nothing about the program.
    let ordinary = Sandbox::ordinary();
    let closed = ordinary.directory("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let run = ordinary.posixage(["run", "--", "no-such-program"]);
    let run = run
        .env("PATH", format!("{}:/usr/bin", closed.display()))
        .run();
    run.fails(127).says(["no such program"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.run(["run"]).fails(2);
    sandbox.run(["run", "--env-file", "x", "--"]).fails(2);
}

#[test]
fn env_files_override_the_environment_and_earlier_files() {
    let sandbox = sandbox();
    sandbox.set("other", "other value");
    let first = sandbox.file(
        "first.env",
        "# a comment\nexport A=one\nB='se://other'\nC=\"two\nlines\"\nD=$A # literal\nX=plain\n",
    );
    let second = sandbox.file("second.env", "A=se://db/password\nE=\n");
    let print = r#"printf '%s|' "$A" "$B" "$C" "$D" "$E" "$F" "$X""#;
    let run = |files: &[&std::path::Path]| {
        let files = files
            .iter()
            .flat_map(|file| ["--env-file".as_ref(), file.as_os_str()]);
        let run = sandbox
            .posixage(["run"])
            .args(files)
            .args(["--", "sh", "-c", print]);
        let env = [
            ("A", "environment"),
            ("E", "environment"),
            ("F", "se://other"),
        ];
        let run = env
            .into_iter()
            .fold(run, |run, (name, value)| run.env(name, value));
        run.env("X", "se://missing").run()
    };
    let output = run(&[&first, &second]).succeeds_silently();
    assert_eq!(
        output.out(),
        format!("{VALUE}|other value|two\nlines|$A||other value|plain|")
    );
    let output = run(&[&second, &first]).succeeds_silently();
    assert!(output.out().starts_with("one|other value|"), "{output:?}");

    let bad = sandbox.file("bad.env", format!("A=b\nB='{VALUE}\n"));
    let output = run(&[&first, &bad]).fails(1);
    assert!(!output.err().contains(VALUE), "{output:?}");
    output.says(["bad.env: line 2: a quote is not closed"]);
    let missing = sandbox.path().join("missing.env");
    run(&[&missing])
        .fails(1)
        .says(["missing.env", "no such file"]);
    run(&[&sandbox.home()]).fails(1).says(["cannot read"]);
}

#[test]
fn a_file_may_be_a_pipe() {
    let sandbox = sandbox();
    let output = sandbox
        .posixage(["run", "--env-file", "/dev/stdin", "--", "printenv", "A"])
        .input("A=se://db/password\n")
        .run();
    assert_eq!(output.succeeds_silently().out(), format!("{VALUE}\n"));
}

#[test]
fn a_reference_in_two_variables_is_resolved_once() {
    let sandbox = sandbox();
    sandbox.set("other", "other value");
    let file = sandbox.file("file.env", "C=se://db/password\n");
    let traced = sandbox
        .posixage(["run", "--env-file"])
        .arg(file)
        .args(["--", "true"])
        .env("A", "se://db/password")
        .env("B", "se://db/password")
        .env("D", "se://other");
    let calls = strace::record(&sandbox, traced, &[]);
    let opened = |id: &str| {
        let directory = id.parse::<posixage::Id>().unwrap().directory_name();
        let count = |name: &str| {
            let is_it = |call: &&posixage_tests::calls::Call| {
                call.name == "openat" && call.string(1).ends_with(name.as_bytes())
            };
            calls.iter().filter(is_it).count()
        };
        (count(&directory), count("secretage"))
    };
    assert_eq!(opened("db/password"), (1, 2));
    assert_eq!(opened("other"), (1, 2));
    // In place: no process is forked.
    let executed =
        |call: &&posixage_tests::calls::Call| call.name == "execve" && call.returned == Some(0);
    assert_eq!(calls.iter().filter(executed).count(), 2);
}

#[test]
fn a_person_is_asked_for_the_password_once() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    for id in ["a", "b"] {
        let set = sandbox
            .posixage(["set", id])
            .env("POSIXAGE_PASSWORD", "password");
        set.input(id).run().succeeds();
    }
    let run = || {
        sandbox
            .posixage(["run", "--", "sh", "-c", "echo \"$A $B\"; exec cat"])
            .env("A", "se://a")
            .env("B", "se://b")
    };
    // The terminal, its echo too, is the command's when it begins.
    let mut terminal = Terminal::start(run());
    terminal.answers("password", "password");
    terminal.wait_for("a b");
    assert!(terminal.echoes());
    terminal.interrupts();
    assert_eq!(terminal.wait().signal(), Some(2));
    run().run().fails(5).says(["A: ", "B: ", "terminal"]);
}

#[test]
fn no_value_is_in_arguments_files_or_standard_error() {
    let sandbox = sandbox();
    let script = "tr '\\0' '\\n' </proc/$$/cmdline";
    let output = sandbox
        .posixage(["-v", "run", "--", "sh", "-c", script])
        .env("X", "se://db/password")
        .run()
        .succeeds();
    assert!(
        output.out().contains("cmdline") && !output.out().contains(VALUE),
        "{output:?}"
    );
    assert!(
        !output.err().is_empty() && !output.err().contains(VALUE),
        "{output:?}"
    );
    for path in posixage_tests::tree::walk(&sandbox.home()) {
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            assert!(!text.windows(VALUE.len()).any(|w| w == VALUE.as_bytes()));
        }
    }
}

#[test]
fn the_command_has_no_descriptor_and_no_lock_of_ours() {
    let sandbox = sandbox();
    let script = "ls /proc/self/fd";
    let bare = sandbox.program("sh").args(["-c", script]).run();
    let output = run(&sandbox, script).run().succeeds_silently();
    assert_eq!(output.out(), bare.succeeds_silently().out());
    let running = run(&sandbox, "echo here; exec cat").start();
    running.wait_for("here");
    let set = sandbox.posixage(["set", "y", "--lock-timeout", "0"]);
    set.input("v").run().succeeds();
    running.wait().succeeds();
}

#[test]
fn an_ordinary_user_can_trace_the_command() {
    if !tools::is_root() {
        tools::left_out("the command's own memory, as another user: only root can become one");
        return;
    }
    let sandbox = Sandbox::ordinary().initialised();
    sandbox
        .posixage(["set", "db/password"])
        .input(VALUE)
        .run()
        .succeeds();
    // Ours is closed to others of its user; the command's is its own business.
    let output = run(&sandbox, "test -r /proc/self/environ && printenv X").run();
    assert_eq!(output.succeeds_silently().out(), format!("{VALUE}\n"));
}

#[test]
fn the_page_does_what_it_says_word_for_word() {
    let sandbox = Sandbox::new();
    let [block] = page::blocks("cli/README.md", "sh").try_into().unwrap();
    let output = sandbox.client("sh").args(["-euc", &block]).run().succeeds();
    assert_eq!(output.out(), "correct horse\n");
}
