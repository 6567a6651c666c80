//! What is said about a secret in the clear.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::damage::Damage;

/// The largest `metadata.json` in bytes (1 MiB).
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// A map of texts that lies beside the ciphertexts, **unencrypted**: everyone who can read the store's
/// files can read it, and everyone who can write them can change it.
///
/// On disk it is a JSON object of strings; a secret without metadata has `null` there. The two are
/// different: `Some(Metadata::new())` is an empty object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

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

    /// Removes `key`; returns what it was.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
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

    /// Reads what stands in `metadata.json`: an object of strings, or `null` for none. Otherwise says
    /// what is wrong with it, without quoting it.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Option<Self>, Damage> {
        if bytes.len() > MAX_METADATA_LEN {
            return Err(Damage::TooLarge {
                len: bytes.len(),
                limit: MAX_METADATA_LEN,
            });
        }
        serde_json::from_slice::<Option<Self>>(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Damage::Metadata { line, column }
        })
    }

    /// What [`from_json`](Self::from_json) reads; `Err` with its length if that is over
    /// [`MAX_METADATA_LEN`].
    pub(crate) fn to_json(metadata: Option<&Self>) -> Result<Vec<u8>, usize> {
        // A map of strings has no way to fail.
        let json = serde_json::to_vec(&metadata).unwrap_or_default();
        if json.len() > MAX_METADATA_LEN {
            return Err(json.len());
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
            let error = error.to_string();
            assert!(error.contains("not a JSON object of strings"), "{bad:?}");
            assert!(!error.contains("canary"));
        }
    }

    #[test]
    fn over_a_mebibyte_is_refused_both_ways() {
        let metadata: Metadata = [("k", "x".repeat(MAX_METADATA_LEN))].into_iter().collect();
        let len = MAX_METADATA_LEN + r#"{"k":""}"#.len();
        assert_eq!(Metadata::to_json(Some(&metadata)), Err(len));
        let spaces = vec![b' '; MAX_METADATA_LEN + 1];
        let refused = Metadata::from_json(&spaces).unwrap_err();
        assert!(refused.to_string().contains("limit"));
    }
}
