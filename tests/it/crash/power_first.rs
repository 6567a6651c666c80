//! A power cut during the first use, which makes the key and the store, leaves no secret without its
//! key, and nothing that a second try does not mend.

use std::collections::BTreeSet;

use posixage::Id;
use posixage_tests::{
    Program, Sandbox,
    calls::Call,
    disk::{Tree, write_tree},
    marked,
    replay::Replay,
    strace,
    subject::State,
};

fn id() -> Id {
    "some/secret".parse().expect("an id")
}

fn set(sandbox: &Sandbox, mark: marked::Mark) -> Program {
    let args = ["set", "--raw", "--force", id().as_str()].map(String::from);
    sandbox.posixage(args).input(marked::value(&id(), mark))
}

/// Looks at the states that a power cut may leave of `calls`, the last of which are those of a `set`
/// that succeeds: at all of them, or at those after it has.
fn survives(replay: Replay, calls: &[Call], of: States) {
    let recording = replay.follow(calls);
    let acknowledged = recording.moments.last().expect("a moment").acknowledged;
    assert_eq!(acknowledged, 1);
    let mut states = recording.states();
    if of == States::Acknowledged {
        states.retain(|_, acknowledged| acknowledged.contains(&1));
    }
    eprintln!(
        "{} effects, {} states",
        recording.effects.len(),
        states.len()
    );
    let mut losses = Vec::new();
    let mut found = BTreeSet::new();
    for (tree, acknowledged) in &states {
        match look(tree, acknowledged.contains(&1)) {
            Ok(state) => drop(found.insert(state)),
            Err(loss) => losses.push(loss),
        }
    }
    let count = losses.len();
    losses.truncate(5);
    assert!(losses.is_empty(), "{count} losses, such as {losses:#?}");
    assert_eq!(found, of.values());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum States {
    All,
    Acknowledged,
}

impl States {
    fn values(self) -> BTreeSet<State> {
        match self {
            Self::All => [None, Some(1)].into(),
            Self::Acknowledged => [Some(1)].into(),
        }
    }
}

fn look(tree: &Tree, acknowledged: bool) -> Result<State, String> {
    let sandbox = Sandbox::new();
    write_tree(tree, &sandbox.home());
    let before = read(&sandbox)?;
    if acknowledged && before != Some(1) {
        return Err(format!("the secret was acknowledged, and is {before:?}"));
    }
    let again = set(&sandbox, 2).run();
    if !again.status.success() {
        return Err(format!("a second try: {}", again.err()));
    }
    match read(&sandbox)? {
        Some(2) => Ok(before),
        state => Err(format!("found {state:?} after a second try")),
    }
}

fn read(sandbox: &Sandbox) -> Result<State, String> {
    let get = sandbox.run(["get", id().as_str()]);
    match get.status.code() {
        Some(0) => Ok(Some(marked::mark_of_value(&id(), &get.stdout)?)),
        // No such secret, or no store yet.
        Some(3) => Ok(None),
        Some(1) if get.err().contains("no store") => Ok(None),
        _ => Err(get.err()),
    }
}

#[test]
fn a_first_use_survives_power_cuts() {
    let sandbox = Sandbox::new();
    let replay = Replay::of(&sandbox.home());
    let calls = strace::record(&sandbox, set(&sandbox, 1), &[]);
    survives(replay, &calls, States::All);
}

/// The second process must not rely on what the first has not brought to disk.
#[test]
fn a_first_secret_survives_power_cuts_after_a_death_at_init() {
    // At each death before an fsync something is not on disk.
    let calls: &[&str] = match posixage_tests::long() {
        true => &["fsync", "mkdir", "mkdirat", "linkat", "unlink", "renameat2"],
        false => &["fsync"],
    };
    for call in calls {
        for nth in 1.. {
            let sandbox = Sandbox::new();
            let replay = Replay::of(&sandbox.home());
            let kill = format!("inject={call}:signal=KILL:when={nth}");
            let (mut calls, died) =
                strace::record_until(&sandbox, sandbox.posixage(["init"]), &[kill]);
            if !died {
                break;
            }
            calls.extend(strace::record(&sandbox, set(&sandbox, 1), &[]));
            survives(replay, &calls, States::Acknowledged);
        }
    }
}
