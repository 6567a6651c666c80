//! The directory that is the store: opened once, and everything in it reached from there.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf, absolute},
    sync::atomic::AtomicBool,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, fstatfs, stat, statat, syncfs},
    io::Errno,
    path::Arg,
};

use crate::{
    damage::Damage,
    disk::layout::{CONFIG, Name},
    error::Error,
    syscall::{openat, read, read_dir},
};

/// How btrfs gives itself to know (`linux/magic.h`).
const BTRFS: u32 = 0x9123_683e;

/// An open store directory.
///
/// Everything is opened relative to its descriptor, so that a root renamed or replaced meanwhile
/// does not lead half of an operation elsewhere.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) dir: OwnedFd,
    pub(crate) path: PathBuf,
    /// The path at which it was opened, wherever the process goes; none for a descriptor of the caller's.
    opened_at: Option<PathBuf>,
    id: FileId,
    /// Whether what dead processes left was cleared away, and nothing of ours has been left since.
    pub(crate) swept: AtomicBool,
    /// Whether the file system has refused `RENAME_EXCHANGE` before.
    pub(crate) no_exchange: AtomicBool,
    owner: u32,
    /// Whether it belongs to this user, and lets no other user in.
    pub(crate) private: bool,
}

/// Why a file in the store could not be read.
pub(crate) enum ReadError {
    /// It is not what it should be.
    Bad(Damage),
    /// The system refused.
    Io(io::Error),
}

impl Root {
    /// Opens the directory at `path`, or `dir`, which the caller has open.
    pub(crate) fn open(
        path: &Path,
        dir: Option<&OwnedFd>,
        allow_insecure: bool,
    ) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (opened, opened_at) = match dir {
            Some(dir) => (openat(dir, ".", flags, Mode::empty()), None),
            None => {
                let opened = openat(CWD, path, flags, Mode::empty());
                let at = absolute(path).map_err(|e| Error::io("open store", path, e))?;
                (opened, Some(at))
            }
        };
        let dir = match opened {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Err(Error::NoStore { path: path.into() }),
            Err(e) => return Err(Error::io("open store", path, e)),
        };
        let stat = fstat(&dir).map_err(|e| Error::io("stat", path, e))?;
        let user = rustix::process::geteuid();
        let root = Self {
            dir,
            path: path.into(),
            opened_at,
            id: FileId::from(&stat),
            swept: AtomicBool::new(false),
            no_exchange: AtomicBool::new(false),
            owner: stat.st_uid,
            private: stat.st_uid == user.as_raw() && !lets_others_in(&stat),
        };
        if root.owner != user.as_raw() && !user.is_root() && !allow_insecure {
            return Err(root.foreign());
        }
        // The one mode that matters: below a root that lets no other user in, no file is open to
        // others, whatever a umask, git, tar or cp made of its own mode.
        let mode = stat.st_mode & 0o777;
        if lets_others_in(&stat) && !allow_insecure {
            let path = path.into();
            return Err(Error::InsecurePermissions { path, mode });
        }
        Ok(root)
    }

    /// Refuses to write into another user's store: its owner could not read what root, say, left.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if self.owner == rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        Err(self.foreign())
    }

    /// The user id that owns the root.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    fn foreign(&self) -> Error {
        Error::ForeignOwner {
            path: self.path.clone(),
            owner: self.owner,
            user: rustix::process::geteuid().as_raw(),
        }
    }

    pub(crate) fn path_of(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the root has a directory of that name.
    pub(crate) fn check_dir(&self, name: &str) -> Result<bool, ReadError> {
        let stat = match look_at(&self.dir, name) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(false),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(ReadError::Bad(Damage::NotADirectory));
            }
            Err(e) => return Err(ReadError::Io(e.into())),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(ReadError::Bad(Damage::NotADirectory));
        }
        Ok(true)
    }

    /// Opens a directory in the root, to open files in it, if there is one of that name.
    pub(crate) fn open_dir(&self, name: &str) -> Result<Option<OwnedFd>, ReadError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(ReadError::Bad(Damage::NotADirectory)),
            Err(e) => Err(ReadError::Io(e.into())),
        }
    }

    /// Reads a regular file of at most `limit` bytes in `dir`, if there is one of that name.
    pub(crate) fn read_file(
        &self,
        dir: &OwnedFd,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        // Without O_NONBLOCK opening a FIFO waits for a writer that may never come.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(ReadError::Bad(Damage::SymbolicLink)),
            Err(Errno::NXIO) => return Err(ReadError::Bad(Damage::NotRegular)),
            Err(e) => return Err(ReadError::Io(e.into())),
        };
        let stat = fstat(&file).map_err(|e| ReadError::Io(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(ReadError::Bad(Damage::NotRegular));
        }
        let len = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if len > limit {
            return Err(ReadError::Bad(Damage::TooLarge { len, limit }));
        }
        // What is written later was not written under the lock: a secret's files never grow.
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match read(&file, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(e) => return Err(ReadError::Io(e.into())),
            }
        }
        bytes.truncate(filled);
        Ok(Some(bytes))
    }

    /// Before many fsyncs, which are needed all the same: where each of them alone is slow, and has
    /// nothing left to do after one flush of the file system, flushes it.
    ///
    /// That is btrfs, which writes its log anew for each. Elsewhere fsyncs at the same time share what
    /// they write, and need not wait for what others have written.
    pub(crate) fn flush_if_faster(&self) {
        if fstatfs(&self.dir).is_ok_and(|fs| fs.f_type as u32 == BTRFS) {
            let _ = syncfs(&self.dir);
        }
    }

    /// What `pick` makes of the names in the root, in no order.
    pub(crate) fn names<T>(&self, pick: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Error> {
        let error = |e: Errno| Error::io("list store", &self.path, e);
        let mut picked = Vec::new();
        for entry in read_dir(&self.dir).map_err(error)? {
            picked.extend(pick(entry.map_err(error)?.file_name().to_bytes()));
        }
        Ok(picked)
    }

    /// Whether it has anything of a store in it.
    pub(crate) fn has_marks(&self) -> Result<bool, Error> {
        for name in [CONFIG, posixage_lock::FILE_NAME] {
            let has = self.contains(name);
            if has.map_err(|e| Error::io("stat", self.path_of(name), e))? {
                return Ok(true);
            }
        }
        let marks = self.names(|name| (Name::parse(name) != Name::Foreign).then_some(()))?;
        Ok(!marks.is_empty())
    }

    /// What has that name in the root, if anything.
    pub(crate) fn id_of(&self, name: &str) -> Result<Option<FileId>, Errno> {
        Ok(look_at(&self.dir, name)?.as_ref().map(FileId::from))
    }

    /// Whether the root's path still leads to it: what is written into one that was moved away, or is
    /// hidden by a mount, is in no store.
    pub(crate) fn is_at_its_path(&self) -> Result<bool, Errno> {
        let Some(path) = &self.opened_at else {
            return Ok(true);
        };
        match stat(path) {
            Ok(stat) => Ok(FileId::from(&stat) == self.id),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether the root has anything of that name.
    pub(crate) fn contains(&self, name: &str) -> Result<bool, Errno> {
        Ok(look_at(&self.dir, name)?.is_some())
    }
}

/// Which file it is, whatever its name: no two at the same time are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Stat> for FileId {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// Whether other users can get at what is in it.
pub(crate) fn lets_others_in(directory: &Stat) -> bool {
    directory.st_mode & 0o077 != 0
}

/// What has this name, if anything; a symbolic link itself, not what it leads to.
pub(crate) fn look_at(dir: &OwnedFd, name: impl Arg) -> Result<Option<Stat>, Errno> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}
