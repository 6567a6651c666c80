//! The credential helpers: one folder or file for each client's protocol.

pub(crate) mod cargo;
pub(crate) mod docker;
pub(crate) mod entry_id;
pub(crate) mod git;
pub(crate) mod username;

use posixage::Id;

/// The first components of the helpers' ids, and of the records of `docker setup`.
const NAMESPACES: [&str; 4] = ["cargo", "docker", "docker-setup", "git"];

/// Whether an id is one of an entry of ours for another program, found again by its id and metadata.
pub(crate) fn owns(id: &Id) -> bool {
    let first = id.components().next();
    id.components().count() > 1 && first.is_some_and(|first| NAMESPACES.contains(&first))
}
