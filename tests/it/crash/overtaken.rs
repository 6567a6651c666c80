//! Claim: a writer that loses its lock, at whichever of its system calls, changes nothing from there
//! on: what the new holder wrote is there, and the next write leaves nothing else.
//!
//! Between the last look at the lock file and the rename behind it nothing can keep the rename from
//! being made. It is taken back, and the writer does not answer that all is well.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use posixage::{Id, lock::Mode};
use posixage_tests::{
    Output,
    marked::{self, Mark},
    operation::Operation,
    strace,
    subject::{Subject, next_write, put, read},
    tools,
};
use rustix::fs::{FlockOperation, flock};

/// A file system without `RENAME_EXCHANGE`.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL";

/// The overtaken writer's, and the other's.
const MARKS: [Mark; 2] = [12, 13];

/// Where a writer stands, by what strace has written of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// It has no exclusive lock yet, or none any more, or has not looked whether it is at the path.
    Free,
    /// It has just looked at the lock file.
    Looking,
    Locked,
}

#[expect(
    clippy::disallowed_methods,
    reason = "asks whether the exclusive lock is held"
)]
fn moment(subject: &Subject, calls: &str) -> Moment {
    let Ok(lock) = File::open(subject.store().join(".posixage.lock")) else {
        return Moment::Free;
    };
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return Moment::Free;
    }
    let calls: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
    let looks = |call: &str| call.contains("stat") && call.contains("\".posixage.lock\"");
    let locked = calls.iter().rposition(|call| call.starts_with("flock("));
    match calls.iter().rposition(|call| looks(call)) {
        Some(look) if look + 1 == calls.len() => Moment::Looking,
        Some(look) if locked.is_some_and(|locked| locked < look) => Moment::Locked,
        _ => Moment::Free,
    }
}

fn all(moments: &[Moment], wanted: Moment) -> Vec<usize> {
    let moments = moments.iter().enumerate();
    let wanted = moments.filter(|(_, moment)| **moment == wanted);
    wanted.map(|(nth, _)| nth).collect()
}

/// Whether the last call that strace has written of is a rename that was made.
fn has_renamed(calls: &str) -> bool {
    let last = calls.lines().rfind(|line| line.contains('('));
    last.is_some_and(|call| call.starts_with("rename") && call.ends_with(" = 0"))
}

/// Stops the writer at every call, and has it overtaken at the `nth`, if it has the lock there: how
/// many calls there are differs a little from run to run. The moments at which it stood.
fn overtake(operation: Operation, expressions: &[&str], nth: Option<usize>) -> Vec<Moment> {
    let [mark, other_mark] = MARKS;
    let subject = Subject::new();
    let ids: Vec<Id> = match operation {
        Operation::Many => [subject.id().clone()]
            .into_iter()
            .chain(marked::beside(subject.id()))
            .collect(),
        _ => vec![subject.id().clone()],
    };
    let other = subject.open();
    for id in &ids {
        put(&other, id, operation.before(mark));
    }
    // A handle that has cleared away, and does not again.
    next_write(&other).expect("a write");
    let expressions: Vec<String> = expressions.iter().map(|e| String::from(*e)).collect();
    let mut overtaken = false;
    // Whether it made its rename after that.
    let mut late = false;
    let mut moments = Vec::new();
    let output =
        strace::stopped_at_each_call(operation.program(&subject, mark), &expressions, |calls| {
            let moment = moment(&subject, calls);
            if Some(moments.len()) == nth && moment != Moment::Free {
                subject.take_the_lock();
                for id in &ids {
                    put(&other, id, Some(other_mark));
                }
                overtaken = true;
            }
            late |=
                overtaken && Some(moments.len()) == nth.map(|nth| nth + 1) && has_renamed(calls);
            moments.push(moment);
        });
    assert!(
        !late || output.status.code() != Some(0),
        "{operation:?}, call {nth:?}: {output:?}"
    );
    if let (Some(nth), true) = (nth, overtaken) {
        for id in &ids {
            let found = read(&subject.open(), id);
            let context = format!(
                "{operation:?}, {id}, call {nth} {:?}: {output:?}",
                moments[nth]
            );
            assert_eq!(found, Ok(Some(other_mark)), "{context}");
        }
        let survived = subject.survives(&[Some(other_mark)]);
        assert!(survived.is_ok(), "{operation:?}, call {nth}: {survived:?}");
    }
    moments
}

