//! Cargo and its credential provider.

mod provider;
