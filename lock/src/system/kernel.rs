//! The real system: system calls on an open directory. The only module that may call flock(2) and
//! renameat2(2).

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use rustix::{
    fs::{self, AtFlags, FileType, FlockOperation, OFlags, RenameFlags, Timestamps},
    io::Errno,
    time::{ClockId, Timespec},
};

use crate::{
    Mode, Status,
    protocol::{heartbeat::Heart, hold::Locked, touch::age},
    system::{
        Access, FileId, Kind, LOCK_NAME, Name, Result, Stat, System, proc, process, queue::Place,
    },
};

/// Every lock of this process, whichever handle took it.
static HEART: Heart<Kernel> = Heart::new();

/// File systems whose state is this kernel's alone, by the magic numbers of statfs(2). Not FUSE,
/// behind which is a program, and none of the network.
const LOCAL: [u32; 9] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xf2f5_2010, // F2FS
    0x0102_1994, // tmpfs
    0x794c_7630, // overlayfs
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x3434,      // NILFS2
];

/// Less than the 30 s after which the reference removes a lock file.
const OLD: Duration = Duration::from_secs(20);

/// A directory, opened.
#[derive(Debug)]
pub(crate) struct Kernel {
    directory: OwnedFd,
    /// Whether its file system is of this machine.
    local: OnceLock<bool>,
}

impl Kernel {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self {
            directory,
            local: OnceLock::new(),
        }
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl System for Kernel {
    type File = OwnedFd;
    type Place = Place;

    fn open(&self, access: Access) -> Result<OwnedFd> {
        // O_NOFOLLOW and O_NONBLOCK: a process that can write to the directory must not lead us
        // to another file, or to make us wait for the other end of a FIFO.
        let careful = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open =
            |flags| retry(|| fs::openat(&self.directory, LOCK_NAME, flags | careful, private()));
        if access == Access::ReadOnly {
            return open(OFlags::RDONLY);
        }
        loop {
            match open(OFlags::RDWR) {
                Err(Errno::NOENT) => {}
                answer => return answer,
            }
            match open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL) {
                Ok(file) => return allow_owner(file),
                // Another process was faster.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn stat(&self, file: &OwnedFd) -> Result<Stat> {
        retry(|| fs::fstat(file)).map(|stat| understood(&stat))
    }

    fn stat_at(&self, name: &Name) -> Result<Stat> {
        retry(|| fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW))
            .map(|stat| understood(&stat))
    }

    fn touch(&self, file: &OwnedFd) -> Result<()> {
        // Both times, since setting both to now needs only write access, not ownership.
        let times = Timestamps {
            last_access: special(fs::UTIME_NOW),
            last_modification: special(fs::UTIME_NOW),
        };
        retry(|| fs::futimens(file, &times))
    }

    fn touch_ahead(&self, file: &OwnedFd, by: Duration) -> Result<Duration> {
        let time = self.wall_clock() + by;
        let times = Timestamps {
            last_access: special(fs::UTIME_OMIT),
            last_modification: time.try_into().map_err(|_| Errno::OVERFLOW)?,
        };
        retry(|| fs::futimens(file, &times)).map(|()| time)
    }

    fn try_flock(&self, file: &OwnedFd, mode: Mode) -> Result<bool> {
        try_flock(file, mode)
    }

    fn queue(&self, locked: Locked<OwnedFd>, mode: Mode) -> Result<Place> {
        Ok(Place::take(locked, mode, self.process()))
    }

    fn wait(&self, place: &mut Place, until: Duration) -> Result<Option<OwnedFd>> {
        place.wait(until.saturating_sub(self.monotonic()))
    }

    fn unlock(&self, file: &OwnedFd) -> Result<()> {
        unlock(file)?;
        // I7: a waiter has just been woken, and gets its turn before this thread locks again.
        // Otherwise a thread in a loop keeps the lock for as long as it may run.
        std::thread::yield_now();
        Ok(())
    }

    fn lock_directory(&self) -> Result<Option<OwnedFd>> {
        // A description of its own: a lock on the caller's would be shared with all that have it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = retry(|| fs::openat(&self.directory, c".", flags, fs::Mode::empty()))?;
        Ok(try_flock(&own, Mode::Exclusive)?.then_some(own))
    }

    fn create(&self, name: &Name) -> Result<OwnedFd> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry(|| fs::openat(&self.directory, name, flags, private())).and_then(allow_owner)
    }

    fn exchange(&self, one: &Name, other: &Name) -> Result<()> {
        self.rename_with(one, other, RenameFlags::EXCHANGE)
    }

    fn rename(&self, from: &Name, to: &Name) -> Result<()> {
        self.rename_with(from, to, RenameFlags::NOREPLACE)
    }

    fn remove(&self, name: &Name) -> Result<()> {
        retry(|| fs::unlinkat(&self.directory, name, AtFlags::empty()))
    }

    fn pause(&self, length: Duration) {
        std::thread::sleep(length);
    }

    fn wall_clock(&self) -> Duration {
        clock(ClockId::Realtime)
    }

