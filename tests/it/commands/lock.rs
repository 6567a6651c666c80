//! `posixage lock`

use std::fs;

use posixage_tests::{Program, Sandbox, ignored};
use rustix::process::Signal;

const HOLD: [&str; 5] = ["--", "sh", "-c", "echo held; cat", "holder"];

#[test]
fn runs_a_command_and_exits_as_it_does() {
    let sandbox = Sandbox::new().initialised();
    let lock = |args: &[&str]| {
        sandbox
            .posixage(["lock", "--"])
            .args(args)
            .input("in")
            .run()
    };
    assert_eq!(lock(&["cat"]).succeeds_silently().out(), "in");
    assert_eq!(
        lock(&["echo", "-n", "a b", ""]).succeeds_silently().out(),
        "a b "
    );
    for code in [1, 7, 255] {
        assert_eq!(
            lock(&["sh", "-c", &format!("exit {code}")]).status.code(),
            Some(code)
        );
    }
    assert_eq!(
        lock(&["sh", "-c", "kill -TERM $$"]).status.code(),
        Some(128 + 15)
    );
    for missing in ["/no/such/command", "no-such-command"] {
        lock(&[missing]).fails(127).says([missing]);
    }
    lock(&["/etc/passwd"]).fails(126).says(["/etc/passwd"]);
    // Nothing is held afterwards.
    sandbox
        .posixage(["set", "x", "--lock-timeout", "0"])
        .input("v")
        .run()
        .succeeds();
}

#[test]
fn an_exclusive_lock_keeps_everybody_out_and_is_named() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let mut holder = sandbox.posixage(["lock"]).args(HOLD).start();
    holder.wait_for("held");
    for args in [
        &["get", "x"][..],
        &["list"],
        &["set", "y"],
        &["set", "--force", "x"],
        &["rm", "x"],
    ] {
        let posixage = sandbox
            .posixage(["--lock-timeout", "0"])
            .args(args)
            .input("v");
        let output = posixage
            .run()
            .fails(6)
            .says([holder.id().to_string().as_str()]);
        assert!(!output.hint().is_empty());
    }
    let lock = ["--lock-timeout", "50ms", "lock", "--shared", "--", "true"];
    sandbox.run(lock).fails(6);
    holder.write(b"done");
    holder.wait().succeeds();
    assert_eq!(sandbox.get("x"), b"value");
    sandbox.run(["get", "y"]).fails(3);
}

#[test]
fn a_shared_lock_lets_others_read() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let mut holder = sandbox.posixage(["lock", "--shared"]).args(HOLD).start();
    holder.wait_for("held");
    let now = |args: &[&str]| {
        sandbox
            .posixage(["--lock-timeout", "0"])
            .args(args)
            .input("v")
            .run()
    };
    assert_eq!(now(&["get", "x"]).succeeds_silently().out(), "value");
    now(&["list"]).succeeds_silently();
    now(&["lock", "--shared", "--", "true"]).succeeds_silently();
    now(&["set", "y"]).fails(6);
    now(&["rm", "x"]).fails(6);
    holder.write(b"done");
    holder.wait().succeeds();
    assert_eq!(sandbox.get("x"), b"value");
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_free() {
    let sandbox = Sandbox::new().initialised();
    let mut holder = sandbox.posixage(["lock"]).args(HOLD).start();
    holder.wait_for("held");
    let waiter = sandbox.posixage(["set", "x=value"]).start();
    waiter.wait_for_stderr("waiting for the lock");
    holder.write(b"done");
    holder.wait().succeeds();
    waiter.wait().succeeds();
    assert_eq!(sandbox.get("x"), b"value");
}

#[test]
fn a_wait_is_announced_and_names_the_holder() {
    let sandbox = Sandbox::new().initialised();
    let mut holder = sandbox.posixage(["lock"]).args(HOLD).start();
    holder.wait_for("held");
    let list = sandbox.posixage(["list"]).start();
    list.wait_for_stderr("waiting for the lock");
    list.wait_for_stderr(&holder.id().to_string());
    let quiet = sandbox
        .posixage(["-q", "list", "--lock-timeout", "1500ms"])
        .start();
    let quiet = quiet.wait().fails(6);
    assert!(!quiet.err().contains("waiting for the lock"), "{quiet:?}");
    holder.write(b"done");
    holder.wait().succeeds();
    list.wait().succeeds();
}

