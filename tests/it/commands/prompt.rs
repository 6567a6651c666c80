//! Claim: a person at a prompt keeps no process waiting, and gets the terminal back as it was.

use std::fs;

use posixage_tests::{Sandbox, Terminal, shape, tree::Snapshot};
use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{InputModes, LocalModes, OutputModes},
};

fn modes(terminal: &Terminal) -> (InputModes, OutputModes, LocalModes) {
    let modes = terminal.modes();
    (modes.input_modes, modes.output_modes, modes.local_modes)
}

#[test]
fn a_value_is_typed_twice_and_never_shown() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.answers("value of x", "correct horse");
    terminal.answers("repeat", "correct horse");
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains("horse"), "{end:?}");
    assert_eq!(sandbox.get("x"), b"correct horse");
}

#[test]
fn a_human_at_a_prompt_holds_no_lock() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("neighbour", "before");
    let mut terminal = Terminal::start(sandbox.posixage(["set", "--force", "x"]));
    terminal.wait_for_hidden("value of x");

    let at_once = |args: &[&str]| {
        let program = sandbox.posixage(["--lock-timeout", "0"]).args(args);
        program.input("meanwhile").run().succeeds()
    };
    at_once(&["set", "--force", "neighbour"]);
    assert_eq!(at_once(&["get", "neighbour"]).out(), "meanwhile");
    at_once(&["set", "x"]);
    assert_eq!(at_once(&["get", "x"]).out(), "meanwhile");
    assert_eq!(at_once(&["lock", "--", "echo", "mine"]).out(), "mine\n");

    // The same between the first answer and the second.
    terminal.types("typed");
    terminal.wait_for_hidden("repeat");
    at_once(&["rm", "neighbour"]);
    assert_eq!(at_once(&["get", "x"]).out(), "meanwhile");
    terminal.types("typed");
    terminal.wait().exits(0);
    assert_eq!(sandbox.get("x"), b"typed");
}

#[test]
fn a_secret_that_appears_while_a_value_is_typed_is_not_replaced() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    sandbox.set("x", "meanwhile");
    terminal.types("typed");
    terminal.answers("repeat", "typed");
    terminal.wait().exits(4);
    assert_eq!(sandbox.get("x"), b"meanwhile");
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn no_value_is_asked_for_a_secret_that_exists() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    // Nothing is typed: should it ask, this would not end.
    let end = Terminal::start(sandbox.posixage(["set", "x"]))
        .wait()
        .exits(4);
    assert!(end.screen.contains("hint: "), "{end:?}");
    assert_eq!(sandbox.get("x"), b"old");
}

#[test]
fn no_lock_is_held_during_a_password_prompt() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    let set = |id| {
        sandbox
            .posixage(["set", id])
            .env("POSIXAGE_PASSWORD", "password")
    };
    set("x").input("value").run().succeeds();
    let mut terminal = Terminal::start(sandbox.posixage(["get", "x"]));
    terminal.wait_for_hidden("password");
    set("y")
        .arg("--lock-timeout=0")
        .input("value")
        .run()
        .succeeds();
    sandbox.run(["rm", "y", "--lock-timeout=0"]).succeeds();
    terminal.types("password");
    let end = terminal.wait().exits(0);
    assert!(
        end.screen.contains("value") && !end.screen.contains("password\r\n"),
        "{end:?}"
    );
}

#[test]
fn answers_that_differ_are_asked_for_again() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.answers("value of x", "one");
    terminal.answers("repeat", "another");
    terminal.answers("value of x", "third");
    terminal.answers("repeat", "third");
    let end = terminal.wait().exits(0);
    assert!(end.screen.contains("the answers differ"), "{end:?}");
    assert_eq!(sandbox.get("x"), b"third");
}

#[test]
fn answers_that_differ_time_and_again_write_nothing() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    for n in 0..3 {
        terminal.answers("value of x", &format!("canary {n}"));
        terminal.answers("repeat", &format!("canary {n} and more"));
    }
    let end = terminal.wait().exits(1);
    assert!(
        end.screen.contains("posixage: ") && !end.screen.contains("canary"),
        "{end:?}"
    );
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

