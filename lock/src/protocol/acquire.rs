//! Taking the lock.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::io::Errno;

use crate::{
    Error, Kind, Mode, Takeover,
    protocol::{
        announce::{Announcer, in_the_way},
        hold::{Hold, Locked, nanoseconds},
        takeover::Watch,
        touch::{Reach, touch},
    },
    system::{Access, FileId, LOCK_NAME, Stat, System},
    wait::{Deadline, Thresholds, Wait},
};

/// A process that wants the lock.
pub(crate) struct Contender<'a, S: System> {
    pub(crate) system: &'a Arc<S>,
    /// The lock file, for messages.
    pub(crate) path: &'a Path,
    pub(crate) mode: Mode,
    pub(crate) takeover: Takeover,
    pub(crate) thresholds: Thresholds,
    /// Told once that the caller waits.
    pub(crate) notice: Option<&'a Announcer>,
    pub(crate) deadline: Deadline,
}

/// How often a lock file may vanish under a caller that does not wait: each time another process has
/// just replaced it.
const PATIENCE: u32 = 100;

/// How often opening may say that the directory is not there before it is believed.
const DISBELIEF: u32 = 3;

enum Opened<F> {
    File {
        file: F,
        read_only: bool,
    },
    /// The directory was removed; or, on some network file systems, the file was just now.
    Gone,
    /// There is no lock file, and we may not make one.
    Unavailable,
}

/// One attempt either ends with the lock, or finds that the lock file is not what it was.
type Attempt<S> = Result<Option<Arc<Hold<S>>>, Error>;

impl<'a, S: System> Contender<'a, S> {
    pub(crate) fn new(system: &'a Arc<S>, path: &'a Path, mode: Mode, wait: Wait) -> Self {
        Self {
            system,
            path,
            mode,
            takeover: Takeover::Never,
            thresholds: Thresholds::STANDARD,
            notice: None,
            deadline: Deadline::new(wait),
        }
    }

    pub(crate) fn acquire(mut self) -> Result<Arc<Hold<S>>, Error> {
        let mut rounds = 0;
        loop {
            if let Some(hold) = self.attempt(rounds)? {
                return Ok(hold);
            }
            rounds += 1;
            let out_of_time = match self.deadline.begin(&**self.system) {
                Some(wait) => self.system.monotonic() >= wait.until,
                None => rounds == PATIENCE,
            };
            if out_of_time {
                return Err(self.timeout());
            }
        }
    }

    fn attempt(&mut self, rounds: u32) -> Attempt<S> {
        let system = &**self.system;
        let (file, read_only) = match self.open()? {
            Opened::File { file, read_only } => (file, read_only),
            Opened::Gone if rounds < DISBELIEF => return Ok(None),
            Opened::Gone => return Err(self.failed("open", Errno::NOENT)),
            // Once more: the file may have been removed between the two openings.
            Opened::Unavailable if rounds == 0 => return Ok(None),
            Opened::Unavailable => return Ok(Some(self.hold(None, Duration::ZERO))),
        };
        let stat = system
            .stat(&file)
            .map_err(|errno| self.failed("stat", errno))?;
        if stat.kind != Kind::File {
            return Err(Error::NotRegular {
                path: self.path.into(),
                kind: stat.kind,
            });
        }
        let mut locked = Locked {
            file,
            id: stat.id,
            read_only,
            reach: Reach::default(),
        };
        // By the reference's rule. Only a peer can have left it so; or it lies where it cannot be
        // touched, and stays so.
        let idle = system.wall_clock().saturating_sub(stat.mtime);
        let was_stale = idle >= self.thresholds.stale && !read_only;

        // I1, fresh before visible: the file is fresh before we can hold it. Otherwise a peer that
        // our lock refuses finds a time from before we came, takes us for dead, and removes the file
        // under us.
        let mut touched = (self.mode == Mode::Shared).then(|| system.boottime());
        touch(system, &locked).map_err(|errno| self.failed("touch", errno))?;

        let refused = |errno| self.flock_failed(errno);
        if !system.try_flock(&locked.file, self.mode).map_err(refused)? {
            touched = None;
            match self.wait_in_queue(locked)? {
                Some(granted) => locked = granted,
                None => return Ok(None),
            }
        }
        let Some(hold) = self.settle(locked, touched)? else {
            return Ok(None);
        };
        if was_stale && !self.outlasts_removal(&hold)? {
            return Ok(None);
        }
        Ok(Some(hold))
    }

