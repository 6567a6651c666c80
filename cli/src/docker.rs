//! What Docker and its kin need to keep their credentials in the store.

mod auths;
pub(crate) mod config_file;
mod credential;
mod exclusive;
pub(crate) mod helper;
mod installed;
mod json_object;
mod plan;
mod record;
mod report;
pub(crate) mod setup;
pub(crate) mod status;
mod stored;
pub(crate) mod undo;
