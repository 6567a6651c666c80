//! Every system call that an operation makes on its files fails, in turn: the error names the step
//! and the path, the old value stays, and nothing is left after the next write.

use posixage_tests::{
    operation::Operation,
    strace,
    subject::{State, Subject},
};

/// The calls that can fail because of a disk, and those errors that they can give.
const FAILURES: [(&str, &[&str]); 22] = [
    (
        "openat",
        &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "EINTR"],
    ),
    ("mkdirat", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("mkdir", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("write", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"]),
    ("renameat2", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("renameat", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("unlinkat", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("fchmod", &["EIO", "EROFS"]),
    ("fchmodat", &["EIO", "EROFS"]),
    ("utimensat", &["EIO", "EROFS"]),
    ("flock", &["EIO", "ENOLCK", "EINTR"]),
    ("fcntl", &["EMFILE"]),
    ("fstat", &["EIO"]),
    ("newfstatat", &["EIO"]),
    ("statx", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("read", &["EIO", "EINTR"]),
    ("close", &["EIO", "EINTR"]),
    ("getrandom", &["EINTR"]),
    ("clone3", &["EAGAIN"]),
];

/// Calls after which there is nothing left to be told: the kernel has closed the descriptor, and what
/// a heartbeat that does not start means is a warning.
const HARMLESS: [&str; 2] = ["close", "clone3"];

struct Outcome {
    call: &'static str,
    error: &'static str,
    nth: usize,
    trouble: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            call,
            error,
            nth,
            trouble,
        } = self;
        write!(f, "{call} {nth} fails with {error}: {trouble}")
    }
}

fn fails_everywhere(operation: Operation, tampering: &[String]) {
    let subject = Subject::new();
    let mut mark = 2;
    subject.put(operation.before(mark));
    let store = subject.store().display().to_string();
    let census = strace::census(subject.sandbox(), operation.program(&subject, mark), &store);
    let mut failures = 0;
    let mut outcomes = Vec::new();
    for (call, errors) in FAILURES {
        let Some(before_the_store) = census.get(call) else {
            continue;
        };
        for error in errors {
            for nth in before_the_store + 1.. {
                mark += 2;
                let states = [operation.before(mark), operation.after(mark)];
                subject.put(states[0]);
                let mut tampering = tampering.to_vec();
                tampering.push(format!("inject={call}:error={error}:when={nth}"));
                let program = operation.program(&subject, mark);
                let (output, trace) = strace::tampered(subject.sandbox(), program, &tampering);
                // Not reached: there are fewer.
                if !trace.contains(strace::INJECTED) {
                    break;
                }
                failures += 1;
                let trouble = judge(&subject, states, &output, call, error)
                    .and_then(|()| never_again(&trace, error));
                if let Err(trouble) = trouble {
                    outcomes.push(
                        Outcome {
                            call,
                            error,
                            nth,
                            trouble,
                        }
                        .to_string(),
                    );
                }
            }
        }
    }
    eprintln!("{operation:?}: {failures} failures");
    assert!(outcomes.is_empty(), "{operation:?}: {outcomes:#?}");
}

fn judge(
    subject: &Subject,
    [before, after]: [State; 2],
    output: &posixage_tests::Output,
    call: &str,
    error: &str,
) -> Result<(), String> {
    let succeeded = output.status.success();
    // What failed did not happen: not the old value is an error that came too late.
    subject.survives(&[if succeeded { after } else { before }])?;
    if succeeded {
        return Ok(());
    }
    if error == "EINTR" || HARMLESS.contains(&call) {
        return Err(format!("gives up: {}", output.err()));
    }
    let err = output.err();
    let path = subject.sandbox().path().to_string_lossy();
    let named = err.contains(&*path) || err.contains("standard input");
    let step = err.contains("cannot ");
    match named && step && output.status.code() == Some(1) {
        true => Ok(()),
        false => Err(format!("{}: {err}", output.status)),
    }
}

/// The kernel reports a page that it could not write once; a second fsync would call it written.
fn never_again(trace: &str, error: &str) -> Result<(), String> {
    let Some((_, failed)) = trace.lines().find_map(|line| {
        let failed = line.contains(strace::INJECTED) && line.contains("sync(");
        (failed && error != "EINTR").then(|| line.split_once('<'))?
    }) else {
        return Ok(());
    };
    let path = failed.split('>').next().unwrap_or_default();
    let calls = trace
        .lines()
        .skip_while(|line| !line.contains(strace::INJECTED));
    match calls
        .filter(|line| line.contains(&format!("<{path}>")))
        .count()
    {
        1 => Ok(()),
        n => Err(format!("fsync of {path} was called {n} times")),
    }
}

#[test]
fn a_creation_in_which_a_call_fails_creates_nothing() {
    fails_everywhere(Operation::Create, &[]);
}

#[test]
fn an_overwrite_in_which_a_call_fails_leaves_the_old_value() {
    fails_everywhere(Operation::Overwrite, &[]);
}

#[test]
fn a_removal_in_which_a_call_fails_removes_nothing() {
    fails_everywhere(Operation::Delete, &[]);
}

#[test]
fn an_update_in_which_a_call_fails_leaves_the_old_value() {
    fails_everywhere(Operation::Update, &[]);
}
