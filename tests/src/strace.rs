//! Programs under strace(1): every system call of theirs recorded, or one of them tampered with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rustix::process::Signal;

use crate::{Output, Program, Sandbox, calls::Call, tools};

/// Runs the program with these expressions for `strace -e`, such as `inject=fsync:error=EIO:when=2`.
/// Nothing is stopped but the calls that they name. Ends as the program ends; the second text is
/// these calls, with the paths of descriptors.
///
/// # Panics
/// strace cannot be run.
#[must_use]
pub fn tampered(sandbox: &Sandbox, program: Program, expressions: &[String]) -> (Output, String) {
    let named = |expression: &String| {
        let name = expression.strip_prefix("inject=")?.split(':').next()?;
        Some(name.to_owned())
    };
    let named: BTreeSet<String> = expressions.iter().filter_map(named).collect();
    let named: Vec<String> = named.into_iter().collect();
    let file = tempfile::NamedTempFile::new_in(sandbox.path()).expect("a temporary file");
    let mut front = strace(&["-f", "-qq", "-y", "-o"]);
    front.push(file.path().display().to_string());
    // Five times as fast; but a signal that is injected is lost then.
    if !expressions.iter().any(|e| e.contains(":signal=")) {
        front.push("--seccomp-bpf".into());
    }
    front.extend(["-e".into(), format!("trace={}", named.join(","))]);
    front.extend(expressions.iter().flat_map(|e| ["-e".into(), e.clone()]));
    let output = program.behind(front).run();
    let trace = fs::read(file.path()).expect("what strace wrote");
    (output, String::from_utf8_lossy(&trace).into_owned())
}

/// Runs the program; the text is its calls of these names, such as `openat,mkdirat`, a line each.
///
/// # Panics
/// strace cannot be run.
#[must_use]
pub fn calls(sandbox: &Sandbox, program: Program, names: &str) -> (Output, String) {
    let file = tempfile::NamedTempFile::new_in(sandbox.path()).expect("a temporary file");
    let path = file.path().display().to_string();
    let mut front = strace(&["-f", "-qq", "--seccomp-bpf", "-s", "4096", "-o", &path]);
    front.extend(["-e".into(), format!("trace={names}")]);
    let output = program.behind(front).run();
    let trace = fs::read(file.path()).expect("what strace wrote");
    (output, String::from_utf8_lossy(&trace).into_owned())
}

/// How strace marks a call that it has tampered with.
pub const INJECTED: &str = "(INJECTED)";

fn strace(options: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    if !tools::is_root() {
        // Only root can trace posixage. This user is root of its own namespace.
        words.push(tools::need("unshare", "util-linux").display().to_string());
        words.extend(["--user", "--map-root-user"].map(String::from));
    }
    // A shell has started this in the background, perhaps, with Ctrl-C ignored.
    words.push(tools::need("env", "coreutils").display().to_string());
    words.push("--default-signal=INT".into());
    words.push(tools::need("strace", "strace").display().to_string());
    words.extend(options.iter().map(|option| String::from(*option)));
    words
}

/// The calls of the one thread that touches files, in order, with all they wrote. Those that name
/// no file and no descriptor are left out.
///
/// # Panics
/// The program fails, or a second thread touches files.
#[must_use]
pub fn record(sandbox: &Sandbox, program: Program, expressions: &[String]) -> Vec<Call> {
    let (calls, killed) = record_until(sandbox, program, expressions);
    assert!(!killed, "the program was killed");
    calls
}

