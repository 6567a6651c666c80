//! Every system call that an operation makes on its files fails, in turn: the error names the step
//! and the path, the old value stays, and nothing is left after the next write.

use posixage_tests::{every_call, operation::Operation, subject::Subject};

fn survives(operation: Operation) {
    let (troubles, failures) = every_call::failed(&Subject::new(), operation, &[]);
    assert!(troubles.is_empty(), "{troubles:#?}");
    assert!(failures > 50, "{failures} failures are not all of them");
}

#[test]
fn a_creation_in_which_a_call_fails_creates_nothing() {
    survives(Operation::Create);
}

#[test]
fn an_overwrite_in_which_a_call_fails_leaves_the_old_value() {
    survives(Operation::Overwrite);
}

#[test]
fn a_removal_in_which_a_call_fails_removes_nothing() {
    survives(Operation::Delete);
}

#[test]
fn an_update_in_which_a_call_fails_leaves_the_old_value() {
    survives(Operation::Update);
}
