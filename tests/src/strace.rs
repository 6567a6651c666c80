//! Programs under strace(1): every system call of theirs recorded, or one of them tampered with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::{Output, Program, Sandbox, calls::Call, tools};

/// How strace marks a call that it has tampered with.
const INJECTED: &str = "(INJECTED)";

/// The program with these expressions for `strace -e`, such as `inject=fsync:error=EIO:when=2`.
/// Nothing is written but what the program writes. Ends as the program ends.
pub fn tampered(program: Program, expressions: &[String]) -> Program {
    let strace = tools::need("strace", "strace").display().to_string();
    let mut front = vec![
        strace,
        "-f".into(),
        "-qq".into(),
        "-o".into(),
        "/dev/null".into(),
    ];
    for expression in expressions {
        front.extend(["-e".into(), expression.clone()]);
    }
    program.behind(front)
}

/// Runs the program with these expressions; whether any call was tampered with.
///
/// # Panics
/// strace fails.
#[must_use]
pub fn tampered_once(
    sandbox: &Sandbox,
    program: Program,
    expressions: &[String],
) -> (Output, bool) {
    let strace = tools::need("strace", "strace").display().to_string();
    let file = tempfile::NamedTempFile::new_in(sandbox.path()).expect("a temporary file");
    let output = file.path().display().to_string();
    let mut front = vec![strace, "-f".into(), "-qq".into(), "-o".into(), output];
    for expression in expressions {
        front.extend(["-e".into(), expression.clone()]);
    }
    let output = program.behind(front).run();
    let trace = fs::read(file.path()).expect("what strace wrote");
    let reached = String::from_utf8_lossy(&trace).contains(INJECTED);
    (output, reached)
}

/// The calls of the one thread that touches files, in order, with all they wrote. Those that name
/// no file and no descriptor are left out.
///
/// # Panics
/// The program fails, or a second thread touches files.
#[must_use]
pub fn record(sandbox: &Sandbox, program: Program, expressions: &[String]) -> Vec<Call> {
    let strace = tools::need("strace", "strace").display().to_string();
    let dir = tempfile::tempdir_in(sandbox.path()).expect("a temporary directory");
    let output = dir.path().join("calls").display().to_string();
    let mut front: Vec<String> = [&strace, "-ff", "-qq", "-xx", "-s", "1000000", "-o", &output]
        .map(String::from)
        .into();
    front.extend(["-e".into(), "trace=%file,%desc,exit_group".into()]);
    for expression in expressions {
        front.extend(["-e".into(), expression.clone()]);
    }
    program.behind(front).run().succeeds();
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
    main.expect("the program's first thread")
}

/// Which system calls a program makes, and how many of each before it first names `path`.
///
/// # Panics
/// The program fails.
#[must_use]
pub fn census(sandbox: &Sandbox, program: Program, path: &str) -> BTreeMap<String, usize> {
    let strace = tools::need("strace", "strace").display().to_string();
    let dir = tempfile::tempdir_in(sandbox.path()).expect("a temporary directory");
    let output = dir.path().join("calls");
    let front = [
        &strace,
        "-f",
        "-qq",
        "-s",
        "4096",
        "-o",
        &output.display().to_string(),
    ]
    .map(String::from);
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
