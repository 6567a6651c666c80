//! Where a file system refuses `RENAME_EXCHANGE`, a write in two renames takes its place, and loses
//! nothing either.

use posixage_tests::{every_call, operation::Operation, subject::Subject};

/// All flags of renameat2 are refused, as before Linux 3.15 and on some file systems.
const NO_RENAMEAT2: &str = "inject=renameat2:error=EINVAL";

/// Only the first call of the process, which is the exchange.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL:when=1";

fn survives_kills(operation: Operation, tampering: &str) -> every_call::Deaths {
    let deaths = every_call::killed(&Subject::new(), operation, &[tampering]);
    assert!(
        deaths.count > 50 && deaths.before > 0 && deaths.after > 0,
        "{deaths:?}"
    );
    deaths
}

#[test]
fn an_overwrite_in_two_renames_survives_a_kill_before_any_system_call() {
    let deaths = survives_kills(Operation::Overwrite, NO_EXCHANGE);
    // Ours read a secret that was set aside, and the next writer put it back.
    assert!(deaths.set_aside > 0, "{deaths:?}");
}

#[test]
fn an_update_in_two_renames_survives_a_kill_before_any_system_call() {
    let deaths = survives_kills(Operation::Update, NO_RENAMEAT2);
    assert!(deaths.set_aside > 0, "{deaths:?}");
}

#[test]
fn a_creation_by_a_plain_rename_survives_a_kill_before_any_system_call() {
    survives_kills(Operation::Create, NO_RENAMEAT2);
}

#[test]
fn an_overwrite_in_two_renames_survives_failures() {
    let subject = Subject::new();
    let (troubles, failures) = every_call::failed(&subject, Operation::Overwrite, &[NO_RENAMEAT2]);
    assert!(troubles.is_empty(), "{troubles:#?}");
    assert!(failures > 50, "{failures} failures are not all of them");
}
