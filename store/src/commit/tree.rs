//! Removing a directory that has lost its name, or never had one.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::atomic::Ordering,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, unlinkat},
    io::Errno,
};

use crate::{
    commit::stage::allow_owner,
    disk::{layout::File, root::Root},
    syscall::{openat, read_dir},
};

/// How deep strange directories inside a secret are followed when it is removed.
const MAX_DEPTH: usize = 16;

/// Removes `name` from the root and all that is in it, and follows no link. What is gone already,
/// because a sweep was faster, is fine; what cannot be removed is left to the next write's sweep.
pub(crate) fn remove_or_leave(root: &Root, name: &str) {
    if let Err(error) = remove(&root.dir, name.as_bytes(), MAX_DEPTH) {
        root.swept.store(false, Ordering::Relaxed);
        tracing::warn!(path = %root.path_of(name).display(), %error, "left for the next sweep");
    }
}

fn remove(parent: impl AsFd, name: &[u8], depth: usize) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(&parent, name, flags, Mode::empty()) {
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
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) if depth > 0 => {
            allow_owner(&dir, Mode::RWXU)?;
            remove_content(&dir, depth - 1)?;
            gone(unlinkat(parent, name, AtFlags::REMOVEDIR))
        }
        result => gone(result),
    }
}

fn remove_content(dir: &OwnedFd, depth: usize) -> Result<(), Errno> {
    let names: Result<Vec<_>, Errno> = read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_owned()))
        .collect();
    for name in names? {
        remove(dir, name.to_bytes(), depth)?;
    }
    Ok(())
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
