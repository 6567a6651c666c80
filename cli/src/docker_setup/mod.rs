//! `posixage docker setup`, `--undo` and `status`: moves plaintext logins out of a client's
//! configuration file into the store, and back.

mod auths;
pub(crate) mod config_file;
mod exclusive;
mod installed;
mod json_object;
mod plan;
mod record;
mod report;
pub(crate) mod setup;
pub(crate) mod status;
mod stored;
mod target;
pub(crate) mod undo;
