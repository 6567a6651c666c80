//! What can be wrong with a file or directory of a store.

use crate::keys::{MAX_HEADER_LEN, MAX_WORK_FACTOR};

/// What is wrong with a file or directory of a store. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// There is none.
    #[error("is missing")]
    Missing,
    /// Something else where a directory belongs.
    #[error("is not a directory")]
    NotADirectory,
    /// A link where a file belongs.
    #[error("is a symbolic link")]
    SymbolicLink,
    /// A pipe, a device or a directory where a file belongs.
    #[error("is not a regular file")]
    NotRegular,
    /// A file that is larger than any that is written.
    #[error("is {len} bytes long; the limit is {limit}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The largest that is read.
        limit: usize,
    },
    /// A secret's directory without any file for a key.
    #[error("holds no ciphertext")]
    NoCiphertext,
    /// Metadata of another form.
    #[error("is not a JSON object of strings (line {line}, column {column})")]
    Metadata {
        /// The line, from 1.
        line: usize,
        /// The column in it.
        column: usize,
    },
    /// The header cannot be parsed.
    #[error("is not an age file, or its header is damaged")]
    Header,
    /// The first line names another version of age.
    #[error("is of an unknown age version, or its header is damaged")]
    UnknownVersion,
    /// The header does not end where it has to.
    #[error("has an age header of over {MAX_HEADER_LEN} bytes")]
    HeaderTooLarge,
    /// The header was altered.
    #[error("has a damaged header")]
    HeaderAltered,
    /// More scrypt work than any that is written.
    #[error("asks for scrypt work factor {required}; the limit is {MAX_WORK_FACTOR}")]
    WorkFactor {
        /// What it asks for.
        required: u8,
    },
    /// The value ends early, or was altered.
    #[error("is truncated or altered")]
    Altered,
    /// The value is longer than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN).
    #[error(
        "holds a value over the limit of {} bytes",
        crate::secret::MAX_VALUE_LEN
    )]
    ValueTooLarge,
    /// age does not decrypt it, for another reason.
    #[error("does not decrypt")]
    Undecryptable,
    /// A key that the store names as a recipient does not decrypt it.
    #[error("does not decrypt with a key of the store")]
    NotForItsRecipient,
}
