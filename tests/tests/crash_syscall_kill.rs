//! A SIGKILL before every system call, in turn, loses nothing.

use std::collections::BTreeSet;

use posixage_tests::{
    operation::Operation,
    strace,
    subject::{State, Subject},
};

const SIGKILL: i32 = 9;

/// Kills the operation before its Nth call of each kind, for all N, until it is not reached; gives
/// what the id was found to hold afterwards.
fn killed_everywhere(operation: Operation, tampering: &[String]) -> BTreeSet<State> {
    let subject = Subject::new();
    let mut mark = 2;
    subject.put(operation.before(mark));
    let store = subject.store().display().to_string();
    let program = operation.program(&subject, mark);
    let mut deaths = 0;
    let mut found = BTreeSet::new();
    for call in strace::census(subject.sandbox(), program, &store).into_keys() {
        for nth in 1.. {
            mark += 2;
            let [before, after] = [operation.before(mark), operation.after(mark)];
            subject.put(before);
            let mut tampering = tampering.to_vec();
            tampering.push(format!("inject={call}:signal=KILL:when={nth}"));
            let program = operation.program(&subject, mark);
            let output = strace::tampered(subject.sandbox(), program, &tampering).0;
            let undisturbed = output.status.success();
            assert!(
                undisturbed || output.signal() == Some(SIGKILL),
                "{output:?}"
            );
            let allowed = match undisturbed {
                true => vec![after],
                false => vec![before, after],
            };
            let state = subject.survives(&allowed);
            let state = state.unwrap_or_else(|e| panic!("{operation:?}, {call} {nth}: {e}"));
            if undisturbed {
                break;
            }
            deaths += 1;
            found.insert(match state == before {
                true => operation.before(2),
                false => operation.after(2),
            });
        }
    }
    eprintln!("{operation:?}: {deaths} deaths");
    found
}

fn survives(operation: Operation) {
    let found = killed_everywhere(operation, &[]);
    // There were deaths on both sides of the commit.
    assert_eq!(found, [operation.before(2), operation.after(2)].into());
}

#[test]
fn a_creation_killed_before_any_system_call_is_whole_or_absent() {
    survives(Operation::Create);
}

#[test]
fn an_overwrite_killed_before_any_system_call_is_the_old_or_the_new_value() {
    survives(Operation::Overwrite);
}

#[test]
fn a_removal_killed_before_any_system_call_is_done_or_not_begun() {
    survives(Operation::Delete);
}

#[test]
fn an_update_killed_before_any_system_call_is_the_old_or_the_new_value() {
    survives(Operation::Update);
}