/// The same of a program that may be killed by one of the expressions; whether it was.
///
/// # Panics
/// The program fails in another way, or a second thread touches files.
#[must_use]
pub fn record_until(
    sandbox: &Sandbox,
    program: Program,
    expressions: &[String],
) -> (Vec<Call>, bool) {
    let dir = tempfile::tempdir_in(sandbox.path()).expect("a temporary directory");
    let output = dir.path().join("calls").display().to_string();
    let mut front = strace(&["-ff", "-qq", "-xx", "-s", "1000000", "-o", &output]);
    front.extend(["-e".into(), "trace=%file,%desc,exit_group".into()]);
    front.extend(expressions.iter().flat_map(|e| ["-e".into(), e.clone()]));
    let output = program.behind(front).run();
    let killed = output.signal().is_some();
    if !killed {
        output.succeeds();
    }
    let threads = fs::read_dir(dir.path()).expect("what strace wrote");
    let mut main = None;
    for thread in threads {
        let text = fs::read_to_string(thread.expect("an entry").path()).expect("text");
        let calls: Vec<Call> = text.lines().filter_map(Call::parse).collect();
        if calls.iter().any(|call| call.name == "execve") {
            main = Some(calls);
        } else {
            let files = calls.iter().find(|call| call.name != "mmap");
            assert_eq!(files, None, "another thread touches files");
        }
    }
    (main.expect("the program's first thread"), killed)
}

/// What strace writes when an injected SIGSTOP has stopped a program.
pub(crate) const STOPPED: &str = "--- stopped by SIGSTOP ---";

/// What goes before a program to stop it instead of making its last system call.
pub(crate) fn stopping_at_exit() -> Vec<String> {
    let inject = "inject=exit_group:retval=0:signal=STOP";
    strace(&["-qq", "-e", "trace=exit_group", "-e", inject])
}

/// Runs a program that reads no more than a pipe holds, and stops it after each of its calls that
/// name a file or a descriptor: `stands` is given what strace wrote so far, as text.
///
/// # Panics
/// strace cannot be run.
pub fn stopped_at_each_call(
    program: Program,
    expressions: &[String],
    mut stands: impl FnMut(&str),
) -> Output {
    // The first thread only: no other touches files, and all of them stop.
    let mut front = strace(&["-qq", "-e", "trace=%file,%desc"]);
    front.extend(["-e", "inject=%file,%desc:signal=STOP"].map(String::from));
    // A poll that a signal interrupts starts again, and would be stopped for ever. It changes nothing.
    front.extend(["-e", "inject=ppoll:delay_enter=1"].map(String::from));
    // Behind it: of two expressions for one call the later holds.
    let also = |e: &String| ["-e".into(), format!("{e}:signal=STOP")];
    front.extend(expressions.iter().flat_map(also));
    let running = program.behind(front).start_with_input();
    let mut at = 0;
    while let Some(next) = running.find_in_stderr(STOPPED, at) {
        at = next;
        stands(&running.stderr_so_far());
        running.signal_all(Signal::CONT);
    }
    running.end()
}

/// Which system calls a program makes under these expressions, and how many of each before it first
/// names `path`.
///
/// # Panics
/// The program fails.
#[must_use]
pub fn census(
    sandbox: &Sandbox,
    program: Program,
    expressions: &[&str],
    path: &str,
) -> BTreeMap<String, usize> {
    let dir = tempfile::tempdir_in(sandbox.path()).expect("a temporary directory");
    let output = dir.path().join("calls").display().to_string();
    let mut front = strace(&["-f", "-qq", "-s", "4096", "-o", &output]);
    front.extend(
        expressions
            .iter()
            .flat_map(|e| ["-e".into(), String::from(*e)]),
    );
    program.behind(front).run().succeeds();
    let text = fs::read(&output).expect("what strace wrote");
    let text = String::from_utf8_lossy(&text);
    let mut before = BTreeMap::new();
    let mut all = BTreeSet::new();
    let mut reached = false;
    for line in text.lines() {
        // PID NAME(…
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        let name = name.rsplit(' ').next().unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        // The program's own path, and its arguments, name it too.
        reached = reached || (name != "execve" && rest.contains(path));
        all.insert(name.to_owned());
        if !reached {
            *before.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    assert!(reached, "{path} is never named");
    all.into_iter()
        .map(|name| {
            let count = before.get(&name).copied().unwrap_or(0);
            (name, count)
        })
        .collect()
}