#[test]
fn a_killed_holder_leaves_no_lock_after_its_command() {
    let sandbox = Sandbox::new().initialised();
    let holder = sandbox.posixage(["lock"]).args(HOLD).start();
    holder.wait_for("held");
    holder.signal(Signal::KILL);
    // Its whole session ends here, with the command in it.
    let output = holder.end();
    assert_eq!(output.signal(), Some(9));
    sandbox.posixage(["set", "x"]).input("v").run().succeeds();
}

#[test]
fn a_command_keeps_the_lock_when_posixage_is_killed() {
    let sandbox = Sandbox::new().initialised();
    let script = "kill -KILL $PPID; echo killed; cat";
    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", script])
        // Not the session leader: its end would end all of them.
        .in_shell(r#""$@"; cat"#)
        .start();
    holder.wait_for("killed");
    sandbox
        .posixage(["set", "x", "--lock-timeout", "0"])
        .input("v")
        .run()
        .fails(6);
    holder.write(b"done");
    holder.wait();
    sandbox
        .posixage(["set", "x", "--lock-timeout", "30s"])
        .input("v")
        .run()
        .succeeds();
}

#[test]
fn sigterm_is_passed_on_and_the_lock_kept_until_the_end() {
    let sandbox = Sandbox::new().initialised();
    let script = "trap 'echo trapped; cat; exit 3' TERM; echo held; while :; do read line; done";
    let mut holder = sandbox.posixage(["lock", "--", "sh", "-c", script]).start();
    holder.wait_for("held");
    holder.signal(Signal::TERM);
    holder.write(b"wake\n");
    holder.wait_for("trapped");
    sandbox
        .posixage(["set", "x", "--lock-timeout", "0"])
        .input("v")
        .run()
        .fails(6);
    let output = holder.wait();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    sandbox
        .posixage(["set", "x", "--lock-timeout", "0"])
        .input("v")
        .run()
        .succeeds();
}

#[test]
fn a_timeout_is_a_number_with_a_unit() {
    let sandbox = Sandbox::new().initialised();
    for good in ["0", "500ms", "30s", "2m"] {
        sandbox
            .run(["list", "--lock-timeout", good])
            .succeeds_silently();
    }
    for bad in ["", "30", "soon", "-1s", "1h2m", "s"] {
        sandbox
            .run(["list", &format!("--lock-timeout={bad}")])
            .fails(2);
    }
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let sandbox = Sandbox::new().initialised();
    // What nohup does, and a shell to what it starts with `&`.
    for signals in ["", "HUP", "INT QUIT", "HUP INT QUIT TERM XFSZ"] {
        let of = |program: Program| {
            let script = format!("for s in {signals}; do trap '' $s; done; exec \"$@\"");
            let program = program.args(ignored::LOOK).in_shell(&script);
            ignored::signals(&program.run().succeeds_silently().out())
        };
        let plain = of(sandbox.program("env"));
        for ours in ["lock", "run"] {
            assert_eq!(of(sandbox.posixage([ours, "--"])), plain, "{signals}");
        }
    }
}

/// A posixage whose name is `$0` of the script.
fn script(sandbox: &Sandbox, script: &str) -> Program {
    sandbox.posixage([""; 0]).behind(["sh", "-c", script])
}

#[test]
fn a_command_inside_a_lock_does_not_wait_for_it() {
    let sandbox = Sandbox::new().initialised();
    let inside = r#"
        export POSIXAGE="$0"
        "$0" lock -- sh -c '
            "$POSIXAGE" set x=value --lock-timeout 0 && "$POSIXAGE" get x --lock-timeout 0 &&
            "$POSIXAGE" lock -- "$POSIXAGE" lock --shared -- "$POSIXAGE" list --lock-timeout 0'
    "#;
    let output = script(&sandbox, inside).run().succeeds();
    assert_eq!(output.out(), "valuex\n");
    sandbox.run(["rm", "x", "--lock-timeout", "0"]).succeeds();
}

#[test]
fn an_exclusive_lock_inside_a_shared_one_is_refused_at_once() {
    let sandbox = Sandbox::new().initialised();
    let inside = r#""$0" lock --shared -- "$0" set x=value"#;
    let output = script(&sandbox, inside).run().fails(6);
    output.says(["runs inside a shared one"]);
    let shared = r#""$0" lock --shared -- "$0" list --lock-timeout 0"#;
    script(&sandbox, shared).run().succeeds_silently();
}

#[test]
fn two_inside_one_lock_exclude_each_other() {
    let sandbox = Sandbox::new().initialised();
    let inside = r#"
        export POSIXAGE="$0"
        "$0" lock -- sh -c '
            exec 3<&0
            "$POSIXAGE" lock -- sh -c "echo held; cat" <&3 &
            read line </dev/null; "$POSIXAGE" set x=value --lock-timeout 100ms; echo $?; wait'
    "#;
    let mut holder = script(&sandbox, inside).start();
    holder.wait_for("held");
    holder.wait_for("6\n");
    holder.write(b"done");
    holder.wait().complains(0);
}

#[test]
fn a_lock_is_kept_for_what_is_inside_when_its_command_has_ended() {
    let sandbox = Sandbox::new().initialised();
    let inside = r#"
        export POSIXAGE="$0"
        exec 3<&0
        "$0" lock -- sh -c '"$POSIXAGE" lock -- sh -c "echo held; cat" <&3 & read line <gate'
        echo ended; cat
    "#;
    sandbox.program("mkfifo").arg("gate").run().succeeds();
    let holder = script(&sandbox, inside).start();
    holder.wait_for("held");
    fs::write(sandbox.home().join("gate"), "\n").unwrap();
    holder.wait_for("ended");
    let set = ["set", "x=value", "--lock-timeout", "0"];
    sandbox.run(set).fails(6);
    holder.wait().succeeds();
    sandbox.run(set).succeeds();
}

#[test]
fn a_lock_that_is_only_said_to_be_inherited_is_waited_for() {
    let sandbox = Sandbox::new().initialised();
    let mut holder = sandbox.posixage(["lock"]).args(HOLD).start();
    holder.wait_for("held");
    let lock = sandbox.store().join(".posixage.lock");
    for (files, variable) in [
        ("8</dev/null", "100:101"),
        ("8</dev/null", "8:8"),
        // The lock file, without a lock on it.
        (r#"8<>"$LOCK" 9<>"$LOCK""#, "8:9"),
        // A lock, on another file.
        (r#"8<>"$HOME/other" 9<>"$HOME/other"; flock 8"#, "8:9"),
        ("8</dev/null", "nonsense"),
    ] {
        let script = format!("exec {files}; exec \"$@\"");
        let set = sandbox.posixage(["set", "x=value", "--lock-timeout", "0"]);
        let set = set.in_shell(&script).env("LOCK", &lock);
        set.env("POSIXAGE_LOCK", variable).run().fails(6);
    }
    holder.write(b"done");
    holder.wait().succeeds();
}

#[test]
fn a_lock_is_inside_for_its_own_store_alone() {
    let sandbox = Sandbox::new().initialised();
    let other = sandbox.directory("other").join("store");
    sandbox
        .posixage(["--store"])
        .arg(&other)
        .arg("init")
        .run()
        .succeeds();
    let mut holder = sandbox
        .posixage(["--store"])
        .arg(&other)
        .arg("lock")
        .args(HOLD)
        .start();
    holder.wait_for("held");
    let inside = r#""$0" lock -- "$0" --store "$OTHER" set x=value --lock-timeout 0"#;
    let set = script(&sandbox, inside).env("OTHER", &other);
    set.run().fails(6);
    holder.write(b"done");
    holder.wait().succeeds();
}
