//! `posixage`: the command line of the posixage secret store.

mod args;
mod commands;
mod config;
mod failure;
mod keys;
mod output;
mod password;
mod settings;
mod terminal;
mod usage;
mod value;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A core dump would hold keys and values in the clear.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    commands::run().unwrap_or_else(|failure| failure.report())
}
