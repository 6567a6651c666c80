//! Where a secret's new directory is made, before it takes its name.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::atomic::Ordering,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fchmod, fstat, mkdirat},
    io::Errno,
};

use crate::{
    commit::tree,
    disk::{
        layout,
        root::{FileId, Root},
    },
    error::Error,
    syscall::{fsync, openat, try_flock},
};

/// How often a stage is made again that a sweep took for a dead one.
const TRIES: usize = 64;

/// A directory of a temporary name that no other process touches while it is open: a sweep passes
/// over a directory whose flock is held, and the kernel drops the flock of a process that ends.
///
/// Dropped, it is removed, unless [`keep`](Self::keep) said otherwise.
pub(crate) struct Stage<'r> {
    root: &'r Root,
    name: String,
    /// What has the name, as long as nothing else has.
    own: FileId,
    dir: OwnedFd,
    /// Kept open until they are on disk.
    files: Vec<(&'static str, File)>,
    remove: bool,
}

impl<'r> Stage<'r> {
    pub(crate) fn new(root: &'r Root) -> Result<Self, Error> {
        let fails = |e| Error::io("make a stage in", &root.path, e);
        for _ in 0..TRIES {
            let name = layout::new_stage().map_err(fails)?;
            if let Some((dir, own)) = make_dir(root, &name)? {
                return Ok(Self {
                    root,
                    name,
                    own,
                    dir,
                    files: Vec::with_capacity(2),
                    remove: true,
                });
            }
        }
        Err(fails(Errno::EXIST))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn own(&self) -> FileId {
        self.own
    }

    /// Writes a file. It is not on disk before [`sync`](Self::sync).
    pub(crate) fn write(&mut self, name: &'static str, content: &[u8]) -> Result<(), Error> {
        let fails = |op, e: io::Error| Error::io(op, self.path_of(name), e);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.dir, name, flags, mode).map_err(|e| fails("create", e.into()))?;
        allow_owner(&file, mode).map_err(|e| fails("set the mode of", e.into()))?;
        let mut file = File::from(file);
        file.write_all(content).map_err(|e| fails("write", e))?;
        self.files.push((name, file));
        Ok(())
    }

    /// Brings everything to disk: the files by the descriptors that wrote them, which are told of
    /// every page that was lost, and the directory, or a power cut may leave it without them.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        // A failed fsync is not retried: the kernel reports a lost page once, and a second call
        // would call it written.
        for (name, file) in &self.files {
            fsync(file).map_err(|e| Error::io("fsync", self.path_of(name), e))?;
        }
        fsync(&self.dir).map_err(|e| Error::io("fsync", self.root.path_of(&self.name), e))
    }

    /// Leaves what has this name now to the next sweep.
    pub(crate) fn keep(&mut self) {
        self.remove = false;
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.root.path_of(&self.name).join(name)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if !self.remove {
            return;
        }
        // A rename that reported an error may have been made: then the name is that of the old value.
        match self.root.id_of(&self.name) {
            Ok(Some(id)) if id == self.own => {
                tree::remove_or_leave(self.root, &self.name);
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => self.root.swept.store(false, Ordering::Relaxed),
        }
    }
}

/// A directory of that name with its flock held; `None` if the name was taken, or if a sweep was
/// faster than the flock.
fn make_dir(root: &Root, name: &str) -> Result<Option<(OwnedFd, FileId)>, Error> {
    let fails = |(op, e): (_, Errno)| Error::io(op, root.path_of(name), e);
    match mkdirat(&root.dir, name, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(None),
        Err(e) => return Err(fails(("make directory", e))),
    }
    match claim(root, name) {
        // Some file systems say so of a directory that is open, too.
        Err((_, Errno::NOENT | Errno::STALE)) => Ok(None),
        Err(error) => {
            tree::remove_or_leave(root, name);
            Err(fails(error))
        }
        Ok(claimed) => Ok(claimed),
    }
}

/// Opens a directory that was just made, and takes its flock; `None` if it is another's by then.
fn claim(root: &Root, name: &str) -> Result<Option<(OwnedFd, FileId)>, (&'static str, Errno)> {
    let fails = |op| move |e: Errno| (op, e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(&root.dir, name, flags, Mode::empty());
    let dir = match open() {
        // A umask can take the owner's own permissions away.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(&root.dir, name, Mode::RWXU, AtFlags::empty())
                .map_err(fails("set the mode of"))?;
            open()
        }
        opened => opened,
    };
    let dir = dir.map_err(fails("open"))?;
    allow_owner(&dir, Mode::RWXU).map_err(fails("set the mode of"))?;
    if !try_flock(&dir).map_err(fails("flock"))? {
        return Ok(None);
    }
    // A sweep may have had the flock, and removed the directory, in between.
    let own = FileId::from(&fstat(&dir).map_err(fails("stat"))?);
    let named = root.id_of(name).map_err(fails("stat"))?;
    Ok((named == Some(own)).then_some((dir, own)))
}

/// Makes the mode what it should be whatever the umask took away or an ACL added.
pub(crate) fn allow_owner(file: impl AsFd, mode: Mode) -> Result<(), Errno> {
    if fstat(&file)?.st_mode & 0o777 == mode.as_raw_mode() {
        return Ok(());
    }
    fchmod(file, mode)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A rename that reported an error may have been made: the name is that of the old value then.
    #[test]
    fn a_stage_does_not_remove_what_has_its_name_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        for displaced in [false, true] {
            let stage = Stage::new(&root).unwrap();
            let path = root.path_of(stage.name());
            if displaced {
                fs::remove_dir(&path).unwrap();
                fs::create_dir(&path).unwrap();
                fs::write(path.join("secretage"), "old").unwrap();
            }
            drop(stage);
            assert_eq!(path.join("secretage").exists(), displaced);
        }
    }
}
