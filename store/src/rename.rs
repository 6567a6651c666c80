//! The three renames a commit is made of, within one root.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that renames in a store"
)]

use rustix::{
    fs::{RenameFlags, renameat, renameat_with},
    io::Errno,
};

use crate::root::Root;

/// Lets two names change places, both there at every moment. `false` if the file system or the
/// kernel cannot.
pub(crate) fn exchange(root: &Root, a: &str, b: &str) -> Result<bool, Errno> {
    match renameat_with(&root.dir, a, &root.dir, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(e) if is_refusal(e) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Gives `from` the name `to` unless that is taken; `false` if it is.
///
/// Where the file system cannot decide that, the exclusive lock does: among those who take it,
/// nobody makes the name between the look and the rename.
pub(crate) fn rename_new(root: &Root, from: &str, to: &str) -> Result<bool, Errno> {
    match renameat_with(&root.dir, from, &root.dir, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) if is_refusal(e) => {
            if root.contains(to)? {
                return Ok(false);
            }
            rename(root, from, to).map(|()| true)
        }
        Err(e) => Err(e),
    }
}

/// Gives `from` the name `to`, which is free or an empty directory.
pub(crate) fn rename(root: &Root, from: &str, to: &str) -> Result<(), Errno> {
    renameat(&root.dir, from, &root.dir, to)
}

fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV
    )
}
