//! Git and its credential helper.

mod client;
mod credential;
mod helper;
mod helper_failures;
mod lfs;
