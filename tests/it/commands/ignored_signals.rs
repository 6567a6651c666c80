//! Claim: the command of `posixage run` ignores the signals that its starter ignores.

use posixage_tests::{Sandbox, Terminal, ignored};
use rustix::process::Signal;

#[test]
fn ignored_signals_stay_ignored_after_a_prompt() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    let set = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_PASSWORD", "password");
    set.input("value").run().succeeds();
    let script = r#"trap '' HUP INT QUIT TERM XFSZ; exec "$@""#;
    let plain = sandbox.program("env").args(ignored::LOOK).in_shell(script);
    let plain = ignored::signals(&plain.run().succeeds_silently().out());
    let run = sandbox.posixage(["run", "--"]).args(ignored::LOOK);
    let mut terminal = Terminal::start(run.env("X", "se://x").in_shell(script));
    terminal.answers("password", "password");
    let end = terminal.wait().exits(0);
    assert_eq!(ignored::signals(&end.screen), plain);
}

#[test]
fn sigpipe_is_ignored_by_the_command_on_request() {
    let sandbox = Sandbox::new();
    let ignored = |front: &[&str]| {
        let run = sandbox.posixage(["run", "--"]).args(front);
        let run = run
            .args(ignored::LOOK)
            .in_shell(r#"trap '' PIPE; exec "$@""#);
        ignored::signals(&run.run().succeeds_silently().out())
    };
    let pipe = 1 << (Signal::PIPE.as_raw() - 1);
    assert_eq!(ignored(&[]) & pipe, 0);
    assert_eq!(ignored(&["env", "--ignore-signal=PIPE"]) & pipe, pipe);
}
