//! Two contenders on the real kernel, with a delay before one system call of each: every pair of
//! calls, from a lock file that is missing, fresh, and from 2020. Whatever the kernel makes of it,
//! they never hold the lock at the same time.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use posixage_lock::FILE_NAME;

use crate::program::{hear, program, root};

/// How long a call is delayed: longer than everything else that a contender does, together.
const DELAY: &str = "60000";

/// How many pairs are tried at the same time. They sleep, most of the time.
const ABREAST: usize = 8;

/// A system call of a contender: its name, and the how manieth of that name it is.
type Call = (String, usize);

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may panic")]
fn no_pair_of_delayed_calls_lets_two_hold_the_lock() {
    let calls = calls_of_an_acquisition();
    assert!(calls.len() >= 8, "{calls:?}");
    let pairs: Vec<_> = calls
        .iter()
        .flat_map(|one| calls.iter().map(move |other| (one, other)))
        .collect();
    for found in [None, Some(0), Some(1_577_836_800)] {
        for pairs in pairs.chunks(ABREAST) {
            std::thread::scope(|scope| {
                for &(one, other) in pairs {
                    scope.spawn(move || try_pair(found, one, other));
                }
            });
        }
    }
}

/// The same on the reference, from a file of 2020, with two calls delayed that the sweep above would
/// delay, too: this is what two holders look like. On a busy machine it can take a few tries.
#[test]
fn control_the_reference_has_two_holders_when_the_file_is_idle() {
    let overlap = || {
        let root = root();
        put(root.path(), Some(1_577_836_800));
        let call = |name: &str| (name.to_owned(), 1);
        let first = delayed("reference", root.path(), &call("ftruncate"));
        let second = delayed("reference", root.path(), &call("unlink"));
        let [(_, first_to), (second_from, _)] = held([first, second]);
        second_from < first_to
    };
    assert!((0..30).any(|_| overlap()), "one holder, each time");
}

fn try_pair(found: Option<u64>, one: &Call, other: &Call) {
    let root = root();
    put(root.path(), found);
    let contenders = [one, other].map(|call| delayed("contender", root.path(), call));
    let [(_, first_to), (second_from, _)] = held(contenders);
    assert!(
        first_to <= second_from,
        "two holders with {one:?} and {other:?} delayed, file {found:?}"
    );
}

/// Puts a lock file there, last touched then, or now.
fn put(root: &Path, mtime: Option<u64>) {
    let Some(mtime) = mtime else { return };
    let file = File::create(root.join(FILE_NAME)).unwrap();
    if mtime > 0 {
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime))
            .unwrap();
    }
}

/// When they held the lock, in order.
fn held(contenders: [Child; 2]) -> [(i128, i128); 2] {
    let mut held = contenders.map(|contender| interval(&hear(contender)));
    held.sort_unstable();
    held
}

/// The calls with which a contender takes the lock and releases it, in the order of their first
/// use. Asked of the program itself, so that no call is forgotten here when one is added there.
fn calls_of_an_acquisition() -> Vec<Call> {
    let root = root();
    let log = root.path().join("log");
    hear(start(
        Command::new("strace")
            .arg("-o")
            .arg(&log)
            .arg(program("contender"))
            .arg(root.path())
            .arg("once"),
    ));
    let log = fs::read_to_string(&log).unwrap();
    let mut counts = std::collections::HashMap::new();
    let mut calls = Vec::new();
    let mut begun = false;
    for line in log.lines() {
        let Some((name, arguments)) = line.split_once('(') else {
            continue;
        };
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        begun |= arguments.contains(FILE_NAME);
        let counts = [
            "openat",
            "fstat",
            "utimensat",
            "flock",
            "newfstatat",
            "close",
        ];
        if begun && counts.contains(&name) {
            calls.push((name.to_owned(), *count));
        }
        if begun && name == "close" {
            break;
        }
    }
    calls
}

fn delayed(contender: &str, root: &Path, (name, number): &Call) -> Child {
    let delay = format!("inject={name}:delay_enter={DELAY}:when={number}");
    let mut strace = Command::new("strace");
    start(
        strace
            .args(["-o", "/dev/null", "-e", &delay])
            .arg(program(contender))
            .arg(root)
            .arg("once"),
    )
}

fn start(command: &mut Command) -> Child {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    started.expect("strace is needed for this test: apt-get install strace")
}

fn interval(said: &str) -> (i128, i128) {
    let (from, to) = said
        .trim()
        .split_once(' ')
        .unwrap_or_else(|| panic!("{said:?}"));
    (from.parse().unwrap(), to.parse().unwrap())
}