/// What a person, or the system, does to a prompt; the signal that then ends the process.
type Interruption = (&'static str, fn(&mut Terminal), Signal);

const INTERRUPTIONS: [Interruption; 4] = [
    ("Ctrl-C", Terminal::interrupts, Signal::INT),
    (
        "SIGINT",
        |terminal| send(terminal, Signal::INT),
        Signal::INT,
    ),
    (
        "SIGTERM",
        |terminal| send(terminal, Signal::TERM),
        Signal::TERM,
    ),
    (
        "SIGHUP",
        |terminal| send(terminal, Signal::HUP),
        Signal::HUP,
    ),
];

fn send(terminal: &Terminal, signal: Signal) {
    let pid = Pid::from_raw(terminal.id()).expect("a process id");
    kill_process(pid, signal).expect("signal a child");
}

#[test]
fn an_interrupted_prompt_restores_the_terminal() {
    for (what, interrupt, signal) in INTERRUPTIONS {
        for answered in [0, 1] {
            let sandbox = Sandbox::new().initialised();
            let before = Snapshot::of(&sandbox.store());
            let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
            if answered == 1 {
                terminal.answers("value of x", "canary");
            }
            terminal.wait_for_hidden(if answered == 1 {
                "repeat"
            } else {
                "value of x"
            });
            if what == "Ctrl-C" {
                // Only keys come in order: a signal may overtake what was typed before it, and then
                // the terminal, which is as it was, shows it.
                terminal.presses(b"half a cana");
            }
            interrupt(&mut terminal);
            let end = terminal.wait();
            assert_eq!(end.signal(), Some(signal.as_raw()), "{what}: {end:?}");
            assert!(terminal.echoes(), "{what}: the echo stays off");
            assert!(!end.screen.contains("cana"), "{what}: {end:?}");
            assert_eq!(Snapshot::of(&sandbox.store()), before, "{what}");
        }
    }
}

#[test]
fn the_terminal_is_after_a_prompt_what_it_was_before() {
    let sandbox = Sandbox::new().initialised();
    // Looked at before and after, while the shell waits to be told to go on.
    let script = r#"read line; "$@"; code=$?; echo ended; read line; exit $code"#;
    for interrupted in [false, true] {
        let set = sandbox.posixage(["set", "--force", "x"]);
        let script = match interrupted {
            // Else the shell would be ended by the same key.
            true => format!("trap : INT; {script}"),
            false => script.into(),
        };
        let mut terminal = Terminal::start(set.in_shell(&script));
        let before = modes(&terminal);
        terminal.types("go");
        terminal.wait_for_hidden("value of x");
        assert_ne!(modes(&terminal), before);
        if interrupted {
            terminal.interrupts();
        } else {
            terminal.types("value");
            terminal.answers("repeat", "value");
        }
        terminal.wait_for("ended");
        assert_eq!(modes(&terminal), before, "interrupted: {interrupted}");
        terminal.types("done");
        terminal.wait();
    }
}

#[test]
fn ctrl_d_at_a_prompt_writes_nothing() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    terminal.presses(b"\x04");
    let end = terminal.wait().exits(1);
    assert!(end.screen.contains("posixage: "), "{end:?}");
    assert!(terminal.echoes());
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn an_empty_answer_twice_is_an_empty_value_if_that_is_allowed() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for (args, code) in [(&["set", "x"][..], 1), (&["set", "x", "--allow-empty"], 0)] {
        assert_eq!(Snapshot::of(&sandbox.store()), before);
        let mut terminal = Terminal::start(sandbox.posixage(args));
        terminal.answers("value of x", "");
        terminal.answers("repeat", "");
        terminal.wait().exits(code);
    }
    assert_eq!(sandbox.get("x"), b"");
}

#[test]
fn what_is_typed_ahead_is_neither_lost_nor_shown() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    // Both lines at once, as a paste does.
    terminal.presses(b"pasted canary\npasted canary\n");
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains("canary"), "{end:?}");
    assert_eq!(sandbox.get("x"), b"pasted canary");
}

#[test]
fn letters_of_any_script_can_be_typed_and_taken_back() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    terminal.presses("Zoë ☕ 日本x\x7f語\n".as_bytes());
    terminal.wait_for_hidden("repeat");
    terminal.presses("oops\x15Zoë ☕ 日本語\n".as_bytes());
    terminal.wait().exits(0);
    assert_eq!(sandbox.get("x"), "Zoë ☕ 日本語".as_bytes());
}

