//! What the whole-system tests stand on: homes of their own, real processes with a bound on their
//! time, a real terminal, the reference's stores.
//!
//! It is made for tests: whatever goes wrong here panics and says what was being done.

#![expect(clippy::panic, reason = "a test fails by panicking")]

pub mod age;
pub mod binary;
pub mod burner;
pub mod calls;
pub mod canary;
pub mod cargo_registry;
pub mod chance;
pub mod damage;
pub mod disk;
pub mod docker;
pub mod docker_daemon;
pub mod docker_helper;
pub mod every_call;
pub mod fuzz;
pub mod git_credential;
pub mod git_server;
pub mod golden;
pub mod http;
pub mod ignored;
pub mod image;
pub mod keys;
pub mod kill;
pub mod marked;
pub mod memory;
pub mod namespace;
pub mod operation;
pub mod output;
pub mod page;
pub mod place;
pub mod power_cut;
pub mod process;
pub mod registry;
pub mod replay;
pub mod sandbox;
pub mod screen;
pub mod shape;
pub mod storm;
pub mod storm_log;
pub mod storm_processes;
pub mod strace;
pub mod subject;
pub mod survey;
pub mod terminal;
pub mod tools;
pub mod transcript;
pub mod tree;
pub mod vector;

pub use output::Output;
pub use place::Place;
pub use process::{LIMIT, Program, Running};
pub use sandbox::Sandbox;
pub use terminal::Terminal;
pub use transcript::Transcript;

/// Whether the long forms of tests are asked for, by `POSIXAGE_LONG=1`.
#[must_use]
pub fn long() -> bool {
    std::env::var_os("POSIXAGE_LONG").is_some_and(|value| value == "1")
}
