//! A power cut at any point of a write leaves the old value or the new one, and the new one once the
//! write has succeeded. See `posixage_tests::power_cut` for what a power cut may do.

use std::{collections::BTreeMap, fs, path::Path};

use posixage_tests::{
    Program,
    disk::{Tree, write_tree},
    marked,
    operation::Operation,
    place::make_dir,
    power_cut::Recording,
    replay::Replay,
    strace,
    subject::{State, Subject},
    survey::{self, Survey, allowed},
};

/// As a file system does that cannot exchange two names.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL";

/// Records a program that takes the id from one state to the next, one by one, and looks at what
/// every power cut may leave.
fn survey(subject: &Subject, program: Program, tampering: &[&str], row: &[State]) -> Survey {
    let tampering: Vec<String> = tampering.iter().map(|t| String::from(*t)).collect();
    let replay = Replay::of(&subject.store());
    let calls = strace::record(subject.sandbox(), program, &tampering);
    let recording = replay.follow(&calls);
    let last = recording.moments.last().expect("a moment");
    assert_eq!(last.acknowledged, row.len() - 1, "what was acknowledged");
    // What was followed is what happened.
    assert_eq!(live(&recording), on_disk(&subject.store()));
    let states = recording.states();
    eprintln!(
        "{} calls, {} effects, {} states",
        calls.len(),
        recording.effects.len(),
        states.len()
    );
    let mut survey = Survey::default();
    for (tree, acknowledged) in &states {
        let found = look(subject, tree, &allowed(row, acknowledged));
        survey.add(found, || names(tree));
    }
    survey
}

/// All that was done, and none of it lost.
fn live(recording: &Recording) -> Tree {
    let mut moment = recording.moments.last().expect("a moment").clone();
    moment.durable = (0..moment.effects).collect();
    let recording = Recording {
        before: recording.before.clone(),
        effects: recording.effects.clone(),
        moments: vec![moment],
    };
    let states: BTreeMap<Tree, _> = recording.states();
    states.into_keys().next().expect("one state")
}

fn on_disk(root: &Path) -> Tree {
    posixage_tests::disk::Disk::of(root).tree()
}

fn look(subject: &Subject, tree: &Tree, allowed: &[State]) -> Result<State, String> {
    let dir = tempfile::tempdir_in(subject.sandbox().path()).expect("a temporary directory");
    let root = dir.path().join("store");
    make_dir(&root);
    write_tree(tree, &root);
    survey::look(subject, &root, allowed)
}

