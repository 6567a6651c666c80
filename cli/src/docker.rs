//! What Docker and its kin need to keep their credentials in the store.

mod credential;
pub(crate) mod helper;