    /// A peer may have found the file stale before our touch, and be about to remove it. It does so
    /// at once, so its removal is waited for here. Otherwise it takes the file from under us.
    fn outlasts_removal(&self, hold: &Arc<Hold<S>>) -> Result<bool, Error> {
        let Some(locked) = &hold.locked else {
            return Ok(true);
        };
        self.system.pause(self.thresholds.removal);
        match self.current(locked.id) {
            Ok(Some(_)) => Ok(true),
            Ok(None) => {
                hold.release().map_err(|errno| self.flock_failed(errno))?;
                Ok(false)
            }
            Err(error) => {
                let _ = hold.release();
                Err(error)
            }
        }
    }

    /// With flock granted: makes sure that it is the lock, and not a lock on a file that was
    /// removed while we were on our way to it. `touched` is when the file was touched, if one touch
    /// is enough.
    fn settle(&self, locked: Locked<S::File>, touched: Option<Duration>) -> Attempt<S> {
        let system = &**self.system;
        let id = locked.id;
        let touched = match touched {
            // A shared lock that was free: the touch at its release is of more use than one here.
            Some(touched) => touched,
            None => {
                // Before the touch, so that the file is never older than it is held to be.
                let now = system.boottime();
                // I1 again: we may have waited since the first, and a reference process that
                // released the lock in between has set the time to now.
                if let Err(errno) = touch(system, &locked) {
                    let _ = system.unlock(&locked.file);
                    return Err(self.failed("touch", errno));
                }
                now
            }
        };
        let hold = self.hold(Some(locked), touched);
        // The heart beats before the last look, not after it: however slow this thread is, the file
        // does not grow stale between the look and the guard.
        if system.heart().add(&hold) {
            system.keep_beating();
        }
        // I2, same inode: the lock counts only on the file that others will find at the path.
        // Otherwise a peer that replaced it in the meantime locks the new one beside us. That it
        // is gone altogether is no error: a peer removed it, and we make a new one.
        let is_current = match self.current_after_touch(&hold, id) {
            Ok(is_current) => is_current,
            Err(error) => {
                let _ = hold.release();
                return Err(error);
            }
        };
        // If this thread was slow on the way it begins again. Otherwise its lock would count as lost
        // before the first heartbeat.
        if is_current && hold.is_fresh() {
            return Ok(Some(hold));
        }
        hold.release().map_err(|errno| self.flock_failed(errno))?;
        Ok(None)
    }

    /// Whether the file at the path is the one that was locked and touched, with a time that moves.
    fn current_after_touch(&self, hold: &Hold<S>, id: FileId) -> Result<bool, Error> {
        let Some(current) = self.current(id)? else {
            return Ok(false);
        };
        self.sign(hold, &current)?;
        match &hold.locked {
            Some(locked) if !locked.reach.keeps(current.mtime) => {
                touch(&**self.system, locked).map_err(|errno| self.failed("touch", errno))?;
                // Once more, since a takeover may have judged by the time before this touch.
                Ok(self.current(id)?.is_some())
            }
            _ => Ok(true),
        }
    }

    /// A flock may not reach every view of a file: not through two sshfs mounts, or a bindfs beside
    /// the directory. So an exclusive holder writes a random word into the file, and the fence reads
    /// it back: of two holders, the one that came first finds the other's. On a file system of this
    /// machine it does so only once there is a word, which came through another view.
    fn sign(&self, hold: &Hold<S>, current: &Stat) -> Result<(), Error> {
        let system = &**self.system;
        let (Mode::Exclusive, Some(locked)) = (hold.mode, &hold.locked) else {
            return Ok(());
        };
        if current.size == 0 && system.is_local(&locked.file) {
            return Ok(());
        }
        // Zero is no word.
        let word = RandomState::new().hash_one(system.boottime()) | 1;
        system
            .write_word(&locked.file, word)
            .map_err(|errno| self.failed("write", errno))?;
        hold.word.store(word, Ordering::Release);
        // The write has set the time to now.
        touch(system, locked).map_err(|errno| self.failed("touch", errno))
    }

