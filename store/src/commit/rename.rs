//! The three renames a commit is made of, within one root, each behind the fence; and how one is taken
//! back that came too late.
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
    disk::{
        held::Exclusive,
        root::{FileId, Root},
    },
    error::Error,
};

/// Why a rename was not made.
pub(crate) enum Refused {
    /// The fence: the lock was lost, or that cannot be told.
    Fence(posixage_lock::Error),
    /// The fence: the root's path leads elsewhere by now.
    Moved,
    /// The system.
    System(Errno),
}

/// Lets `from`, which is `own`, and `to` change places, both there at every moment. `false` if the file
/// system or the kernel cannot.
pub(crate) fn exchange(
    root: &Root,
    exclusive: &Exclusive,
    (from, own): (&str, FileId),
    to: &str,
) -> Result<bool, Refused> {
    fence(root, exclusive)?;
    match renameat_with(&root.dir, from, &root.dir, to, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(e) if is_refusal(e) => Ok(false),
        Err(_) if root.id_of(to) == Ok(Some(own)) => Ok(true),
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
    fence(root, exclusive)?;
    match renameat_with(&root.dir, from, &root.dir, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) if is_refusal(e) => {
            if root.contains(to)? {
                return Ok(false);
            }
            rename(root, exclusive, from, to).map(|()| true)
        }
        Err(e) if has_moved(root, e, from, to) => Ok(true),
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
    fence(root, exclusive)?;
    move_to(root, from, to).map_err(Refused::System)
}

/// Takes a rename back that was made when the lock was lost already: between the fence and the rename
/// another process may have got it, and written what is displaced now. `from` and `to` are as the
/// rename had them; `own` is what it gave the name `to`. Whether it is taken back.
///
/// No fence lets this through, so it looks that it undoes nothing else: what has the name must be what
/// was given it. Should another process have been faster still, it gets its name back.
pub(crate) fn retract_exchange(root: &Root, (from, own): (&str, FileId), to: &str) -> bool {
    let exchange = || renameat_with(&root.dir, from, &root.dir, to, RenameFlags::EXCHANGE);
    let is_own = |name| root.id_of(name) == Ok(Some(own));
    if !is_own(to) || exchange().is_err() {
        return false;
    }
    is_own(from) || {
        let _ = exchange();
        false
    }
}

/// The same of a rename to a free name. What has the name `from` meanwhile keeps it: a secret's
/// directory is not empty, so no rename replaces it.
pub(crate) fn retract(root: &Root, from: &str, (to, own): (&str, Option<FileId>)) -> bool {
    let is_own = own.is_none_or(|own| root.id_of(to) == Ok(Some(own)));
    is_own && move_to(root, to, from).is_ok()
}

fn move_to(root: &Root, from: &str, to: &str) -> Result<(), Errno> {
    match renameat(&root.dir, from, &root.dir, to) {
        Err(e) if has_moved(root, e, from, to) => Ok(()),
        result => result,
    }
}

/// Whether a rename that failed was made all the same. Network and FUSE file systems, and those with a
/// bad disk, report an error of what they did.
fn has_moved(root: &Root, error: Errno, from: &str, to: &str) -> bool {
    error != Errno::NOENT && root.contains(from) == Ok(false) && root.contains(to) == Ok(true)
}

/// I5: asked immediately before each rename, and not once for several. A slow fsync, a stop, or a
/// suspend between two of them may last until another process has the lock. A secret's name belongs to
/// that process from then on: to give it another directory, or its old one back, would undo what that
/// process was told is on disk.
fn fence(root: &Root, exclusive: &Exclusive) -> Result<(), Refused> {
    if !root.is_at_its_path()? {
        return Err(Refused::Moved);
    }
    exclusive.verify().map_err(Refused::Fence)
}

/// EPERM is what a container's seccomp filter answers that does not know the call.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV | Errno::PERM
    )
}

impl Refused {
    /// As an error of what was being done.
    pub(crate) fn io(self, root: &Root, op: &'static str, path: impl Into<PathBuf>) -> Error {
        match self {
            Self::Moved => Error::Moved {
                path: root.path.clone(),
            },
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_rename_that_reports_an_error_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        fs::create_dir(dir.path().join("from")).unwrap();
        for error in [Errno::IO, Errno::INTR, Errno::TIMEDOUT] {
            assert!(!has_moved(&root, error, "from", "to"));
        }
        move_to(&root, "from", "to").unwrap();
        for error in [Errno::IO, Errno::INTR, Errno::TIMEDOUT] {
            assert!(has_moved(&root, error, "from", "to"));
        }
        assert!(!has_moved(&root, Errno::NOENT, "from", "to"));
    }
}