fn writes_nothing_more(operation: Operation, expressions: &[&str]) {
    if !tools::may_trace() {
        return tools::left_out("a writer that is overtaken at each call: it takes root's powers");
    }
    let moments = overtake(operation, expressions, None);
    let locked = all(&moments, Moment::Locked);
    let looking = all(&moments, Moment::Looking);
    assert!(
        locked.len() >= 3 && looking.len() >= 2,
        "{operation:?}: {moments:?}"
    );
    for nth in looking.into_iter().chain(locked) {
        overtake(operation, expressions, Some(nth));
    }
}

#[test]
fn an_overwrite_that_is_overtaken_writes_nothing_more() {
    writes_nothing_more(Operation::Overwrite, &[]);
}

#[test]
fn a_creation_that_is_overtaken_writes_nothing_more() {
    writes_nothing_more(Operation::Create, &[]);
}

#[test]
fn a_removal_that_is_overtaken_removes_nothing_more() {
    writes_nothing_more(Operation::Delete, &[]);
}

#[test]
fn an_update_that_is_overtaken_writes_nothing_more() {
    writes_nothing_more(Operation::Update, &[]);
}

#[test]
fn an_overtaken_set_many_writes_and_undoes_nothing_more() {
    writes_nothing_more(Operation::Many, &[]);
}

#[test]
fn an_overtaken_overwrite_in_two_renames_writes_nothing_more() {
    writes_nothing_more(Operation::Overwrite, &[NO_EXCHANGE]);
}

#[test]
fn an_overtaken_set_many_in_two_renames_writes_nothing_more() {
    writes_nothing_more(Operation::Many, &[NO_EXCHANGE]);
}

/// Whether a reader holds its lock, and is not only busy with that.
fn is_inside(calls: &str) -> bool {
    let calls = || calls.lines().filter(|line| line.contains('('));
    let locks = calls().filter(|call| call.starts_with("flock(")).count();
    locks % 2 == 1
        && calls()
            .next_back()
            .is_some_and(|call| !call.contains(".posixage.lock"))
}

/// Runs a reader for whose store `meanwhile` is done at each call at which it holds its
/// lock, one after the other; `behind` when it has asked for the lock again.
fn read_at_each_call(
    args: &[&str],
    meanwhile: impl Fn(&Subject),
    behind: impl Fn(&Subject),
) -> Vec<Output> {
    let mut outputs = Vec::new();
    for nth in 0.. {
        let subject = Subject::new();
        subject.put(Some(1));
        let (mut inside, mut locks) = (0, None);
        let args = args.iter().map(|arg| match *arg {
            "ID" => subject.id().as_str(),
            arg => arg,
        });
        let output = strace::stopped_at_each_call(subject.sandbox().posixage(args), &[], |calls| {
            let asked = calls.matches("flock(").count();
            if is_inside(calls) && locks.is_none_or(|before| before == asked) {
                if inside == nth {
                    meanwhile(&subject);
                    locks = Some(asked);
                }
                inside += 1;
            } else if locks.is_some_and(|before| before + 1 < asked) {
                behind(&subject);
                locks = None;
            }
        });
        if inside <= nth {
            break;
        }
        outputs.push(output);
    }
    assert!(outputs.len() >= 2, "{args:?}: {outputs:?}");
    outputs
}

