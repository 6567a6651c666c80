//! Several processes and one lock, on the real kernel.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod beside;
mod crowds;
mod delays;
mod program;