    /// I7, fair and bounded: waits in the kernel's queue, and looks up from it now and then. Gives
    /// the file with the lock on it, or the new one if it was taken over; none when the file at the
    /// path is no longer this one.
    fn wait_in_queue(&mut self, locked: Locked<S::File>) -> Result<Option<Locked<S::File>>, Error> {
        let system = &**self.system;
        let Some(wait) = self.deadline.begin(system) else {
            return Err(self.timeout());
        };
        let Locked { id, read_only, .. } = locked;
        let mut place = system
            .queue(locked, self.mode)
            .map_err(|errno| self.flock_failed(errno))?;
        let mut watch = Watch::default();
        loop {
            let now = system.monotonic();
            if now >= wait.until {
                // Left before anything is asked: it must not be granted a lock that it does not use.
                drop(place);
                return Err(self.timeout());
            }
            let look = wait.until.min(now.saturating_add(self.thresholds.look));
            match system.wait(&mut place, look) {
                Ok(Some(file)) => {
                    return Ok(Some(Locked {
                        file,
                        id,
                        read_only,
                        reach: Reach::default(),
                    }));
                }
                Ok(None) => {}
                Err(errno) => return Err(self.flock_failed(errno)),
            }
            let Some(current) = self.current(id)? else {
                return Ok(None);
            };
            self.announce(wait.at);
            if self.takeover == Takeover::Stale
                && watch.look(
                    system.monotonic(),
                    current.mtime,
                    system.status().unwrap_or_default().is_stopped(),
                    &self.thresholds,
                )
                && let Some(taken) = self.take_over(&current)?
            {
                return Ok(Some(taken));
            }
        }
    }

    /// The lock file, if it still is this inode. No waiter stays behind one that was replaced: its
    /// holder may keep it for ever.
    fn current(&self, id: FileId) -> Result<Option<Stat>, Error> {
        match self.system.stat_at(LOCK_NAME) {
            Ok(stat) => Ok((stat.id == id).then_some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("stat", errno)),
        }
    }

    fn announce(&mut self, begun: Duration) {
        if self.system.monotonic().saturating_sub(begun) < self.thresholds.notice {
            return;
        }
        if let Some(notice) = self.notice.take() {
            notice.announce();
        }
    }

    /// I8, readable without write access: a shared lock needs no more than a file that can be read.
    /// Where there is none and none can be made, it needs none.
    fn open(&self) -> Result<Opened<S::File>, Error> {
        let denied = match self.system.open(Access::Create) {
            Ok(file) => {
                return Ok(Opened::File {
                    file,
                    read_only: false,
                });
            }
            Err(Errno::NOENT) => return Ok(Opened::Gone),
            Err(errno @ (Errno::ROFS | Errno::ACCESS | Errno::PERM)) => errno,
            Err(errno) => return Err(self.open_failed(errno)),
        };
        if self.mode == Mode::Exclusive {
            return Err(self.open_failed(denied));
        }
        match self.system.open(Access::ReadOnly) {
            Ok(file) => Ok(Opened::File {
                file,
                read_only: true,
            }),
            Err(Errno::NOENT) => Ok(Opened::Unavailable),
            Err(errno) => Err(self.open_failed(errno)),
        }
    }

    pub(crate) fn hold(&self, locked: Option<Locked<S::File>>, now: Duration) -> Arc<Hold<S>> {
        Arc::new(Hold {
            system: Arc::clone(self.system),
            mode: self.mode,
            locked,
            process: self.system.process(),
            word: AtomicU64::new(0),
            thresholds: self.thresholds,
            last_beat: AtomicU64::new(nanoseconds(now)),
            last_seen: AtomicU64::new(nanoseconds(now)),
            loss: OnceLock::new(),
        })
    }

    pub(crate) fn timeout(&mut self) -> Error {
        let system = &**self.system;
        let waited = self.deadline.begin(system).map_or(Duration::ZERO, |wait| {
            system.monotonic().saturating_sub(wait.at)
        });
        Error::Timeout {
            path: self.path.into(),
            mode: self.mode,
            waited,
            status: Box::new(in_the_way(system)),
        }
    }

    fn open_failed(&self, errno: Errno) -> Error {
        // O_NOFOLLOW, and the kinds of file that cannot be opened for writing at all.
        if let Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NODEV = errno
            && let Ok(stat) = self.system.stat_at(LOCK_NAME)
            && stat.kind != Kind::File
        {
            return Error::NotRegular {
                path: self.path.into(),
                kind: stat.kind,
            };
        }
        self.failed("open", errno)
    }

    pub(crate) fn flock_failed(&self, errno: Errno) -> Error {
        match errno {
            Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => Error::Unsupported {
                path: self.path.into(),
                call: "flock",
                source: errno.into(),
            },
            errno => self.failed("lock", errno),
        }
    }

    pub(crate) fn failed(&self, op: &'static str, errno: Errno) -> Error {
        Error::Io {
            op,
            path: self.path.into(),
            source: errno.into(),
        }
    }
}