const READERS: [&[&str]; 4] = [
    &["get", "ID"],
    &["get", "--metadata", "ID"],
    &["list", "--long"],
    &["verify", "--decrypt"],
];

#[test]
fn a_reader_that_is_overtaken_calls_no_whole_secret_damaged() {
    if !tools::may_trace() {
        return tools::left_out("a reader that is overtaken at each call: it takes root's powers");
    }
    for args in READERS {
        let overtake = |subject: &Subject| {
            let other = subject.open();
            subject.take_the_lock();
            put(&other, subject.id(), Some(2));
            // What was displaced is removed.
            next_write(&other).expect("a write");
        };
        for output in read_at_each_call(args, overtake, |_| {}) {
            assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        }
    }
}

/// As a reference process does that was overtaken and does not notice: it removes, and then writes.
#[test]
fn a_reader_looks_again_before_it_calls_a_secret_damaged() {
    if !tools::may_trace() {
        return tools::left_out("a reader beside a writer without lock: it takes root's powers");
    }
    let aside = |subject: &Subject| {
        let dir = subject.store().join(subject.id().directory_name());
        ["metadata.json", "secretage"].map(|name| (dir.join(name), dir.join(format!("{name}.tmp"))))
    };
    let remove = |subject: &Subject| {
        for (path, aside) in aside(subject) {
            rename(&path, &aside);
        }
    };
    let write = |subject: &Subject| {
        for (path, aside) in aside(subject) {
            rename(&aside, &path);
        }
    };
    for args in READERS {
        for output in read_at_each_call(args, remove, write) {
            assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        }
        // The control: what stays so is damaged.
        let damaged = read_at_each_call(args, remove, |_| {});
        assert!(
            damaged.iter().any(|output| output.status.code() == Some(7)),
            "{args:?}"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "plays a writer that takes no lock"
)]
fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("rename");
}

/// A root and a secret's directory that are open to others, and a file in each: all are repaired, up
/// to the moment at which the lock is lost.
fn repair(nth: Option<usize>) -> Vec<Moment> {
    let subject = Subject::new();
    subject.put(Some(1));
    let other = subject.open();
    let root = subject.store();
    let secret = root.join(subject.id().directory_name());
    let paths = [
        (root.clone(), 0o700),
        (root.join(".posixage.toml"), 0o600),
        (secret.clone(), 0o700),
        (secret.join("metadata.json"), 0o600),
    ];
    for (path, mode) in &paths {
        fs::set_permissions(path, Permissions::from_mode(mode | 0o040)).expect("chmod");
    }
    let modes = || {
        let mode = |(path, _): &(PathBuf, u32)| fs::metadata(path).expect("stat").mode() & 0o777;
        paths.iter().map(mode).collect::<Vec<u32>>()
    };
    let mut at_loss = paths.iter().map(|(_, mode)| *mode).collect();
    let mut moments = Vec::new();
    let mut taken = None;
    let verify = ["verify", "--repair", "--lock-timeout", "0"];
    let verify = subject.sandbox().posixage(verify);
    let output = strace::stopped_at_each_call(verify, &[], |calls| {
        let moment = moment(&subject, calls);
        if Some(moments.len()) == nth && moment == Moment::Locked {
            subject.take_the_lock();
            // It takes the lock several times, and the next time it could have it.
            taken = Some(other.lock(Mode::Exclusive).expect("the lock"));
            at_loss = modes();
        }
        moments.push(moment);
    });
    assert_eq!(modes(), at_loss, "call {nth:?}: {output:?}");
    drop(taken);
    moments
}

#[test]
fn a_repair_that_is_overtaken_repairs_nothing_more() {
    if !tools::may_trace() {
        return tools::left_out("a repair that is overtaken at each call: it takes root's powers");
    }
    let locked = all(&repair(None), Moment::Locked);
    assert!(locked.len() >= 10, "{locked:?}");
    for nth in locked {
        repair(Some(nth));
    }
}
