//! What a store is on disk: the names, the root, a secret's files, `.posixage.toml`, the lock held.

pub(crate) mod config;
pub(crate) mod held;
pub(crate) mod layout;
pub(crate) mod root;
pub(crate) mod sealed;
