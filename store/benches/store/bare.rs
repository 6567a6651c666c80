//! The yardsticks: the same system calls, and nothing else.

use std::{
    ffi::CStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags},
    io,
};

use crate::table::Result;

/// open, flock, ftruncate, fstat, stat, unlock, close: the reference's lock.
#[expect(clippy::disallowed_methods, reason = "the yardstick is the bare call")]
pub(crate) fn lock(path: &Path) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    rustix::fs::ftruncate(&file, 0)?;
    rustix::fs::fstat(&file)?;
    rustix::fs::statat(CWD, path, AtFlags::empty())?;
    Ok(rustix::fs::flock(&file, FlockOperation::Unlock)?)
}

/// readdir, and openat, read, close of each metadata.json; how many there were.
pub(crate) fn list(root: &File) -> Result<usize> {
    let mut buffer = [0; 4096];
    let mut path = Vec::new();
    let mut count = 0;
    for entry in Dir::read_from(root)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") {
            continue;
        }
        path.clear();
        path.extend_from_slice(name);
        path.extend_from_slice(b"/metadata.json\0");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = CStr::from_bytes_with_nul(&path)?;
        let file = rustix::fs::openat(root, path, flags, Mode::empty())?;
        io::read(&file, &mut buffer)?;
        count += 1;
    }
    Ok(count)
}

/// mkdir, each file written and fsynced, the directory fsynced.
pub(crate) fn stage(directory: &Path, ciphertext: &[u8]) -> Result<()> {
    DirBuilder::new().mode(0o700).create(directory)?;
    for (name, content) in [
        ("metadata.json", b"null".as_slice()),
        ("secretage", ciphertext),
    ] {
        let mut options = OpenOptions::new();
        let path = directory.join(name);
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
    }
    Ok(File::open(directory)?.sync_all()?)
}

/// `RENAME_EXCHANGE`, fsync of the directory around, and removal of what was displaced.
pub(crate) fn publish(stage: &Path, target: &Path, root: &File) -> Result<()> {
    exchange(stage, target)?;
    root.sync_all()?;
    for file in ["metadata.json", "secretage"] {
        fs::remove_file(stage.join(file))?;
    }
    Ok(fs::remove_dir(stage)?)
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is the bare call")]
fn exchange(one: &Path, other: &Path) -> Result<()> {
    let flags = RenameFlags::EXCHANGE;
    Ok(rustix::fs::renameat_with(CWD, one, CWD, other, flags)?)
}
