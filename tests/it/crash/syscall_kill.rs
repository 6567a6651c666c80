//! A SIGKILL before every system call, in turn, loses nothing, and neither does Ctrl-C or SIGTERM
//! after it.

use posixage_tests::{
    every_call::{INT, TERM, survives_kills, survives_signals},
    operation::Operation,
};

#[test]
fn a_creation_killed_before_any_system_call_is_whole_or_absent() {
    survives_kills(Operation::Create, &[]);
}

#[test]
fn an_overwrite_killed_before_any_call_is_old_or_new() {
    survives_kills(Operation::Overwrite, &[]);
}

#[test]
fn a_removal_killed_before_any_system_call_is_done_or_not_begun() {
    survives_kills(Operation::Delete, &[]);
}

#[test]
fn an_update_killed_before_any_call_is_old_or_new() {
    survives_kills(Operation::Update, &[]);
}

#[test]
fn set_many_killed_at_any_call_leaves_first_new_others_old() {
    survives_kills(Operation::Many, &[]);
}

#[test]
fn an_overwrite_interrupted_after_any_call_is_old_or_new() {
    survives_signals(Operation::Overwrite, INT, &[]);
}

#[test]
fn an_overwrite_terminated_after_any_call_is_old_or_new() {
    survives_signals(Operation::Overwrite, TERM, &[]);
}

#[test]
fn a_removal_interrupted_after_any_call_is_done_or_not_begun() {
    survives_signals(Operation::Delete, INT, &[]);
}
