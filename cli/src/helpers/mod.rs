//! The credential helpers: one folder or file for each client's protocol.

pub(crate) mod cargo;
pub(crate) mod docker;
pub(crate) mod entry_id;
pub(crate) mod git;
