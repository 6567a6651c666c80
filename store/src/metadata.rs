//! What is said about a secret in the clear.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The largest `metadata.json` in bytes (1 MiB).
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// A map of texts that lies beside the ciphertexts, **unencrypted**: whoever can read the store's
/// files can read it, and whoever can write them can change it.
///
/// On disk it is a JSON object of strings; a secret without metadata has `null` there. The two are
/// different: `Some(Metadata::new())` is an empty object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

/// Why bytes are not metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Over [`MAX_METADATA_LEN`].
    #[error("metadata takes {len} bytes as JSON; the limit is {MAX_METADATA_LEN}")]
    TooLarge {
        /// The length in bytes, as JSON.
        len: usize,
    },
    /// Not JSON, not an object, not strings only, or not UTF-8.
    #[error("metadata is not a JSON object of strings (line {line}, column {column})")]
    Malformed {
        /// The line, from 1, at which the text stops being such an object.
        line: usize,
        /// The column, from 0.
        column: usize,
    },
}

impl Metadata {
    /// An empty object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets `key`; returns what it was before.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(key.into(), value.into())
    }

    /// The pairs, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what stands in `metadata.json`: an object of strings, or `null` for none.
    ///
    /// # Errors
    /// [`MetadataError`], which never quotes the bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Option<Self>, MetadataError> {
        if bytes.len() > MAX_METADATA_LEN {
            return Err(MetadataError::TooLarge { len: bytes.len() });
        }
        serde_json::from_slice::<Option<BTreeMap<String, String>>>(bytes)
            .map(|map| map.map(Self))
            .map_err(|error| MetadataError::Malformed {
                line: error.line(),
                column: error.column(),
            })
    }

    /// What [`from_json`](Self::from_json) reads.
    ///
    /// # Errors
    /// [`MetadataError::TooLarge`].
    pub fn to_json(metadata: Option<&Self>) -> Result<Vec<u8>, MetadataError> {
        let Some(Self(map)) = metadata else {
            return Ok(b"null".to_vec());
        };
        // A map of strings has no way to fail.
        let json = serde_json::to_vec(map).unwrap_or_default();
        if json.len() > MAX_METADATA_LEN {
            return Err(MetadataError::TooLarge { len: json.len() });
        }
        Ok(json)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }
}

impl fmt::Display for Metadata {
    /// As the JSON object that stands on disk.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_the_empty_object_differ() {
        assert_eq!(Metadata::from_json(b"null").unwrap(), None);
        assert_eq!(Metadata::from_json(b"{}").unwrap(), Some(Metadata::new()));
        assert_eq!(Metadata::to_json(None).unwrap(), b"null");
        assert_eq!(Metadata::to_json(Some(&Metadata::new())).unwrap(), b"{}");
    }

    #[test]
    fn odd_texts_come_back_exact() {
        let metadata: Metadata = [("", "empty key"), ("Zoë ☕", "\"\\\n\t\0\u{7f}"), ("k", "")]
            .into_iter()
            .collect();
        let json = Metadata::to_json(Some(&metadata)).unwrap();
        assert_eq!(Metadata::from_json(&json).unwrap(), Some(metadata));
    }

    #[test]
    fn anything_else_is_malformed_and_not_quoted() {
        for bad in [
            &b""[..],
            b"[]",
            b"{\"a\":1}",
            b"{\"a\":null}",
            b"{\"a\":\"canary",
            b"\"x\"",
            b"{}x",
            b"{\"a\":\"\xff\"}",
        ] {
            let error = Metadata::from_json(bad).unwrap_err();
            assert!(matches!(error, MetadataError::Malformed { .. }), "{bad:?}");
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn over_a_mebibyte_is_refused_both_ways() {
        let metadata: Metadata = [("k", "x".repeat(MAX_METADATA_LEN))].into_iter().collect();
        assert!(matches!(
            Metadata::to_json(Some(&metadata)),
            Err(MetadataError::TooLarge { .. })
        ));
        let spaces = vec![b' '; MAX_METADATA_LEN + 1];
        assert!(matches!(
            Metadata::from_json(&spaces),
            Err(MetadataError::TooLarge { .. })
        ));
    }
}
