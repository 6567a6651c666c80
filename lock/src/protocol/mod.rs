//! The protocol: taking the lock, taking it over, holding it, keeping it fresh.

pub(crate) mod acquire;
pub(crate) mod announce;
pub(crate) mod heartbeat;
pub(crate) mod hold;
pub(crate) mod takeover;
pub(crate) mod touch;
