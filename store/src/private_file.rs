//! Files outside the store that hold something secret, keys and passwords, and the directories that
//! lead there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::source::KeyError;

/// The largest such file in bytes (1 MiB).
const MAX_LEN: u64 = 1 << 20;

/// Reads a regular file that, unless `allow_insecure`, nobody but its owner may read or write.
pub(crate) fn read(path: &Path, allow_insecure: bool) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let io = |e: io::Error| KeyError::Io {
        path: path.into(),
        source: Arc::new(e),
    };
    // Without O_NONBLOCK opening a FIFO waits for a writer that may never come.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path);
    let mut file: File = open.map_err(io)?;
    let stat = file.metadata().map_err(io)?;
    if !stat.is_file() {
        return Err(KeyError::unusable(path, "is not a regular file"));
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

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory and those that lead to it, as far as they are not there: each for its owner
/// alone, whatever the umask takes away.
///
/// All of them are on disk when this returns. That goes for one that is there already too: somebody
/// may have made it just now, and died before it was. Those above it were by then.
pub(crate) fn create_dirs(path: &Path) -> io::Result<()> {
    let above = parent(path);
    if path.is_dir() {
        return sync_dir(above);
    }
    create_dirs(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700))?,
        // Somebody else was faster; or it is no directory.
        Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(ErrorKind::NotADirectory.into());
        }
        Err(e) => return Err(e),
    }
    sync_dir(above)
}

/// Brings a directory's entries to disk, if it may be read: in another nobody can.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(dir) => dir.sync_all(),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(e) => Err(e),
    }
}