fn names(tree: &Tree) -> String {
    let name = |(path, content): (&std::path::PathBuf, &Option<Vec<u8>>)| match content {
        Some(content) => format!("{} ({})", path.display(), content.len()),
        None => format!("{}/", path.display()),
    };
    tree.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn survives(subject: &Subject, program: Program, tampering: &[&str], row: &[State]) {
    let survey = survey(subject, program, tampering, row);
    assert!(survey.losses.is_empty(), "{:#?}", survey.losses);
    // Cuts on both sides of every commit.
    assert_eq!(survey.found, row.iter().copied().collect());
}

fn operation_survives(operation: Operation, tampering: &[&str]) {
    let subject = Subject::new();
    let mark = 2;
    let row = [operation.before(mark), operation.after(mark)];
    subject.put(row[0]);
    survives(&subject, operation.program(&subject, mark), tampering, &row);
}

#[test]
fn a_creation_survives_power_cuts() {
    operation_survives(Operation::Create, &[]);
}

#[test]
fn an_overwrite_survives_power_cuts() {
    operation_survives(Operation::Overwrite, &[]);
}

#[test]
fn a_removal_survives_power_cuts() {
    operation_survives(Operation::Delete, &[]);
}

#[test]
fn an_update_survives_power_cuts() {
    operation_survives(Operation::Update, &[]);
}

/// Whichever of them is looked at.
#[test]
fn writing_many_survives_power_cuts() {
    for (step, tampering) in [
        ("many-first", &[][..]),
        ("many-last", &[]),
        ("many-last", &[NO_EXCHANGE]),
    ] {
        let subject = Subject::new();
        subject.put(Some(1));
        let program = subject.operate([format!("{step}:{}:2", subject.id())]);
        survives(&subject, program, tampering, &[Some(1), Some(2)]);
    }
}

#[test]
fn a_creation_without_renameat2_survives_power_cuts() {
    operation_survives(Operation::Create, &[NO_EXCHANGE]);
}

#[test]
fn an_overwrite_without_renameat2_survives_power_cuts() {
    operation_survives(Operation::Overwrite, &[NO_EXCHANGE]);
}

/// One process, so that what one operation leaves undone is still undone in the next.
#[test]
fn a_row_of_operations_survives_power_cuts() {
    row_survives(&[]);
}

#[test]
fn a_row_of_operations_without_renameat2_survives_power_cuts() {
    row_survives(&[NO_EXCHANGE]);
}

fn row_survives(tampering: &[&str]) {
    let subject = Subject::new();
    subject.put(Some(1));
    let steps = ["set:2", "update:3", "remove:0", "create:4", "set:5"];
    let id = subject.id();
    let steps = steps.map(|step| step.replace(':', &format!(":{id}:")));
    let row = [Some(1), Some(2), Some(3), None, Some(4), Some(5)];
    survives(&subject, subject.operate(steps), tampering, &row);
}

/// A secret set aside by a commit that died is put back by a write to another.
#[test]
fn putting_a_secret_back_survives_power_cuts() {
    let subject = Subject::new();
    subject.put(Some(1));
    set_aside(&subject);
    let program = subject.operate(["set:other/id:2"]);
    survives(&subject, program, &[], &[Some(1), Some(1)]);
}

/// If its commit died after the new directory had taken the name, it goes; so do other leftovers.
#[test]
fn sweeping_survives_power_cuts() {
    let subject = Subject::new();
    subject.put(Some(1));
    set_aside(&subject);
    let aside = subject
        .store()
        .join(".posixage.old")
        .join(subject.id().directory_name());
    let copy = |name: &str| {
        subject.sandbox().copy(&aside, subject.store().join(name));
    };
    copy(".posixage.stage.0123456789abcdef");
    copy(".posixage.trash.0123456789abcdef");
    subject
        .open()
        .set(
            &"x".parse().expect("an id"),
            &marked::secret(subject.id(), 1),
        )
        .expect("set");
    subject.put(Some(2));
    set_aside(&subject);
    subject
        .sandbox()
        .copy(&aside, subject.store().join(subject.id().directory_name()));
    let program = subject.operate(["set:other/id:2"]);
    survives(&subject, program, &[], &[Some(2), Some(2)]);
}

/// As a process leaves it that dies between the two renames of a commit without exchange.
fn set_aside(subject: &Subject) {
    let name = subject.id().directory_name();
    let old = subject.store().join(".posixage.old");
    if !old.exists() {
        make_dir(&old);
    }
    #[expect(clippy::disallowed_methods, reason = "no commit")]
    fs::rename(subject.store().join(&name), old.join(&name)).expect("rename");
}

/// The control: a harness that does not catch this proves nothing.
#[test]
fn the_reference_s_order_of_calls_loses_secrets_here() {
    let subject = Subject::new();
    subject.put(Some(1));
    let program = subject.operate([format!("naive:{}:2", subject.id())]);
    let survey = survey(&subject, program, &[], &[Some(1), Some(2)]);
    assert!(survey.losses.len() >= 10, "{:?}", survey.losses);
    let lost = |what: &str| survey.losses.iter().any(|loss| loss.contains(what));
    assert!(lost("found None"), "{:#?}", survey.losses);
    assert!(lost("damaged"), "{:#?}", survey.losses);
}
