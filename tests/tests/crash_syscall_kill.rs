//! A SIGKILL before every system call, in turn, loses nothing.

use posixage_tests::{every_call, operation::Operation, subject::Subject};

fn survives(operation: Operation) {
    let deaths = every_call::killed(&Subject::new(), operation, &[]);
    // All of them, and on both sides of the commit.
    assert!(
        deaths.count > 50 && deaths.before > 0 && deaths.after > 0,
        "{deaths:?}"
    );
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
