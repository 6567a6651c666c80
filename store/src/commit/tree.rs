//! Removing a directory that has lost its name, or never had one.

use std::{ffi::CString, mem, os::fd::OwnedFd, sync::atomic::Ordering};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fstat, unlinkat},
    io::Errno,
    path::Arg,
};

use crate::{
    commit::stage::allow_owner,
    disk::{
        layout::File,
        root::{FileId, Root},
    },
    syscall::{openat, read_dir},
};

/// Removes `name` from the root and all that is in it, and follows no link. What is gone already,
/// because a sweep was faster, is fine; what cannot be removed is left to the next write's sweep.
/// Whether it is gone.
pub(crate) fn remove_or_leave(root: &Root, name: &str) -> bool {
    let removed = remove(&root.dir, name);
    if let Err(error) = removed {
        root.swept.store(false, Ordering::Relaxed);
        tracing::warn!(path = %root.path_of(name).display(), %error, "left for the next sweep");
    }
    removed.is_ok()
}

fn remove(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    let dir = match open_dir(parent, name) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return gone(unlinkat(parent, name, AtFlags::empty())),
        Err(e) => return Err(e),
    };
    // Nearly always there is nothing else, and no need to list.
    for known in File::known() {
        let unlink = || unlinkat(&dir, known, AtFlags::empty());
        let unlinked = match unlink() {
            // Read-only: that keeps nothing in it.
            Err(Errno::ACCESS) => allow_owner(&dir, Mode::RWXU).and_then(|()| unlink()),
            result => result,
        };
        match unlinked {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
            Err(e) => return Err(e),
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            remove_content(dir)?;
            gone(unlinkat(parent, name, AtFlags::REMOVEDIR))
        }
        result => gone(result),
    }
}

/// A directory that is being emptied.
struct Level {
    /// Its name in the one above.
    name: CString,
    /// The one above.
    parent: FileId,
    /// What is left in the one above.
    siblings: Vec<CString>,
}

/// Empties a directory, with one descriptor open however deep it is.
fn remove_content(top: OwnedFd) -> Result<(), Errno> {
    let mut levels: Vec<Level> = Vec::new();
    let mut names = names_in(&top)?;
    let mut dir = top;
    loop {
        if let Some(name) = names.pop() {
            match unlinkat(&dir, &name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) => {}
                unlinked => {
                    gone(unlinked)?;
                    continue;
                }
            }
            let below = open_dir(&dir, &name)?;
            levels.push(Level {
                name,
                parent: FileId::from(&fstat(&dir)?),
                siblings: mem::replace(&mut names, names_in(&below)?),
            });
            dir = below;
            continue;
        }
        let Some(level) = levels.pop() else {
            return Ok(());
        };
        let above = open_dir(&dir, c"..")?;
        // Moved meanwhile: what has the name there is another directory.
        if FileId::from(&fstat(&above)?) != level.parent {
            return Err(Errno::STALE);
        }
        gone(unlinkat(&above, &level.name, AtFlags::REMOVEDIR))?;
        dir = above;
        names = level.siblings;
    }
}

/// What is in a directory, which its owner may change from here on.
fn names_in(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    allow_owner(dir, Mode::RWXU)?;
    read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_owned()))
        .collect()
}

fn open_dir(parent: &OwnedFd, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    /// Planted, they could otherwise not be cleared away.
    #[test]
    fn a_directory_is_removed_however_deep_and_wide_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        let make = |parent: &OwnedFd, name: &str| {
            mkdirat(parent, name, Mode::RWXU).unwrap();
            open_dir(parent, name).unwrap()
        };
        let top = make(&root.dir, "top");
        let mut below = make(&top, "deep");
        for _ in 0..3000 {
            below = make(&below, "d");
        }
        for name in 0..300 {
            make(&make(&top, &format!("w{name}")), "d");
        }
        remove(&root.dir, "top").unwrap();
        assert!(!root.contains("top").unwrap());
    }
}
