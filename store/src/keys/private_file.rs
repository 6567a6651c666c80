//! Files outside the store that hold something secret, keys and passwords, and the directories that
//! lead there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{OFlags, fcntl_setfl, fstatfs},
    io::Errno,
};
use zeroize::Zeroizing;

use crate::{keys::KeyError, syscall::try_flock};

/// The largest such file in bytes (1 MiB).
const MAX_LEN: u64 = 1 << 20;

/// Reads a regular file that, unless `allow_insecure`, only its owner may read or write.
pub(crate) fn read(path: &Path, allow_insecure: bool) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let io = |e: io::Error| KeyError::Io {
        path: path.into(),
        error: Arc::new(e),
    };
    // Without O_NONBLOCK opening a FIFO waits for a writer that may never come.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path);
    let mut file: File = open.map_err(io)?;
    let stat = file.metadata().map_err(io)?;
    if stat.file_type().is_fifo() && is_anonymous(&file) {
        return read_pipe(file)
            .map_err(io)?
            .ok_or_else(|| KeyError::unusable(path, "is over 1 MiB long"));
    }
    if !stat.is_file() {
        return Err(KeyError::NotRegular { path: path.into() });
    }
    let mode = stat.mode() & 0o777;
    if mode & 0o077 != 0 && !allow_insecure {
        return Err(KeyError::InsecurePermissions {
            path: path.into(),
            mode,
        });
    }
    if stat.len() > MAX_LEN {
        return Err(KeyError::unusable(path, "is over 1 MiB long"));
    }
    // Sized beforehand: a buffer that grows leaves copies of the key behind.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(stat.len()).unwrap_or(0)]);
    file.read_exact(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Whether a pipe has no name in the file system, such as a shell's `<(…)`: it has, or had, a writer
/// of this user's, and is in no directory where another user could have put it.
fn is_anonymous(pipe: &File) -> bool {
    /// `PIPEFS_MAGIC` of `linux/magic.h`.
    const PIPEFS: u32 = 0x5049_5045;
    fstatfs(pipe).is_ok_and(|fs| fs.f_type as u32 == PIPEFS)
}

/// All that comes through a pipe until its writers close it; `None` if that is too much.
fn read_pipe(pipe: File) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Opened anew above: the flag is not the writer's, nor another reader's.
    fcntl_setfl(&pipe, OFlags::empty())?;
    // One allocation: a buffer that grows leaves copies of the key behind.
    let limit = usize::try_from(MAX_LEN).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    pipe.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

/// What the name of a file begins with that is not whole yet.
const TEMPORARY: &str = ".posixage.new.";

/// How often a file is made again that a sweep took for a dead process's.
const TRIES: usize = 64;

/// Makes a file (0600) of this content, and the directories that lead there (0700), unless there is
/// a file of that name; whether it did.
///
/// Of two processes that try at once one makes it. It is on disk when this returns; a crash leaves the
/// whole file or none, and anything else only until the next try.
pub(crate) fn create(path: &Path, content: impl FnOnce() -> Zeroizing<String>) -> io::Result<bool> {
    let dir = parent(path);
    if !path.try_exists()? {
        create_dirs(dir)?;
    }
    sweep(dir);
    if path.try_exists()? {
        // Its maker may have died before it was on disk, and secrets will depend on it now.
        return sync_found(dir).map(|()| false);
    }
    let content = content();
    for _ in 0..TRIES {
        if let Some(made) = try_create(path, content.as_bytes())? {
            return sync_dir(dir).map(|()| made);
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// `None` if a sweep was faster than the flock.
fn try_create(path: &Path, content: &[u8]) -> io::Result<Option<bool>> {
    // Under a name of its own until it is whole and on disk: a key file that a crash cut short
    // would be found, and used, by the next run.
    let random = getrandom::u64().map_err(io::Error::from)?;
    let temporary = parent(path).join(format!("{TEMPORARY}{random:016x}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    // Says that its maker is alive. Where there is no flock, nothing is swept either.
    let claimed = try_flock(&file).unwrap_or(true);
    let linked = file
        .set_permissions(Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        // A link, unlike a rename, never replaces a file that another process has just made.
        .and_then(|()| fs::hard_link(&temporary, path));
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    match linked {
        Ok(()) => Ok(Some(true)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Some(false)),
        Err(e) if e.kind() == ErrorKind::NotFound || !claimed => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes what processes left that died while they made a file here.
fn sweep(dir: &Path) {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            continue;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(entry.path());
        // Its flock is held until it is gone: a slower maker finds no file to link to.
        if let Ok(file) = file
            && matches!(try_flock(&file), Ok(true))
        {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory and those that lead to it, as far as they are missing: each for its owner
/// alone, whatever the umask takes away. Returns those it has made, the outermost first; after an
/// error none is left.
///
/// All of them are on disk when this returns. That goes for one that exists already too: a process
/// may have made it just now, and died before it was. Those above it were by then.
pub(crate) fn create_dirs(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    let created = create_each(path, &mut made);
    if created.is_err() {
        remove_dirs(&made);
    }
    created.map(|()| made)
}

fn create_each(path: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    let above = parent(path);
    if path.is_dir() {
        return sync_found(above);
    }
    create_each(above, made)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            made.push(path.into());
            match fs::set_permissions(path, Permissions::from_mode(0o700)) {
                // A file system without modes. What needs them looks at them.
                Err(e) if e.kind() == ErrorKind::PermissionDenied => {}
                set => set?,
            }
        }
        // Another process was faster; or it is no directory.
        Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(ErrorKind::NotADirectory.into());
        }
        Err(e) => return Err(e),
    }
    sync_dir(above)
}

/// Removes what [`create_dirs`] has made, unless there is something in it by now.
pub(crate) fn remove_dirs(made: &[PathBuf]) {
    for dir in made.iter().rev() {
        if fs::remove_dir(dir).is_err() {
            return;
        }
    }
}

/// Brings a directory's entries to disk, if it may be read: otherwise nothing can.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(dir) => dir.sync_all(),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(e) => Err(e),
    }
}

/// The same for what was there already. A file system that knows no fsync of a directory, or is
/// read-only, has nothing that could be lost.
fn sync_found(path: &Path) -> io::Result<()> {
    match sync_dir(path) {
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::INVAL | Errno::ROFS)) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc has none, as the read-only squashfs, erofs and iso9660.
    #[test]
    fn an_existing_store_is_found_where_fsync_is_missing() {
        let dir = File::open("/proc/self").unwrap();
        assert_eq!(dir.sync_all().unwrap_err().kind(), ErrorKind::InvalidInput);
        let content = || panic!("there is one");
        assert!(!create(Path::new("/proc/self/status"), content).unwrap());
        create_dirs(Path::new("/proc/self/fd")).unwrap();
    }
}
