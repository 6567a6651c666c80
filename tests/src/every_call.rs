//! Something bad at every system call of an operation, in turn.

use crate::{
    Output,
    marked::Mark,
    operation::Operation,
    strace,
    subject::{State, Subject},
};

const SIGKILL: i32 = 9;

/// What the deaths before every call of an operation left.
#[derive(Debug, Default)]
pub struct Deaths {
    /// How many there were.
    pub count: usize,
    /// How many left the old value.
    pub before: usize,
    /// How many left the new one.
    pub after: usize,
    /// How many left the old value set aside, for want of an exchange.
    pub set_aside: usize,
}

/// Kills the operation before its Nth call of each kind, for all N, until that is not reached: those
/// from where it first names the store, or, in the long form, every one. After each death everything
/// must hold that [`Subject::survives`] asserts.
///
/// # Panics
/// It does not; or there were few deaths, or none on one side of the commit.
pub fn survives_kills(operation: Operation, tampering: &[&str]) -> Deaths {
    let deaths = killed(&Subject::new(), operation, tampering);
    eprintln!("{operation:?}: {deaths:?}");
    assert!(
        deaths.count > 50 && deaths.before > 0 && deaths.after > 0,
        "{deaths:?} are not all of them"
    );
    deaths
}

fn killed(subject: &Subject, operation: Operation, tampering: &[&str]) -> Deaths {
    let mut mark = 2;
    subject.put(operation.before(mark));
    let store = subject.store().display().to_string();
    let program = operation.program(subject, mark);
    let mut deaths = Deaths::default();
    for (call, before_the_store) in strace::census(subject.sandbox(), program, tampering, &store) {
        // One expression for a call would hide the other. What is refused has no effect, so that
        // the deaths before its neighbours are the same.
        if is_tampered(tampering, &call) {
            continue;
        }
        // Before the program names the store, it cannot have done anything to it.
        let first = match crate::long() {
            true => 1,
            false => before_the_store + 1,
        };
        for nth in first.. {
            mark += 2;
            let [before, after] = [operation.before(mark), operation.after(mark)];
            subject.put(before);
            let output = run(
                subject,
                operation,
                mark,
                tampering,
                &format!("{call}:signal=KILL:when={nth}"),
            )
            .0;
            let undisturbed = output.status.success();
            assert!(
                undisturbed || output.signal() == Some(SIGKILL),
                "{output:?}"
            );
            let set_aside = is_set_aside(subject);
            let allowed = match undisturbed {
                true => vec![after],
                false => vec![before, after],
            };
            let state = subject.survives(&allowed);
            let state = state.unwrap_or_else(|e| panic!("{operation:?}, {call} {nth}: {e}"));
            if undisturbed {
                break;
            }
            deaths.count += 1;
            deaths.before += usize::from(state == before);
            deaths.after += usize::from(state == after);
            deaths.set_aside += usize::from(set_aside);
        }
    }
    deaths
}

fn is_tampered(tampering: &[&str], call: &str) -> bool {
    let expression = format!("inject={call}:");
    tampering.iter().any(|t| t.starts_with(&expression))
}

fn is_set_aside(subject: &Subject) -> bool {
    let name = subject.id().directory_name();
    let root = subject.store();
    !root.join(&name).exists() && root.join(".posixage.old").join(name).exists()
}

fn run(
    subject: &Subject,
    operation: Operation,
    mark: Mark,
    tampering: &[&str],
    injection: &str,
) -> (Output, String) {
    let mut expressions: Vec<String> = tampering.iter().map(|t| String::from(*t)).collect();
    expressions.push(format!("inject={injection}"));
    strace::tampered(
        subject.sandbox(),
        operation.program(subject, mark),
        &expressions,
    )
}

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
    // It knows no error of a disk. Where it is not there at all, see `limits`.
    ("getrandom", &["EINTR"]),
    ("clone3", &["EAGAIN"]),
];

/// Calls after which there is nothing left to be told: the kernel has closed the descriptor, and what
/// a heartbeat that does not start means is a warning.
const HARMLESS: [&str; 2] = ["close", "clone3"];

/// Lets each call fail in each way that it can: the operation succeeds all the same, or its error names
/// the step and the path and the old value is there. Nothing is left after the next write.
///
/// # Panics
/// Something else happens, or there were few failures.
pub fn survives_failures(operation: Operation, tampering: &[&str]) {
    let (troubles, failures) = failed(&Subject::new(), operation, tampering);
    eprintln!("{operation:?}: {failures} failures");
    assert!(troubles.is_empty(), "{troubles:#?}");
    assert!(failures > 50, "{failures} failures are not all of them");
}

/// What did not hold, and how many failures there were.
fn failed(subject: &Subject, operation: Operation, tampering: &[&str]) -> (Vec<String>, usize) {
    let mut mark = 2;
    subject.put(operation.before(mark));
    let store = subject.store().display().to_string();
    let program = operation.program(subject, mark);
    let census = strace::census(subject.sandbox(), program, tampering, &store);
    let mut failures = 0;
    let mut troubles = Vec::new();
    for (call, errors) in FAILURES {
        let Some(before_the_store) = census.get(call) else {
            continue;
        };
        if is_tampered(tampering, call) {
            continue;
        }
        for error in errors {
            for nth in before_the_store + 1.. {
                mark += 2;
                let states = [operation.before(mark), operation.after(mark)];
                subject.put(states[0]);
                let injection = format!("{call}:error={error}:when={nth}");
                let (output, trace) = run(subject, operation, mark, tampering, &injection);
                if !trace.lines().any(|line| is_injected(line, call)) {
                    // Not reached: there are fewer.
                    break;
                }
                failures += 1;
                let judged = judge(subject, states, &output, call, error)
                    .and_then(|()| never_again(&trace, error));
                if let Err(trouble) = judged {
                    troubles.push(format!(
                        "{operation:?}: {call} {nth} fails with {error}: {trouble}"
                    ));
                }
            }
        }
    }
    (troubles, failures)
}

fn is_injected(line: &str, call: &str) -> bool {
    line.contains(strace::INJECTED) && line.contains(&format!(" {call}("))
}

fn judge(
    subject: &Subject,
    [before, after]: [State; 2],
    output: &Output,
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
    let syncs: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("sync("))
        .collect();
    let failed = syncs
        .iter()
        .position(|line| line.contains(strace::INJECTED));
    let Some(at) = failed.filter(|_| error != "EINTR") else {
        return Ok(());
    };
    let path = |line: &str| Some(line.split_once('<')?.1.split_once('>')?.0.to_owned());
    let failed = path(syncs[at]);
    match syncs[at + 1..].iter().any(|line| path(line) == failed) {
        true => Err(format!("fsync of {failed:?} was called again")),
        false => Ok(()),
    }
}
