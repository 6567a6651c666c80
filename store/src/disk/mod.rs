//! What a store is on disk: the names, the root, a secret's files, `.posixage.toml`.

pub(crate) mod config;
pub(crate) mod root;
pub(crate) mod sealed;
