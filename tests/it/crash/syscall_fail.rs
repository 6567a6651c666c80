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
fn writing_many_in_which_a_call_fails_leaves_the_old_values_or_says_how_many_are_new() {
    survives_failures(Operation::Many, &[]);
}

#[test]
fn a_read_in_which_a_call_fails_is_an_error_and_not_a_secret_that_is_not_there() {
    reads_through_failures(&["get", "some/secret"]);
}

#[test]
fn a_list_in_which_a_call_fails_is_an_error_and_not_a_shorter_list() {
    reads_through_failures(&["list", "--long"]);
}

#[test]
fn a_check_in_which_a_call_fails_is_an_error_and_finds_nothing_that_is_not_there() {
    reads_through_failures(&["verify", "--decrypt"]);
}
