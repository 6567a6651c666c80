//! Every system call that an operation makes on its files fails, in turn: the error names the step
//! and the path, the old value stays, and nothing is left after the next write.

use posixage_tests::{
    every_call::{reads_through_failures, survives_failures},
    operation::Operation,
};

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

#[test]
fn a_failed_call_in_set_many_keeps_old_values_or_counts_new() {
    survives_failures(Operation::Many, &[]);
}

#[test]
fn a_failed_call_in_get_is_an_error_and_not_a_missing_secret() {
    reads_through_failures(&["get", "some/secret"]);
}

#[test]
fn a_failed_call_in_list_is_an_error_and_no_shorter_list() {
    reads_through_failures(&["list", "--long"]);
}

#[test]
fn a_failed_call_in_verify_is_an_error_and_no_false_finding() {
    reads_through_failures(&["verify", "--decrypt"]);
}
