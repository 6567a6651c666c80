//! The value that is kept, in memory that is wiped.

use std::fmt;

use zeroize::Zeroizing;

use crate::metadata::Metadata;

/// The largest value in bytes (64 MiB).
pub const MAX_VALUE_LEN: usize = 64 << 20;

/// A value, any bytes, and the metadata that goes with it.
///
/// The value is wiped from memory when the secret is dropped, and neither `Debug` nor any error of
/// this crate shows it. Metadata is not secret and is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: Zeroizing<Vec<u8>>,
    metadata: Option<Metadata>,
}

impl Secret {
    /// A secret without metadata. Takes the bytes over: no copy of them is left behind.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self::from(Zeroizing::new(value.into()))
    }

    /// The same value with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<Option<Metadata>>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// The value. Do not copy it to memory that is not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.value
    }

    /// The value, to take along; still wiped when dropped.
    #[must_use]
    pub fn into_value(self) -> Zeroizing<Vec<u8>> {
        self.value
    }

    /// The metadata, if there is any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }
}

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(value: Zeroizing<Vec<u8>>) -> Self {
        Self {
            value,
            metadata: None,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_metadata_and_nothing_of_the_value() {
        let metadata: Metadata = [("user", "zoe")].into_iter().collect();
        let secret = Secret::new("canary").with_metadata(metadata);
        let shown = format!("{secret:?} {secret:#?}");
        assert!(shown.contains("zoe"));
        assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"));
    }
}
