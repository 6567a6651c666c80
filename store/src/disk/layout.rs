//! Every name on disk, once.
//!
//! ```text
//! ROOT/
//!   .posixage.lock, .posixage.lock.…   Lock     the lock file, and what a takeover puts beside it
//!   .posixage.toml                     Config   the recipients
//!   <base64 of the id>/                Secret   (Id::directory_name)
//!     metadata.json                    Metadata
//!     secretpass, secretage, secretssh Ciphertext (KeyType::file_name)
//!   .posixage.stage.<random>/          Stage    a secret on its way in, or displaced
//!   .posixage.trash.<random>/          Trash    a secret that was removed
//!   .posixage.old/<base64 of the id>/  Old      a secret that stepped aside for its next value
//! ```
//!
//! The reference skips every name that begins with `.posixage.`. What is none of these is foreign,
//! and left alone.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use posixage_lock::FILE_NAME as LOCK;
use rustix::io::Errno;

use crate::{id::Id, keys::KeyType};

/// Names the recipients.
pub(crate) const CONFIG: &str = ".posixage.toml";

/// Where an old directory waits while the new one takes its name, without `RENAME_EXCHANGE`.
pub(crate) const OLD: &str = ".posixage.old";

/// The file beside the ciphertexts that says what may be known about them.
pub(crate) const METADATA: &str = "metadata.json";

const STAGE: &str = ".posixage.stage.";
const TRASH: &str = ".posixage.trash.";

/// What a name in the root stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Secret(Id),
    Stage,
    Trash,
    Old,
    Lock,
    Config,
    Foreign,
}

impl Name {
    pub(crate) fn parse(name: &[u8]) -> Self {
        match name {
            name if name == CONFIG.as_bytes() => Self::Config,
            name if name == OLD.as_bytes() => Self::Old,
            name if name.starts_with(LOCK.as_bytes()) => Self::Lock,
            name if name.starts_with(STAGE.as_bytes()) => Self::Stage,
            name if name.starts_with(TRASH.as_bytes()) => Self::Trash,
            name => Id::from_directory_name(name).map_or(Self::Foreign, Self::Secret),
        }
    }

    /// The id, if it is a secret's name.
    pub(crate) fn secret(self) -> Option<Id> {
        match self {
            Self::Secret(id) => Some(id),
            _ => None,
        }
    }

    /// Whether a commit that was interrupted may have left it.
    pub(crate) fn is_leftover(&self) -> bool {
        matches!(self, Self::Stage | Self::Trash)
    }
}

/// Whether a directory that cannot be opened as a root has anything of a store in it. One that cannot be
/// listed may have.
pub(crate) fn has_marks(root: &Path) -> bool {
    fs::read_dir(root).map_or(true, |mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| Name::parse(entry.file_name().as_bytes()) != Name::Foreign)
        })
    })
}

/// What a name in a secret's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Metadata,
    Ciphertext,
    Foreign,
}

impl File {
    pub(crate) fn parse(name: &[u8]) -> Self {
        match name {
            name if name == METADATA.as_bytes() => Self::Metadata,
            name if Self::ciphertexts().any(|known| known.as_bytes() == name) => Self::Ciphertext,
            _ => Self::Foreign,
        }
    }

    /// Every name that is not foreign.
    pub(crate) fn known() -> impl Iterator<Item = &'static str> {
        Self::ciphertexts().chain([METADATA])
    }

    fn ciphertexts() -> impl Iterator<Item = &'static str> {
        KeyType::ALL.into_iter().map(KeyType::file_name)
    }
}

/// A stage's name that no other process uses.
pub(crate) fn new_stage() -> Result<String, Errno> {
    random(STAGE)
}

/// A name that no other process uses, for a secret that is removed.
pub(crate) fn new_trash() -> Result<String, Errno> {
    random(TRASH)
}

/// Where the secret with this directory steps aside.
pub(crate) fn aside(directory: &str) -> String {
    format!("{OLD}/{directory}")
}

fn random(prefix: &str) -> Result<String, Errno> {
    let random =
        getrandom::u64().map_err(|e| Errno::from_io_error(&e.into()).unwrap_or(Errno::IO))?;
    Ok(format!("{prefix}{random:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_what_it_stands_for() {
        let id: Id = "a/b".parse().unwrap();
        for (name, kind) in [
            (id.directory_name(), Name::Secret(id)),
            (new_stage().unwrap(), Name::Stage),
            (new_trash().unwrap(), Name::Trash),
            (OLD.into(), Name::Old),
            (LOCK.into(), Name::Lock),
            (format!("{LOCK}.takeover"), Name::Lock),
            (CONFIG.into(), Name::Config),
            (format!("{CONFIG}.bak"), Name::Foreign),
            (".posixage.notes".into(), Name::Foreign),
            ("YS9i=".into(), Name::Foreign),
            ("notes".into(), Name::Foreign),
        ] {
            assert_eq!(Name::parse(name.as_bytes()), kind, "{name}");
        }
        assert_eq!(Name::parse(b"\xff"), Name::Foreign);
    }

    #[test]
    fn each_file_of_a_secret_is_what_it_stands_for() {
        assert_eq!(File::parse(b"metadata.json"), File::Metadata);
        for key_type in KeyType::ALL {
            let name = key_type.file_name();
            assert_eq!(File::parse(name.as_bytes()), File::Ciphertext);
        }
        assert_eq!(File::parse(b"secretpass.tmp"), File::Foreign);
    }
}
