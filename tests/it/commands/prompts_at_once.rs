//! Claim: of several programs that ask on one terminal each gets its own answer, none is shown, and the
//! terminal is left as it was.

use std::{fs, path::PathBuf};

use posixage_tests::{Sandbox, Terminal, git_credential, keys};
use rustix::termios::{InputModes, LocalModes, SpecialCodeIndex};

/// A sandbox whose secrets take a passphrase, and the key file.
fn locked() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let key = keys::locked(&sandbox, "ssh-ed25519-locked");
    let recipient = keys::recipient("ssh-ed25519-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    sandbox.set("x", "value of x");
    (sandbox, key.to_str().expect("UTF-8").to_owned())
}

fn modes(terminal: &Terminal) -> (InputModes, LocalModes, u8) {
    let modes = terminal.modes();
    let suspend = modes.special_codes[SpecialCodeIndex::VSUSP];
    (modes.input_modes, modes.local_modes, suspend)
}

/// A fifo in the home, for a script to wait at.
fn gate(sandbox: &Sandbox) -> PathBuf {
    sandbox.program("mkfifo").arg("gate").run().succeeds();
    sandbox.home().join("gate")
}

#[test]
fn prompts_of_several_processes_take_turns() {
    let (sandbox, key) = locked();
    let gate = gate(&sandbox);
    let script = r#"read go; "$@" >"$HOME/1" & read -r line <"$HOME/gate";
        for n in 2 3 4; do "$@" >"$HOME/$n" & done; wait; echo ended; read go"#;
    let get = sandbox.posixage(["get", "x", "-i", &key]).in_shell(script);
    let mut terminal = Terminal::start(get);
    let before = modes(&terminal);
    terminal.types("go");
    terminal.wait_for_hidden("passphrase for");
    fs::write(&gate, "\n").unwrap();
    for _ in 2..=4 {
        terminal.wait_for("waiting for the prompt of process");
    }
    for n in 1..=4 {
        if n > 1 {
            terminal.wait_for_hidden("passphrase for");
        }
        // In two halves: each byte must come to the same process.
        let passphrase = keys::passphrase();
        let (start, end) = passphrase.split_at(3);
        terminal.presses(start.as_bytes());
        terminal.types(end);
    }
    terminal.wait_for("ended");
    assert_eq!(modes(&terminal), before);
    terminal.types("done");
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains(&keys::passphrase()[..3]), "{end:?}");
    for n in 1..=4 {
        let value = fs::read_to_string(sandbox.home().join(n.to_string())).unwrap();
        assert_eq!(value, "value of x", "{n}: {end:?}");
    }
}

/// As `git clone --recurse-submodules -j4` has it: several helpers in one process group.
#[test]
fn helpers_of_git_take_turns() {
    let (sandbox, key) = locked();
    let gate = gate(&sandbox);
    let helper = |operation: &str| {
        let helper = sandbox.helper("git-credential-posixage");
        helper.arg(operation).env("POSIXAGE_IDENTITY", &key)
    };
    let login = "protocol=https\nhost=h\nusername=zoe\npassword=p\n";
    helper("store").input(login).run().succeeds_silently();
    let script = r#"read go; for n in 1 2 3; do
            printf 'protocol=https\nhost=h\n' | "$@" >"$HOME/$n" &
            [ $n != 1 ] || read -r line <"$HOME/gate"
        done; wait; echo ended; read go"#;
    let mut terminal = Terminal::start(helper("get").in_shell(script));
    terminal.types("go");
    terminal.wait_for_hidden("passphrase for");
    fs::write(&gate, "\n").unwrap();
    for _ in 2..=3 {
        terminal.wait_for("waiting for the prompt of process");
    }
    terminal.types(&keys::passphrase());
    for _ in 2..=3 {
        terminal.answers("passphrase for", &keys::passphrase());
    }
    terminal.wait_for("ended");
    terminal.types("done");
    let end = terminal.wait().exits(0);
    for n in 1..=3 {
        let answer = fs::read_to_string(sandbox.home().join(n.to_string())).unwrap();
        assert!(answer.contains("password=p\n"), "{n}: {answer}: {end:?}");
    }
}

#[test]
fn a_value_is_typed_twice_without_a_prompt_in_between() {
    let sandbox = Sandbox::new().initialised();
    let gate = gate(&sandbox);
    let script = r#""$@" a </dev/tty & read -r line <"$HOME/gate"; "$@" b </dev/tty & wait"#;
    let mut terminal = Terminal::start(sandbox.posixage(["set"]).in_shell(script));
    terminal.wait_for_hidden("value of a");
    fs::write(&gate, "\n").unwrap();
    terminal.wait_for("waiting for the prompt of process");
    for id in ["a", "b"] {
        if id == "b" {
            terminal.wait_for_hidden("value of b");
        }
        terminal.types(id);
        terminal.answers("repeat", id);
    }
    terminal.wait().exits(0);
    assert_eq!(sandbox.get("a"), b"a");
    assert_eq!(sandbox.get("b"), b"b");
}

