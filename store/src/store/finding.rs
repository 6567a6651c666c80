//! What a check of a store can find.

use std::{fmt, path::PathBuf};

use crate::{damage::Damage, id::Id, keys::KeyType, text::Shown};

/// One thing that [`Store::verify`](crate::Store::verify) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// The secret that it belongs to.
    pub id: Option<Id>,
    /// What is the matter with it.
    pub problem: Problem,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// What is the matter with a file or directory. Nothing secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// No part of the store; it is left alone.
    Foreign,
    /// A stage or trash of a process that is gone.
    Leftover,
    /// An old value that a commit set aside and did not come to remove, or to put back.
    SetAside,
    /// Its mode lets other users read or write it, and so do the directories above it.
    Mode {
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        expected: u32,
    },
    /// Its mode would let other users read or write it, but a directory above it lets none in: a umask,
    /// git, tar or cp made it so.
    Loose {
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        expected: u32,
    },
    /// Its mode is not repaired: it has other names, which may be those of another's file.
    HardLinks {
        /// How many names it has.
        count: u64,
    },
    /// It belongs to another user than the root.
    Owner {
        /// The user id that owns it.
        owner: u32,
    },
    /// A secret's directory with nothing in it.
    Empty,
    /// The file is missing, no regular file, too large, or not what it should contain; says what.
    Damaged {
        /// What is wrong.
        reason: Damage,
    },
    /// The system does not let it be read, so that nothing is known about it; says why.
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// The store says that every secret has a copy for this type of key, and this one has none.
    NoCopy {
        /// The type.
        key_type: KeyType,
    },
    /// Encrypted to others than the store says, as far as the header tells.
    Recipients {
        /// How they differ.
        reason: String,
    },
    /// No key that is there decrypts it; it was not looked into.
    NotOpened {
        /// The type.
        key_type: KeyType,
    },
    /// The copies for different types of key hold different values.
    CopiesDiffer,
}

impl Problem {
    /// Whether something is wrong. The rest is only worth knowing.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        !matches!(
            self,
            Self::Foreign | Self::Loose { .. } | Self::HardLinks { .. } | Self::NotOpened { .. }
        )
    }

    /// A word for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Leftover => "leftover",
            Self::SetAside => "set-aside",
            Self::Mode { .. } => "mode",
            Self::Loose { .. } => "loose",
            Self::HardLinks { .. } => "hard-links",
            Self::Owner { .. } => "owner",
            Self::Empty => "empty",
            Self::Damaged { .. } => "damaged",
            Self::Unreadable { .. } => "unreadable",
            Self::NoCopy { .. } => "no-copy",
            Self::Recipients { .. } => "recipients",
            Self::NotOpened { .. } => "not-opened",
            Self::CopiesDiffer => "copies-differ",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is no part of the store"),
            Self::Leftover => f.write_str("was left behind by an interrupted write"),
            Self::SetAside => f.write_str("was set aside by an interrupted write"),
            Self::Mode { mode, expected } => write!(f, "has mode {mode:04o}, not {expected:04o}"),
            Self::Loose { mode, expected } => {
                write!(f, "has mode {mode:04o}, looser than {expected:04o}")
            }
            Self::HardLinks { count } => {
                write!(f, "has {count} hard links, so its mode is left alone")
            }
            Self::Owner { owner } => write!(f, "belongs to user {owner}"),
            Self::Empty => f.write_str("is an empty directory"),
            Self::Damaged { reason } => reason.fmt(f),
            Self::Recipients { reason } => f.write_str(reason),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::NoCopy { key_type } => {
                write!(
                    f,
                    "has no {}, which this store should have",
                    key_type.file_name()
                )
            }
            Self::NotOpened { key_type } => {
                write!(f, "was not decrypted: no {key_type} key that is there fits")
            }
            Self::CopiesDiffer => f.write_str("has copies with different values"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(&self.path), self.problem)?;
        if let Some(id) = &self.id {
            write!(f, " (secret {id})")?;
        }
        if self.repaired {
            f.write_str("; repaired")?;
        }
        Ok(())
    }
}
