//! Values in JSON: text where they are text, base64 where they are not.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Base64,
}

impl Encoding {
    pub(crate) fn encode(value: &[u8]) -> (Zeroizing<String>, Self) {
        match std::str::from_utf8(value) {
            Ok(text) => (Zeroizing::new(text.into()), Self::Utf8),
            Err(_) => (Zeroizing::new(BASE64_STANDARD.encode(value)), Self::Base64),
        }
    }

    /// `None` if the text is not what the encoding says.
    pub(crate) fn decode(self, text: Zeroizing<String>) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Utf8 => Some(Zeroizing::new(text.as_bytes().to_vec())),
            Self::Base64 => BASE64_STANDARD.decode(&*text).ok().map(Zeroizing::new),
        }
    }
}