#[test]
fn quiet_says_nothing_of_the_wait() {
    let (sandbox, key) = locked();
    let script = r#""$@" & "$@" & wait"#;
    let get = sandbox
        .posixage(["-q", "get", "x", "-i", &key])
        .in_shell(script);
    let mut terminal = Terminal::start(get);
    for _ in 0..2 {
        terminal.answers("passphrase for", &keys::passphrase());
    }
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains("waiting"), "{end:?}");
}

#[test]
fn a_prompt_that_was_killed_is_cleared_up_by_the_next() {
    let (sandbox, key) = locked();
    let script = r#"read go; "$@" & first=$!; read -r line <"$HOME/gate"; kill -9 $first; wait;
        "$@"; echo ended; read go"#;
    let gate = gate(&sandbox);
    let get = sandbox.posixage(["get", "x", "-i", &key]).in_shell(script);
    let mut terminal = Terminal::start(get);
    let before = modes(&terminal);
    terminal.types("go");
    terminal.wait_for_hidden("passphrase for");
    fs::write(&gate, "\n").unwrap();
    terminal.answers("passphrase for", &keys::passphrase());
    terminal.wait_for("ended");
    assert_eq!(modes(&terminal), before);
    terminal.types("done");
    terminal.wait().exits(0);
}

#[test]
fn echo_turned_on_by_another_program_is_turned_off_again() {
    let (sandbox, key) = locked();
    let script = r#"read go; stty -echo; "$@" & read -r line <"$HOME/gate"; stty echo icanon; wait;
        echo ended; read go"#;
    let gate = gate(&sandbox);
    let get = sandbox.posixage(["get", "x", "-i", &key]).in_shell(script);
    let mut terminal = Terminal::start(get);
    terminal.types("go");
    terminal.wait_for_hidden("passphrase for");
    fs::write(&gate, "\n").unwrap();
    terminal.wait_for_echo(true);
    terminal.wait_for_echo(false);
    terminal.types(&keys::passphrase());
    terminal.wait_for("ended");
    // Not as it was at the beginning of the prompt: since then it was put back.
    assert!(terminal.echoes());
    terminal.types("done");
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains(&keys::passphrase()), "{end:?}");
}

/// `git credential fill` of a host that no helper knows: git asks for the password itself.
fn with_git(script: &str) -> (Sandbox, PathBuf, Terminal) {
    let (sandbox, key) = locked();
    sandbox.file(
        "home/host",
        "protocol=https\nhost=h.example\nusername=zoe\n\n",
    );
    let gate = gate(&sandbox);
    let git = git_credential::unattended_git(&sandbox, &[]).args(["credential", "fill"]);
    let git = git.env("GIT_TERMINAL_PROMPT", "1").env("KEY", key);
    (sandbox, gate, Terminal::start(git.in_shell(script)))
}

#[test]
fn a_prompt_waits_for_one_of_git() {
    let (sandbox, gate, mut terminal) = with_git(
        r#"read go; "$@" <"$HOME/host" >"$HOME/git" & read -r line <"$HOME/gate";
        posixage get x -i "$KEY" >"$HOME/x"; wait; echo ended; read go"#,
    );
    let before = modes(&terminal);
    terminal.types("go");
    terminal.wait_for_hidden("Password for");
    fs::write(&gate, "\n").unwrap();
    terminal.wait_for("waiting for the prompt of git");
    terminal.types("for git");
    terminal.answers("passphrase for", &keys::passphrase());
    terminal.wait_for("ended");
    assert_eq!(modes(&terminal), before);
    terminal.types("done");
    terminal.wait().exits(0);
    let read = |name: &str| fs::read_to_string(sandbox.home().join(name)).unwrap();
    assert_eq!(read("x"), "value of x");
    assert!(
        read("git").contains("password=for git\n"),
        "{}",
        read("git")
    );
}

#[test]
fn ctrl_c_at_a_prompt_and_one_of_git_leaves_a_sane_terminal() {
    let (_sandbox, gate, mut terminal) = with_git(
        r#"trap : INT; read go; env --default-signal=INT posixage get x -i "$KEY" & read -r line <"$HOME/gate";
        "$@" <"$HOME/host"; wait; wait; echo ended; read go"#,
    );
    let before = modes(&terminal);
    terminal.types("go");
    terminal.wait_for_hidden("passphrase for");
    fs::write(&gate, "\n").unwrap();
    terminal.wait_for("Password for");
    terminal.interrupts();
    terminal.wait_for("ended");
    assert_eq!(modes(&terminal), before);
    terminal.types("done");
    terminal.wait();
}
