//! How a process that handles secrets begins.

use std::sync::{Arc, atomic::AtomicBool};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use signal_hook::{consts::SIGXFSZ, flag};

/// To be called first in each program.
pub(crate) fn begin() {
    // A core dump would hold keys and values in the clear.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // A file that may not grow is an error like others. With a handler, and not ignored: a program
    // that is executed begins as if nothing had been changed.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
