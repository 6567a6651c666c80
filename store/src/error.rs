//! What can go wrong, with the operation, the path or id, and what to do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use posixage_lock::reason;

use crate::{
    damage::Damage,
    id::Id,
    keys::{KeyError, KeyType},
};

/// Why an operation on a store failed. The store is as it was before, unless the variant says
/// otherwise. Nothing secret is in it.
///
/// `Display` is one line: what, on what, why, in lower case without a period. What to do about it
/// is apart, in [`hint`](Self::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no store at the path.
    #[error("no store at {}", path.display())]
    NoStore {
        /// The root that was asked for.
        path: PathBuf,
    },
    /// [`Store::init`](crate::Store::init) found a store there already.
    #[error("{} is a store already", path.display())]
    StoreExists {
        /// The root.
        path: PathBuf,
    },
    /// No secret has this id.
    #[error("no secret {id}")]
    NotFound {
        /// The id.
        id: Id,
    },
    /// [`Store::create`](crate::Store::create) found a secret there already.
    #[error("secret {id} exists already")]
    AlreadyExists {
        /// The id.
        id: Id,
    },
    /// The secret is there, and no key that was given decrypts it.
    #[error("no key fits secret {id}{}", NoFit { has, attempts })]
    NoKeyFits {
        /// The id.
        id: Id,
        /// The key types that the secret is encrypted for.
        has: Vec<KeyType>,
        /// What was tried, in order, and why each failed.
        attempts: Vec<Attempt>,
    },
    /// There is no recipient.
    #[error("no recipient to encrypt {id} to")]
    NoRecipients {
        /// The id.
        id: Id,
    },
    /// More than one password to encrypt to: age allows one per file.
    #[error("more than one password to encrypt {id} to")]
    SeveralPasswords {
        /// The id.
        id: Id,
    },
    /// A key that was needed could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of the secret is missing, truncated, altered, too large, or no regular file.
    #[error("secret {id} is damaged: {}: {reason}", path.display())]
    Damaged {
        /// The id.
        id: Id,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Damage,
    },
    /// Others than the owner may read or write the file or directory.
    #[error("{} is open to others (mode {mode:04o})", path.display())]
    InsecurePermissions {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The root belongs to another user.
    #[error("{} belongs to user {owner}, not to user {user}", path.display())]
    ForeignOwner {
        /// The root.
        path: PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The effective user id of this process.
        user: u32,
    },
    /// The root was moved, removed or hidden by a mount while the store was open.
    #[error("{} is not the store any more that was opened", path.display())]
    Moved {
        /// The path at which it was opened.
        path: PathBuf,
    },
    /// [`Store::update`](crate::Store::update) read one value and found another when it wrote: a
    /// process that does not keep to the lock has changed it. That change stands.
    #[error("secret {id} was changed by another process while it was updated")]
    Overtaken {
        /// The id.
        id: Id,
    },
    /// `.posixage.toml` is not what this version understands.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The value is larger than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN).
    #[error(
        "the value of {id} is {len} bytes long; the limit is {}",
        crate::secret::MAX_VALUE_LEN
    )]
    ValueTooLarge {
        /// The id.
        id: Id,
        /// Its length in bytes.
        len: usize,
    },
    /// The metadata takes more than [`MAX_METADATA_LEN`](crate::MAX_METADATA_LEN) as JSON.
    #[error(
        "the metadata of {id} takes {len} bytes as JSON; the limit is {}",
        crate::metadata::MAX_METADATA_LEN
    )]
    MetadataTooLarge {
        /// The id.
        id: Id,
        /// Its length in bytes.
        len: usize,
    },
    /// To encrypt with the password takes more scrypt work than the caller allows: see
    /// [`StoreBuilder::max_work_factor`](crate::StoreBuilder::max_work_factor).
    #[error("cannot encrypt {id}: the store asks for {}", TooMuchWork { required: *required, limit: *limit })]
    TooMuchWork {
        /// The id.
        id: Id,
        /// The store's work factor.
        required: u8,
        /// The largest that is allowed.
        limit: u8,
    },
    /// To encrypt with the password takes more memory than there is.
    #[error("cannot encrypt {id}: {}", Memory { needed: *needed })]
    OutOfMemory {
        /// The id.
        id: Id,
        /// How much it takes, in bytes.
        needed: u64,
    },
    /// More recipients than the header of an age file holds: [`MAX_HEADER_LEN`](crate::MAX_HEADER_LEN).
    #[error("cannot encrypt {id}: more recipients than an age header of 64 KiB holds")]
    TooManyRecipients {
        /// The id.
        id: Id,
    },
    /// age could not encrypt.
    #[error("cannot encrypt {id}: {reason}")]
    Encrypt {
        /// The id.
        id: Id,
        /// What the age crate said.
        reason: String,
    },
    /// The lock was not to be had in time, or was lost before the commit.
    #[error(transparent)]
    Lock(#[from] posixage_lock::Error),
    /// A system call failed.
    #[error("cannot {op} {}: {}", path.display(), reason(error))]
    Io {
        /// What was being done, as a verb.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// One key that was tried on a secret, and why it did not decrypt it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The name of the key source.
    pub key: String,
    /// Why it failed.
    pub reason: Misfit,
}

/// Why a key does not decrypt a secret that may be whole.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The secret is encrypted to others.
    #[error("not a recipient")]
    NotARecipient,
    /// The password is another.
    #[error("wrong password")]
    WrongPassword,
    /// The secret is not encrypted for this type of key.
    #[error("the secret has no copy for this type of key")]
    NoCopy,
    /// To try the password takes more work than the caller allows: see
    /// [`StoreBuilder::max_work_factor`](crate::StoreBuilder::max_work_factor).
    #[error("{}", TooMuchWork { required: *required, limit: *limit })]
    TooMuchWork {
        /// The scrypt work factor that the secret asks for.
        required: u8,
        /// The largest that is allowed.
        limit: u8,
    },
    /// To try the password takes more memory than there is.
    #[error("{}", Memory { needed: *needed })]
    OutOfMemory {
        /// How much it takes, in bytes.
        needed: u64,
    },
    /// There is no key: it was unavailable, or cannot be used.
    #[error("{0}")]
    Unavailable(KeyError),
}

