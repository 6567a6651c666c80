//! Every whole-system test, in one binary: one link after each change.

mod cargo;
mod commands;
mod crash;
mod docker;
mod format;
mod git;
mod house;
mod library;
mod secrecy;
