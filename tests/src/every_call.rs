//! Something bad at every system call of an operation, in turn.

use std::collections::BTreeMap;

use crate::{
    Output,
    marked::Mark,
    operation::Operation,
    strace,
    subject::{State, Subject},
    tree::Snapshot,
};

/// A signal that ends a process: its name and its number.
pub type Deadly = (&'static str, i32);

/// Comes before the call.
const KILL: Deadly = ("KILL", 9);

/// Comes after the call, as Ctrl-C does.
pub const INT: Deadly = ("INT", 2);

/// The same, as a service manager sends it.
pub const TERM: Deadly = ("TERM", 15);

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
    survives_signals(operation, KILL, tampering)
}

/// The same by another signal.
///
/// # Panics
/// As [`survives_kills`].
pub fn survives_signals(operation: Operation, signal: Deadly, tampering: &[&str]) -> Deaths {
    let deaths = killed(&Subject::new(), operation, signal, tampering);
    eprintln!("{operation:?}, SIG{}: {deaths:?}", signal.0);
    assert!(
        deaths.count > 50 && deaths.before > 0 && deaths.after > 0,
        "{deaths:?} are not all of them"
    );
    deaths
}

fn killed(
    subject: &Subject,
    operation: Operation,
    (signal, number): Deadly,
    tampering: &[&str],
) -> Deaths {
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
            let beside = subject.beside();
            let output = run(
                subject,
                operation,
                mark,
                tampering,
                &format!("{call}:signal={signal}:when={nth}"),
            )
            .0;
            let undisturbed = output.status.success();
            assert!(undisturbed || output.signal() == Some(number), "{output:?}");
            let set_aside = is_set_aside(subject);
            let allowed = match undisturbed {
                true => vec![after],
                false => vec![before, after],
            };
            let state = subject.survives(&allowed).and_then(|state| {
                written(subject, operation, beside?, state, after).map(|_| state)
            });
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

/// How many secrets the operation has written. Those beside one that is written alone are as they
/// were; of many the first are written, whole, and the others as they were.
fn written(
    subject: &Subject,
    operation: Operation,
    before: [State; 2],
    state: State,
    after: State,
) -> Result<usize, String> {
    let [first, last] = subject.beside()?;
    let is_new = |old: State, found: State| match found {
        _ if found == old => Ok(false),
        _ if found == after && operation == Operation::Many => Ok(true),
        _ => Err(format!("found {found:?} beside it, where {old:?} was")),
    };
    let new = [
        is_new(before[0], first)?,
        state == after,
        is_new(before[1], last)?,
    ];
    if operation == Operation::Many && !new.is_sorted_by(|a, b| a >= b) {
        return Err(format!("written out of order: {new:?}"));
    }
    Ok(new.into_iter().filter(|new| *new).count())
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
    failed(&Subject::new(), operation, tampering).assert(&format!("{operation:?}"));
}

/// The same for a command that reads: it says what it says undisturbed, and succeeds; or it fails
/// with an error that names the step and the path. It never says that something is not there, and
/// changes nothing.
///
/// # Panics
/// Something else happens, or there were few failures.
pub fn reads_through_failures(args: &[&str]) {
    let subject = Subject::new();
    subject.put(Some(1));
    let sandbox = subject.sandbox();
    let store = subject.store().display().to_string();
    let undisturbed = sandbox.run(args).succeeds_silently();
    let before = Snapshot::of(&subject.store());
    let census = strace::census(sandbox, sandbox.posixage(args), &[], &store);
    let survey = in_turn(&census, &[], |call, error, injection| {
        let expressions = [format!("inject={injection}")];
        let (output, trace) = strace::tampered(sandbox, sandbox.posixage(args), &expressions);
        let judged = match output.status.success() {
            true if output.stdout == undisturbed.stdout => Ok(()),
            true => Err(format!("says {:?}", output.out())),
            false => is_explained(&subject, &output, call, error),
        };
        let judged = judged.and_then(|()| match Snapshot::of(&subject.store()) == before {
            true => Ok(()),
            false => Err("changed the store".into()),
        });
        (judged, trace)
    });
    survey.assert(&format!("{args:?}"));
}

impl Survey {
    fn assert(&self, what: &str) {
        let Self { troubles, failures } = self;
        eprintln!("{what}: {failures} failures");
        assert!(troubles.is_empty(), "{what}: {troubles:#?}");
        assert!(*failures > 50, "{failures} failures are not all of them");
    }
}

fn failed(subject: &Subject, operation: Operation, tampering: &[&str]) -> Survey {
    let mut mark = 2;
    subject.put(operation.before(mark));
    let store = subject.store().display().to_string();
    let program = operation.program(subject, mark);
    let census = strace::census(subject.sandbox(), program, tampering, &store);
    in_turn(&census, tampering, |call, error, injection| {
        mark += 2;
        let states = [operation.before(mark), operation.after(mark)];
        subject.put(states[0]);
        let beside = subject.beside();
        let (output, trace) = run(subject, operation, mark, tampering, injection);
        let judged = judge(subject, operation, states, &output, call, error).and_then(|state| {
            let written = written(subject, operation, beside?, state, states[1])?;
            let said = format!("; secrets written before it: {written}\n");
            let as_said = match output.status.success() {
                true => operation != Operation::Many || written == 3,
                false => written == 0 || output.err().ends_with(&said),
            };
            match as_said {
                true => Ok(()),
                false => Err(format!("{written} written: {}", output.err())),
            }
        });
        let judged = judged.and_then(|()| never_again(&trace, error));
        (judged, trace)
    })
}

/// What did not hold, and how many failures there were.
#[derive(Default)]
struct Survey {
    troubles: Vec<String>,
    failures: usize,
}

/// Lets each call fail in each way that it can, from where the program first names the store, until
/// there are no more. `attempt` runs it with that failure and judges what came of it.
fn in_turn(
    census: &BTreeMap<String, usize>,
    tampering: &[&str],
    mut attempt: impl FnMut(&str, &str, &str) -> (Result<(), String>, String),
) -> Survey {
    let mut survey = Survey::default();
    for (call, errors) in FAILURES {
        let Some(before_the_store) = census.get(call) else {
            continue;
        };
        if is_tampered(tampering, call) {
            continue;
        }
        for error in errors {
            for nth in before_the_store + 1.. {
                let injection = format!("{call}:error={error}:when={nth}");
                let (judged, trace) = attempt(call, error, &injection);
                if !trace.lines().any(|line| is_injected(line, call)) {
                    break;
                }
                survey.failures += 1;
                if let Err(trouble) = judged {
                    survey.troubles.push(format!("{injection}: {trouble}"));
                }
            }
        }
    }
    survey
}

fn is_injected(line: &str, call: &str) -> bool {
    line.contains(strace::INJECTED) && line.contains(&format!(" {call}("))
}

fn judge(
    subject: &Subject,
    operation: Operation,
    [before, after]: [State; 2],
    output: &Output,
    call: &str,
    error: &str,
) -> Result<State, String> {
    let succeeded = output.status.success();
    let allowed = match (succeeded, operation) {
        (true, _) => vec![after],
        // It says how many it has written.
        (false, Operation::Many) => vec![before, after],
        // What failed did not happen: not the old value is an error that came too late.
        (false, _) => vec![before],
    };
    let state = subject.survives(&allowed)?;
    if !succeeded {
        is_explained(subject, output, call, error)?;
    }
    Ok(state)
}

/// The error names the step and the path, and the call was neither repeated nor ignored.
fn is_explained(subject: &Subject, output: &Output, call: &str, error: &str) -> Result<(), String> {
    if error == "EINTR" || HARMLESS.contains(&call) {
        return Err(format!("gives up: {}", output.err()));
    }
    let err = output.err();
    let path = subject.sandbox().path().to_string_lossy();
    let named = err.contains(&*path) || err.contains("standard ");
    let step = err.contains("cannot ");
    // To a check what cannot be read is one more thing that is wrong.
    let found = |line: &str| line.contains(&*path) && line.contains(": cannot be read: ");
    let out = output.out();
    let is_found = err.is_empty() && !out.is_empty() && out.lines().all(found);
    let explained = match output.status.code() {
        Some(1) => named && step,
        Some(7) => is_found,
        _ => false,
    };
    match explained {
        true => Ok(()),
        false => Err(format!("{}: {out}{err}", output.status)),
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
