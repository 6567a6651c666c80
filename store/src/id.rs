//! The name of a secret, and the directory that it stands for.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};

/// The longest id in bytes: base64 turns 189 bytes into 252, and a file name holds 255.
pub const MAX_ID_LEN: usize = 189;

/// The name of a secret: components of `A-Z a-z 0-9 . _ : -`, joined by `/`, at most
/// [`MAX_ID_LEN`] bytes in all.
///
/// Ids are case-sensitive and compared byte by byte. An id is not secret: it is the name of a
/// directory, and everyone who can list the store can read it.
///
/// ```
/// use posixage::Id;
///
/// let id: Id = "docker/registry.example.com:5000".parse()?;
/// assert_eq!(id.components().count(), 2);
/// assert!("no spaces".parse::<Id>().is_err());
/// # Ok::<(), posixage::ParseIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// Why a text is not an [`Id`] or not a [`Pattern`](crate::Pattern).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text, or one of its components, is empty (`""`, `a//b`, `/a`, `a/`).
    #[error("{text:?} has an empty component")]
    EmptyComponent {
        /// The text as given.
        text: String,
    },
    /// A character outside the alphabet.
    #[error("{text:?} contains {character:?}, which is not allowed in an id")]
    InvalidCharacter {
        /// The text as given.
        text: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// A `*` in a pattern's component that has other characters too.
    #[error("{text:?} has a * in a component; * and ** stand for whole components")]
    PartialWildcard {
        /// The text as given.
        text: String,
    },
    /// Longer than its directory name, or the matcher, can take.
    #[error("{start:?}… is {len} bytes long; the limit is {max}")]
    TooLong {
        /// The first characters of the text.
        start: String,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

impl Id {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components between the slashes; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The name of the secret's directory: base64 (RFC 4648, standard alphabet, padded) of the id.
    ///
    /// No id encodes to a name with `/` or `+`: the alphabet of ids lacks the bytes that would.
    #[must_use]
    pub fn directory_name(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }

    /// The inverse of [`directory_name`](Self::directory_name); `None` for any other name.
    #[must_use]
    pub fn from_directory_name(name: &[u8]) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(name).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        check(&text).ok()?;
        Some(Self(text))
    }
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), ParseIdError> {
    check_len(text, MAX_ID_LEN)?;
    text.split('/')
        .try_for_each(|component| check_component(text, component))
}

pub(crate) fn check_len(text: &str, max: usize) -> Result<(), ParseIdError> {
    if text.len() <= max {
        return Ok(());
    }
    Err(ParseIdError::TooLong {
        start: text.chars().take(24).collect(),
        len: text.len(),
        max,
    })
}

pub(crate) fn check_component(text: &str, component: &str) -> Result<(), ParseIdError> {
    if component.is_empty() {
        return Err(ParseIdError::EmptyComponent { text: text.into() });
    }
    let foreign = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-'));
    match component.chars().find(foreign) {
        None => Ok(()),
        Some(character) => Err(ParseIdError::InvalidCharacter {
            text: text.into(),
            character,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn components_are_neither_empty_nor_foreign() {
        for bad in [
            "", "/", "a/", "/a", "a//b", "a b", "ä", "a\n", "a+b", "a\0", "*", "a/**",
        ] {
            assert!(bad.parse::<Id>().is_err(), "{bad:?}");
        }
        for good in ["a", ".", "...", "-", "a/../b", "registry:5000/x_y", "A9/-"] {
            assert_eq!(good.parse::<Id>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn longest_id_fits_a_file_name_and_one_more_byte_is_refused() {
        let longest = "x".repeat(MAX_ID_LEN);
        assert_eq!(longest.parse::<Id>().unwrap().directory_name().len(), 252);
        let error = "x".repeat(MAX_ID_LEN + 1).parse::<Id>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"xxxxxxxxxxxxxxxxxxxxxxxx\"… is 190 bytes long; the limit is 189"
        );
    }

    #[test]
    fn only_canonical_base64_of_an_id_is_a_directory_name() {
        for name in [
            "YQ", "YQ=", "YR==", "YQ==\n", "", "====", "YSBi", "/+==", "Lw==",
        ] {
            assert_eq!(Id::from_directory_name(name.as_bytes()), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn directory_name_is_a_bijection_without_slash_or_plus(
            text in "[A-Za-z0-9._:-]{1,20}(/[A-Za-z0-9._:-]{1,20}){0,8}"
        ) {
            let id: Id = text.parse().unwrap();
            let name = id.directory_name();
            prop_assert!(!name.contains(['/', '+']));
            prop_assert!(name.len() <= 255 && !name.starts_with('.'));
            prop_assert_eq!(Id::from_directory_name(name.as_bytes()), Some(id));
        }

        #[test]
        fn any_bytes_that_decode_encode_back(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(id) = Id::from_directory_name(&name) {
                prop_assert_eq!(id.directory_name().into_bytes(), name);
            }
        }
    }
}
