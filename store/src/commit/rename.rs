//! The three renames a commit is made of, within one root, each behind the fence.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that renames in a store"
)]

use std::path::PathBuf;

use rustix::{
    fs::{RenameFlags, renameat, renameat_with},
    io::Errno,
};

use crate::{
    disk::{held::Exclusive, root::Root},
    error::Error,
};

/// Why a rename was not made.
pub(crate) enum Refused {
    /// The fence: the lock was lost, or that cannot be told.
    Fence(posixage_lock::Error),
    /// The system.
    System(Errno),
}

/// Lets two names change places, both there at every moment. `false` if the file system or the
/// kernel cannot.
pub(crate) fn exchange(
    root: &Root,
    exclusive: &Exclusive,
    a: &str,
    b: &str,
) -> Result<bool, Refused> {
    fence(exclusive)?;
    match renameat_with(&root.dir, a, &root.dir, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(e) if is_refusal(e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Gives `from` the name `to` unless that is taken; `false` if it is.
///
/// Where the file system cannot decide that, the exclusive lock does: no process that takes it makes
/// the name between the look and the rename.
pub(crate) fn rename_new(
    root: &Root,
    exclusive: &Exclusive,
    from: &str,
    to: &str,
) -> Result<bool, Refused> {
    fence(exclusive)?;
    match renameat_with(&root.dir, from, &root.dir, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) if is_refusal(e) => {
            if root.contains(to)? {
                return Ok(false);
            }
            rename(root, exclusive, from, to).map(|()| true)
        }
        Err(e) => Err(e.into()),
    }
}

/// Gives `from` the name `to`, which is free or an empty directory.
pub(crate) fn rename(
    root: &Root,
    exclusive: &Exclusive,
    from: &str,
    to: &str,
) -> Result<(), Refused> {
    fence(exclusive)?;
    Ok(renameat(&root.dir, from, &root.dir, to)?)
}

/// I5: asked immediately before each rename, and not once for several. A slow fsync, a stop, or a
/// suspend between two of them may last until another process has the lock. A secret's name belongs to
/// that process from then on: to give it another directory, or its old one back, would undo what that
/// process was told is on disk.
fn fence(exclusive: &Exclusive) -> Result<(), Refused> {
    exclusive.verify().map_err(Refused::Fence)
}

fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV
    )
}

impl Refused {
    /// As an error of what was being done.
    pub(crate) fn io(self, op: &'static str, path: impl Into<PathBuf>) -> Error {
        match self {
            Self::Fence(error) => error.into(),
            Self::System(errno) => Error::io(op, path, errno),
        }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}
