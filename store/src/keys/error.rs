//! Why a key could not be had.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use posixage_lock::reason;

use crate::error::quoted;

/// Why a key could not be had. Holds nothing secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read.
    #[error("cannot read key file {}: {}", path.display(), reason(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The file could not be made.
    #[error("cannot make key file {}: {}", path.display(), reason(error))]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// Others than the owner may read or write the file.
    #[error("key file {} is open to others (mode {mode:04o})", path.display())]
    InsecurePermissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is a pipe, a directory or a device.
    #[error("key file {} is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a key of a kind that can be used; says why.
    #[error("key file {} {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, without quoting it.
        reason: String,
    },
    /// A passphrase that does not open the file.
    #[error("wrong passphrase for key file {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The command that should print a password did not.
    #[error("password command{} {reason}", spaced(program.as_deref()))]
    Command {
        /// The program, without its arguments; `None` if there is none of that name, which may be
        /// the password itself.
        program: Option<String>,
        /// What it did instead.
        reason: String,
    },
    /// A callback could not get the key, and says why: there was no terminal, or no answer.
    #[error("{0}")]
    Unavailable(String),
}

impl KeyError {
    /// A line about what to do, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InsecurePermissions { path, .. } => Some(format!("chmod 600 {}", quoted(path))),
            Self::NotRegular { .. } => Some(
                "write the key to a file, mode 600, or hand it over through a pipe: <(…)".into(),
            ),
            _ => None,
        }
    }

    pub(crate) fn unusable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unusable {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

fn spaced(program: Option<&str>) -> String {
    program.map_or_else(String::new, |program| format!(" {program}"))
}
