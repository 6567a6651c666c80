//! What the whole-system tests stand on: homes of their own, real processes with a bound on their
//! time, a real terminal, the reference's stores.
//!
//! It is made for tests: whatever goes wrong here panics and says what was being done.

#![expect(clippy::panic, reason = "a test fails by panicking")]

pub mod age;
pub mod binary;
pub mod burner;
pub mod golden;
pub mod keys;
pub mod process;
pub mod sandbox;
pub mod screen;
pub mod shape;
pub mod terminal;
pub mod tools;
pub mod tree;

pub use process::{LIMIT, Output, Program, Running};
pub use sandbox::Sandbox;
pub use terminal::Terminal;