struct TooMuchWork {
    required: u8,
    limit: u8,
}

impl fmt::Display for TooMuchWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, limit } = self;
        write!(
            f,
            "scrypt work factor {required}; the limit set here is {limit}"
        )
    }
}

struct Memory {
    needed: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.needed >> 20;
        write!(
            f,
            "scrypt takes {mib} MiB of memory, which is not available"
        )
    }
}

impl Error {
    /// A line about what to do, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::InsecurePermissions { path, .. } => Some(format!("chmod 700 {}", quoted(path))),
            Self::Moved { .. } => Some("open it at its new place".into()),
            Self::Overtaken { .. } => Some("try again".into()),
            Self::ForeignOwner { owner, .. } => Some(format!("run as user {owner}")),
            Self::Damaged { id, path, .. } => {
                let is_secret = path.ends_with(id.directory_name());
                let secret = path.parent().filter(|_| !is_secret).unwrap_or(path);
                let secret = secret.display();
                Some(format!(
                    "restore {secret} from a backup, or remove the secret"
                ))
            }
            Self::Io { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space; the store is as it was before".into())
                }
                io::ErrorKind::PermissionDenied => {
                    Some("is it another user's? ls -ld tells the owner and the mode".into())
                }
                io::ErrorKind::CrossesDevices => Some(
                    "on an overlay file system what comes from a lower layer cannot be renamed: \
                     copy the store once, as a whole"
                        .into(),
                ),
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("the store can be read, not written".into())
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn io(
        op: &'static str,
        path: impl Into<PathBuf>,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::Io {
            op,
            path: path.into(),
            error: error.into(),
        }
    }
}

struct NoFit<'a> {
    has: &'a [KeyType],
    attempts: &'a [Attempt],
}

impl fmt::Display for NoFit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<String> = self.has.iter().map(ToString::to_string).collect();
        write!(f, ", which is encrypted for {}", types.join(" and "))?;
        for (i, Attempt { key, reason }) in self.attempts.iter().enumerate() {
            f.write_str(if i == 0 { "; tried " } else { ", " })?;
            write!(f, "{key} ({reason})")?;
        }
        Ok(())
    }
}

/// A path as it can be pasted into a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    // Only a NUL cannot be quoted, and no path has one.
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), String::from)
}
