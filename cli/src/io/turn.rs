//! One prompt a terminal at a time. Of two at once each would get some of the bytes, and the second would
//! take the hidden modes of the first for the terminal's own.
//!
//! The prompts of our processes queue for a record lock (fcntl(2)) on the terminal's device, held from
//! before its modes are read until they are restored. A record lock and not flock(2), since processes
//! of another user can open the device by no name, and lock what they have inherited: that is one open
//! file, which flock does not keep apart. Git's own prompts take no lock; they are waited for.

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, OFlags, fcntl_lock, fstat, major, minor},
    io::retry_on_intr,
    process::{Flock, FlockType, Signal, fcntl_getlk, getpgrp, getpid, kill_current_process_group},
    stdio::{stderr, stdin, stdout},
    termios::tcgetpgrp,
};

use crate::io::output::say;

/// The name of `git-credential-posixage`, as far as the kernel keeps it.
const HELPER: &str = "git-credential-";

static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on nothing is said of a wait.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// The right to ask on the terminal.
#[must_use = "dropped, it is the turn of another prompt"]
pub(crate) struct Turn {
    /// None where the device cannot be found or locked: then nothing is known of other prompts.
    _lock: Option<File>,
    _of_thread: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits until no other process asks on the terminal.
    pub(crate) fn wait(tty: &File) -> Self {
        static THREADS: Mutex<()> = Mutex::new(());
        let of_thread = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = || Some(device()?).filter(|device| lock(device).is_ok());
        let mut locked = lock();
        // A job in the background would be stopped at its prompt, and keep all others waiting. Where
        // the signal is ignored, or has no effect, there is no point in sending it for ever.
        for _ in 0..64 {
            if tcgetpgrp(tty).is_ok_and(|foreground| foreground == getpgrp()) {
                break;
            }
            drop(locked);
            let _ = kill_current_process_group(Signal::TTOU);
            locked = lock();
        }
        wait_for_git(None);
        Self {
            _lock: locked,
            _of_thread: of_thread,
        }
    }
}

fn lock(device: &File) -> io::Result<()> {
    if fcntl_lock(device, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(());
    }
    let holder = fcntl_getlk(device, &Flock::from(FlockType::WriteLock));
    let holder = holder.ok().flatten().and_then(|lock| lock.pid);
    announce(holder.map_or_else(String::new, |pid| format!(" of process {pid}")));
    Ok(retry_on_intr(|| {
        fcntl_lock(device, FlockOperation::LockExclusive)
    })?)
}

/// Says that this prompt waits for another.
fn announce(whose: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        // The other's prompt stands on the line.
        let line = if io::stderr().is_terminal() { "\n" } else { "" };
        say(format_args!(
            "{line}posixage: waiting for the prompt{whose} on this terminal"
        ));
    }
}

/// The terminal's own device. (`/dev/tty` is one file for all terminals.)
fn device() -> Option<File> {
    let number = Process::read("self")?.terminal;
    let is_it = |fd: BorrowedFd<'_>| {
        fstat(fd).is_ok_and(|stat| {
            let found = (major(stat.st_rdev), minor(stat.st_rdev));
            stat.st_mode & 0o170_000 == 0o020_000 && found == number
        })
    };
    let mut options = File::options();
    options.read(true).write(true);
    // Else it might become the terminal of this process, or wait for a modem.
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    let open = |path: &str| {
        let file = options.open(path).ok()?;
        is_it(file.as_fd()).then_some(file)
    };
    let inherited = || {
        [stdin(), stdout(), stderr()]
            .into_iter()
            .find(|fd| is_it(*fd))
    };
    let (_, minor) = number;
    open(&format!("/dev/pts/{minor}"))
        .or_else(|| open(&format!("/dev/tty{minor}")))
        .or_else(|| open("/dev/console"))
        .or_else(|| Some(inherited()?.try_clone_to_owned().ok()?.into()))
}

/// Waits until no git of this job asks for a user name or a password itself; with a limit, no longer
/// than that.
pub(crate) fn wait_for_git(limit: Option<Duration>) {
    let started = Instant::now();
    if git_asks() {
        if limit.is_none() {
            announce(" of git");
        }
        while limit.is_none_or(|limit| started.elapsed() < limit) && git_asks() {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether a git of this process group has the terminal open by name, as it has while it asks. One
/// that is stopped asks nothing. Our own helper is no git: others of it wait for the turn that this one
/// has, with the terminal open.
fn git_asks() -> bool {
    let group = getpgrp().as_raw_pid();
    let this = getpid().as_raw_pid().to_string();
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|entry| {
        let name = entry.file_name();
        // `self` is a name of this process, too.
        let is_other = |name: &&str| **name != this && is_pid(name);
        let process = name.to_str().filter(is_other).and_then(Process::read);
        process.is_some_and(|process| {
            process.group == group
                && process.is_running
                && process.command.starts_with("git")
                && process.command != HELPER
                && has_terminal_open(&entry.path())
        })
    })
}

fn is_pid(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_terminal_open(process: &Path) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let mut targets = files.flatten().flat_map(|file| fs::read_link(file.path()));
    targets.any(|target| target == Path::new("/dev/tty"))
}

/// What `/proc/PID/stat` says.
struct Process {
    command: String,
    is_running: bool,
    group: i32,
    /// The terminal's device, major and minor.
    terminal: (u32, u32),
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The command may hold anything, a parenthesis too.
        let (command, fields) = stat.rsplit_once(") ")?;
        let (_, command) = command.split_once(" (")?;
        // STATE PPID PGRP SESSION TTY …
        let mut fields = fields.split(' ');
        let state = fields.next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let terminal = fields.nth(1)?.parse::<i32>().ok()?.cast_unsigned();
        Some(Self {
            command: command.to_owned(),
            is_running: !matches!(state, "T" | "t" | "Z" | "X"),
            group,
            // The kernel's new_encode_dev().
            terminal: (
                terminal >> 8 & 0xfff,
                terminal & 0xff | terminal >> 12 & 0xf_ff00,
            ),
        })
    }
}
