//! `posixage lock`

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