#[test]
fn the_prompt_is_on_the_terminal_even_if_output_goes_elsewhere() {
    let sandbox = Sandbox::new().initialised();
    let set = sandbox
        .posixage(["set", "x"])
        .in_shell(r#"exec "$@" >"$HOME/out" 2>"$HOME/err""#);
    let mut terminal = Terminal::start(set);
    terminal.answers("value of x", "value");
    terminal.answers("repeat", "value");
    terminal.wait().exits(0);
    for file in ["out", "err"] {
        assert_eq!(fs::read(sandbox.home().join(file)).unwrap(), b"");
    }
    assert_eq!(sandbox.get("x"), b"value");
}

#[test]
fn input_that_is_no_terminal_is_read_even_where_there_is_one() {
    let sandbox = Sandbox::new().initialised();
    let set = sandbox
        .posixage(["set", "x"])
        .in_shell(r#"echo piped | "$@""#);
    let end = Terminal::start(set).wait().exits(0);
    assert_eq!(end.screen, "");
    assert_eq!(sandbox.get("x"), b"piped");
}

#[test]
fn the_password_is_asked_for_while_the_value_is_piped() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    let set = sandbox
        .posixage(["set", "x"])
        .in_shell(r#"echo piped | "$@""#);
    let mut terminal = Terminal::start(set);
    terminal.answers("password", "the password");
    terminal.answers("repeat", "the password");
    terminal.wait().exits(0);
    let get = sandbox
        .posixage(["get", "x"])
        .env("POSIXAGE_PASSWORD", "the password")
        .run();
    assert_eq!(get.succeeds_silently().out(), "piped");
}

#[test]
fn without_a_terminal_a_password_is_an_error_and_no_hang() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    let before = Snapshot::of(&sandbox.store());
    sandbox
        .posixage(["set", "x"])
        .input("value")
        .run()
        .fails(5)
        .says(["password", "terminal"]);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    let set = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_PASSWORD", "password");
    set.input("value").run().succeeds();
    sandbox.run(["get", "x"]).fails(5).says(["password"]);
    // What takes no key goes on working.
    assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "x\n");
}

#[test]
fn a_value_is_printed_with_a_newline_on_a_terminal_only() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    sandbox.set("line", "value\n");
    for id in ["x", "line"] {
        let end = Terminal::start(sandbox.posixage(["get", id]))
            .wait()
            .exits(0);
        assert_eq!(end.screen, "value\r\n", "{id}");
    }
    assert_eq!(sandbox.get("x"), b"value");
    assert_eq!(sandbox.get("line"), b"value\n");
}

#[test]
fn a_tab_in_a_pasted_value_is_kept_or_refused_but_not_dropped() {
    let sandbox = Sandbox::new().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    for prompt in ["value of x", "repeat"] {
        terminal.wait_for_hidden(prompt);
        terminal.presses(b"left\tright\n");
    }
    if terminal.wait().status.success() {
        assert_eq!(sandbox.get("x"), b"left\tright");
    }
}

/// A shell puts the terminal back when what it runs has stopped, and does not hide it again for `fg`.
#[test]
fn a_hidden_prompt_is_not_left_by_ctrl_z_to_be_shown_after_fg() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    let bash = sandbox.client("bash").args(["--norc", "--noprofile", "-i"]);
    let mut terminal = Terminal::start(bash.env("PS1", "ready> "));
    terminal.wait_for("ready> ");
    terminal.types("posixage set x; echo ended $?");
    terminal.wait_for_hidden("value of x");
    terminal.presses(b"\x1a");
    terminal.wait_for("Ctrl-Z");
    terminal.wait_for("ended 1");
    terminal.wait_for("ready> ");
    terminal.types("exit");
    let end = terminal.wait();
    assert!(!end.screen.contains("Stopped"), "{end:?}");
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn a_prompt_stopped_from_outside_is_hidden_when_it_continues() {
    let sandbox = Sandbox::new().initialised();
    let bash = sandbox.client("bash").args(["--norc", "--noprofile", "-i"]);
    let mut terminal = Terminal::start(bash.env("PS1", "ready> "));
    terminal.wait_for("ready> ");
    let pid = sandbox.path().join("pid");
    let script = format!(
        "echo $$ >{}; exec posixage set x # a comment",
        pid.display()
    );
    terminal.types(&format!("sh -c '{script}'"));
    terminal.wait_for_hidden("value of x");
    let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    terminal.wait_for("Stopped");
    terminal.wait_for("ready> ");
    terminal.types("fg");
    // The shell's, before it lets the process go on.
    terminal.wait_for("a comment");
    terminal.wait_for_hidden("'");
    terminal.types("canary");
    terminal.answers("repeat", "canary");
    terminal.wait_for("ready> ");
    terminal.types("exit");
    let end = terminal.wait();
    assert!(!end.screen.contains("canary"), "{end:?}");
    assert_eq!(sandbox.get("x"), b"canary");
}
