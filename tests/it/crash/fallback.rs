//! Where renameat2 refuses, a write in two renames takes its place, and loses nothing either.
//! `crash_mounts` does the rest of it on a file system that does so.

use posixage_tests::{
    every_call::{survives_failures, survives_kills},
    operation::Operation,
};

/// All flags of renameat2 are refused, as before Linux 3.15 and on some file systems.
const NO_RENAMEAT2: &str = "inject=renameat2:error=EINVAL";

/// Only the first call of the process, which is the exchange.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL:when=1";

#[test]
fn an_overwrite_in_two_renames_survives_a_kill_at_any_call() {
    let deaths = survives_kills(Operation::Overwrite, &[NO_EXCHANGE]);
    // Ours read a secret that was set aside, and the next writer put it back.
    assert!(deaths.set_aside > 0, "{deaths:?}");
}

#[test]
fn an_update_in_two_renames_survives_a_kill_at_any_call() {
    let deaths = survives_kills(Operation::Update, &[NO_RENAMEAT2]);
    assert!(deaths.set_aside > 0, "{deaths:?}");
}

#[test]
fn set_many_in_two_renames_survives_a_kill_at_any_call() {
    let deaths = survives_kills(Operation::Many, &[NO_RENAMEAT2]);
    assert!(deaths.set_aside > 0, "{deaths:?}");
}

#[test]
fn a_creation_by_plain_rename_survives_a_kill_at_any_call() {
    survives_kills(Operation::Create, &[NO_RENAMEAT2]);
}

#[test]
fn an_overwrite_in_two_renames_survives_failures() {
    survives_failures(Operation::Overwrite, &[NO_RENAMEAT2]);
}

#[test]
fn a_creation_by_a_plain_rename_survives_failures() {
    survives_failures(Operation::Create, &[NO_RENAMEAT2]);
}

#[test]
fn writing_many_in_two_renames_each_survives_failures() {
    survives_failures(Operation::Many, &[NO_RENAMEAT2]);
}
