//! How a process that handles secrets begins.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// To be called first in each program.
pub(crate) fn begin() {
    // A core dump would hold keys and values in the clear.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