    fn boottime(&self) -> Duration {
        clock(ClockId::Boottime)
    }

    fn monotonic(&self) -> Duration {
        clock(ClockId::Monotonic)
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn process(&self) -> u64 {
        process::current()
    }

    fn write_word(&self, file: &OwnedFd, word: u64) -> Result<()> {
        match retry(|| rustix::io::pwrite(file, format!("{word:016x}").as_bytes(), 0))? {
            16 => Ok(()),
            _ => Err(Errno::NOSPC),
        }
    }

    fn read_word(&self) -> Result<Option<u64>> {
        // Opened anew, since FUSE and network file systems look at the other side then.
        let file = self.open(Access::ReadOnly)?;
        let mut word = [0; 17];
        let length = retry(|| rustix::io::pread(&file, &mut word, 0))?;
        let text = std::str::from_utf8(&word[..length]).ok();
        Ok(text.and_then(|text| u64::from_str_radix(text, 16).ok()))
    }

    fn is_local(&self, file: &OwnedFd) -> bool {
        *self.local.get_or_init(|| {
            retry(|| fs::fstatfs(file)).is_ok_and(|fs| LOCAL.contains(&(fs.f_type as u32)))
        })
    }

    fn status(&self) -> Result<Status> {
        let stat = match self.stat_at(LOCK_NAME) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Status::default()),
            Err(errno) => return Err(errno),
        };
        let proc::View {
            holders,
            waiters,
            is_complete,
        } = proc::view(self.directory(), stat.id);
        // Elsewhere there may be holders on other machines.
        let is_complete = is_complete && self.is_local(&self.directory);
        Ok(Status {
            exists: true,
            held: match holders.is_empty() {
                false => Some(true),
                true => is_complete.then_some(false),
            },
            is_complete,
            heartbeat_age: age(self.wall_clock(), stat.mtime),
            holders,
            waiters,
        })
    }

    fn heart(&self) -> &Heart<Self> {
        &HEART
    }

    fn keep_beating(&self) {
        HEART.start();
    }
}

impl Kernel {
    /// Tries for a moment whether the lock is held, where that cannot be seen. Of a lock that is
    /// free a writer that comes in these microseconds and does not wait is refused. So it is a last
    /// resort, and none for an old file: a reference process that is refused there removes it.
    pub(crate) fn probe(&self) -> Option<bool> {
        let file = self.open(Access::ReadOnly).ok()?;
        let stat = self.stat(&file).ok()?;
        if stat.kind != Kind::File || self.wall_clock().saturating_sub(stat.mtime) > OLD {
            return None;
        }
        // Shared first, since that does not keep readers out.
        let is_free =
            try_flock(&file, Mode::Shared).ok()? && try_flock(&file, Mode::Exclusive).ok()?;
        unlock(&file).ok()?;
        Some(!is_free)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the lock's own names, for a takeover"
    )]
    fn rename_with(&self, from: &Name, to: &Name, flags: RenameFlags) -> Result<()> {
        retry(|| fs::renameat_with(&self.directory, from, &self.directory, to, flags))
    }
}

/// Opens the directory that lock files are in.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry(|| fs::open(path, flags, fs::Mode::empty()))
}

pub(crate) fn try_flock(file: &OwnedFd, mode: Mode) -> Result<bool> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits for as long as it takes: for the thread of a line.
pub(crate) fn blocking_flock(file: &OwnedFd, mode: Mode) -> Result<()> {
    flock(
        file,
        match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        },
    )
}

pub(crate) fn unlock(file: &OwnedFd) -> Result<()> {
    flock(file, FlockOperation::Unlock)
}

#[expect(clippy::disallowed_methods, reason = "this is posixage-lock")]
fn flock(file: &OwnedFd, operation: FlockOperation) -> Result<()> {
    retry(|| fs::flock(file, operation))
}

/// A signal is no answer.
fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

fn private() -> fs::Mode {
    fs::Mode::RUSR | fs::Mode::WUSR
}

/// Whatever the umask took away: otherwise the file could not be opened again.
fn allow_owner(file: OwnedFd) -> Result<OwnedFd> {
    retry(|| fs::fchmod(&file, private())).map(|()| file)
}

fn special(tv_nsec: fs::Nsecs) -> Timespec {
    Timespec { tv_sec: 0, tv_nsec }
}

fn clock(id: ClockId) -> Duration {
    let now = rustix::time::clock_gettime(id);
    duration(now.tv_sec, now.tv_nsec)
}

/// Times before the epoch are as good as the epoch: both are long ago.
fn duration(seconds: i64, nanoseconds: impl TryInto<u32>) -> Duration {
    Duration::new(
        seconds.try_into().unwrap_or(0),
        nanoseconds.try_into().unwrap_or(0),
    )
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "widths differ between platforms"
)]
fn understood(stat: &fs::Stat) -> Stat {
    Stat {
        id: FileId {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        },
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            _ => Kind::Device,
        },
        mtime: duration(stat.st_mtime as i64, stat.st_mtime_nsec),
        size: stat.st_size.try_into().unwrap_or(0),
    }
}
