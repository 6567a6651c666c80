//! Every system call that an operation makes on its files fails, in turn: the error names the step
//! and the path, the old value stays, and nothing is left after the next write.

use posixage_tests::{every_call::survives_failures, operation::Operation};

#[test]
fn a_creation_in_which_a_call_fails_creates_nothing() {
    survives_failures(Operation::Create, &[]);
}

#[test]
fn an_overwrite_in_which_a_call_fails_leaves_the_old_value() {
    survives_failures(Operation::Overwrite, &[]);
}

#[test]
fn a_removal_in_which_a_call_fails_removes_nothing() {
    survives_failures(Operation::Delete, &[]);
}

#[test]
fn an_update_in_which_a_call_fails_leaves_the_old_value() {
    survives_failures(Operation::Update, &[]);
}
