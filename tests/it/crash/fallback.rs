//! Where renameat2 refuses, a write in two renames takes its place, and loses nothing either.
//! `crash_mounts` does the rest of it on a file system that does so.

use posixage_tests::{
    Sandbox,
    every_call::{survives_failures, survives_kills},
    operation::Operation,
    strace,
    subject::leftovers,
};

/// All flags of renameat2 are refused, as before Linux 3.15 and on some file systems.
const NO_RENAMEAT2: &str = "inject=renameat2:error=EINVAL";

/// Only the first call of the process, which is the exchange.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL:when=1";

/// A kernel or a file system without the call, or a container's filter that does not know it.
#[test]
fn each_refusal_of_renameat2_is_got_around() {
    for refusal in ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EXDEV", "EPERM"] {
        let sandbox = Sandbox::new().initialised();
        sandbox.set("x", "old");
        let inject = [format!("inject=renameat2:error={refusal}")];
        for args in [&["set", "--force", "x"][..], &["set", "y"]] {
            let set = sandbox.posixage(args).input("new");
            let (output, trace) = strace::tampered(&sandbox, set, &inject);
            output.succeeds_silently();
            assert!(trace.contains(strace::INJECTED), "{refusal}: {trace}");
        }
        assert_eq!([sandbox.get("x"), sandbox.get("y")], [b"new", b"new"]);
        assert!(leftovers(&sandbox.store()).is_empty(), "{refusal}");
    }
}

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
