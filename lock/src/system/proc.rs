//! The holders of a lock and the processes that wait for it, from /proc. A courtesy for messages:
//! what /proc does not say is not said.

use std::{
    fs,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::Path,
};

use rustix::{io::Errno, process::test_kill_process};

use crate::{Activity, Holder, Mode, system::FileId};

/// What can be seen of a lock file from this process.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) holders: Vec<Holder>,
    pub(crate) waiters: Vec<u32>,
    /// Whether every process of this machine would be seen.
    pub(crate) is_complete: bool,
}

/// The inode of the initial PID namespace, as namespaces(7) shows it: it is fixed in the kernel.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

const BTRFS_MAGIC: u32 = 0x9123_683e;

type Device = (u32, u32);

/// The processes on a lock file in `directory`.
pub(crate) fn view(directory: BorrowedFd<'_>, id: FileId) -> View {
    let Ok(table) = fs::read_to_string("/proc/locks") else {
        return View::default();
    };
    let shown = (rustix::fs::major(id.device), rustix::fs::minor(id.device));
    // Some file systems (btrfs, overlayfs) show stat(2) another device than the kernel's own.
    let own = kernel_device(directory).unwrap_or(shown);
    let mut view = View {
        is_complete: sees_every_process(),
        ..View::default()
    };
    let has_subvolumes = own != shown
        && rustix::fs::fstatfs(directory).is_ok_and(|fs| fs.f_type as u32 == BTRFS_MAGIC);
    for line in table.lines().filter_map(parse) {
        if line.inode != id.inode || line.device != own {
            continue;
        }
        // The subvolumes of a btrfs have one device, and inodes with the same numbers.
        if has_subvolumes {
            match has_open(line.pid, id) {
                Some(true) => {}
                Some(false) => continue,
                None => view.is_complete = false,
            }
        }
        if line.waits {
            view.waiters.push(line.pid);
        } else {
            view.holders.push(Holder {
                pid: line.pid,
                mode: line.mode,
                command: command(line.pid),
                state: activity(line.pid),
            });
        }
    }
    view
}

/// The device of the mount that an open directory is on, as the kernel calls it in /proc/locks.
fn kernel_device(directory: BorrowedFd<'_>) -> Option<Device> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd())).ok()?;
    let mount = about
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?
        .trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| device_of(line, mount))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime …`: the mount's number, its parent's, its device.
fn device_of(line: &str, mount: &str) -> Option<Device> {
    let mut words = line.split(' ');
    words.next().filter(|number| *number == mount)?;
    let (major, minor) = words.nth(1)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether this process and its /proc are of the initial PID namespace. In another, /proc/locks
/// leaves out the processes outside of it.
fn sees_every_process() -> bool {
    let is = |link: &str, value: &str| {
        fs::read_link(link).is_ok_and(|target| target.as_os_str() == value)
    };
    is("/proc/self/ns/pid", INITIAL_PID_NAMESPACE)
        && is("/proc/self", &std::process::id().to_string())
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    waits: bool,
    mode: Mode,
    pid: u32,
    device: Device,
    inode: u64,
}

/// `12: FLOCK  ADVISORY  WRITE 4711 08:01:131074 0 EOF`, with `->` after the number for a waiter.
fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_whitespace().skip(1).peekable();
    let waits = words.next_if_eq(&"->").is_some();
    if words.next()? != "FLOCK" {
        return None;
    }
    let mode = match words.nth(1)? {
        "READ" => Mode::Shared,
        "WRITE" => Mode::Exclusive,
        _ => return None,
    };
    let pid = words.next()?.parse().ok().filter(|pid| *pid != 0)?;
    let mut place = words.next()?.split(':');
    let major = u32::from_str_radix(place.next()?, 16).ok()?;
    let minor = u32::from_str_radix(place.next()?, 16).ok()?;
    let inode = place.next()?.parse().ok()?;
    Some(Line {
        waits,
        mode,
        pid,
        device: (major, minor),
        inode,
    })
}

/// The mode of a lock in /proc/self/fdinfo, where its process may be one that is not seen from here.
pub(crate) fn flock_mode(line: &str) -> Option<Mode> {
    let mut words = line.split_whitespace().skip(1);
    words.next().filter(|kind| *kind == "FLOCK")?;
    match words.nth(1)? {
        "READ" => Some(Mode::Shared),
        "WRITE" => Some(Mode::Exclusive),
        _ => None,
    }
}

/// Whether a process has a file open; none when that cannot be seen.
fn has_open(pid: u32, id: FileId) -> Option<bool> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let is_it = |path: &Path| {
        fs::metadata(path).is_ok_and(|file| file.dev() == id.device && file.ino() == id.inode)
    };
    Some(
        descriptors
            .flatten()
            .any(|descriptor| is_it(&descriptor.path())),
    )
}

/// What a process is doing; none when there is no such process. It is stopped when all of its
/// threads are: one under a debugger does not keep the others from beating.
fn activity(pid: u32) -> Option<Activity> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return is_there(pid).then_some(Activity::Hidden);
    };
    let states: Vec<char> = tasks
        .flatten()
        .filter_map(|task| state(&fs::read_to_string(task.path().join("stat")).ok()?))
        .filter(|state| !matches!(state, 'Z' | 'X' | 'x'))
        .collect();
    Some(match states.as_slice() {
        [] => Activity::Ended,
        states if states.iter().all(|state| matches!(state, 'T' | 't')) => Activity::Stopped,
        states if states.iter().all(|state| *state == 'D') => Activity::Uninterruptible,
        _ => Activity::Alive,
    })
}

/// The state in proc_pid_stat(5).
fn state(stat: &str) -> Option<char> {
    // The name stands in parentheses and may hold any character, parentheses included.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether there is a process, one that /proc hides (`hidepid`) included.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The program's name, and posixage's subcommand. Never other arguments: they may be secrets.
fn command(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut arguments = line.split(|byte| *byte == 0);
    let program = Path::new(std::ffi::OsStr::from_bytes(arguments.next()?));
    let mut name = printable(program.file_name()?.as_bytes());
    if name.contains("posixage")
        && let Some(word) = arguments.next().filter(|word| is_subcommand(word))
    {
        name.push(' ');
        name.push_str(&printable(word));
    }
    Some(name)
}

fn is_subcommand(word: &[u8]) -> bool {
    matches!(word.len(), 1..=16) && word.iter().all(u8::is_ascii_lowercase)
}

/// Another user chose these bytes, and they go to a terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_holder_and_a_waiter_of_proc_locks_are_understood() {
        let holder = parse("12: FLOCK  ADVISORY  WRITE 4711 08:1f:131074 0 EOF");
        let mode = Mode::Exclusive;
        let line = Line {
            waits: false,
            mode,
            pid: 4711,
            device: (8, 31),
            inode: 131_074,
        };
        assert_eq!(holder, Some(line));
        let waiter = parse("12: -> FLOCK  ADVISORY  READ  12 08:1f:131074 0 EOF");
        let line = Line {
            waits: true,
            mode: Mode::Shared,
            pid: 12,
            device: (8, 31),
            inode: 131_074,
        };
        assert_eq!(waiter, Some(line));
    }

    #[test]
    fn other_locks_and_foreign_namespaces_are_passed_over() {
        assert_eq!(
            parse("1: POSIX  ADVISORY  WRITE 4711 08:01:131074 0 EOF"),
            None
        );
        assert_eq!(
            parse("1: FLOCK  ADVISORY  WRITE 0 08:01:131074 0 EOF"),
            None
        );
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_device_of_a_mount_is_found_by_its_number() {
        let btrfs = "36 35 0:41 /home /home rw,relatime shared:1 - btrfs /dev/vda1 rw,subvol=/home";
        assert_eq!(device_of(btrfs, "36"), Some((0, 41)));
        assert_eq!(device_of(btrfs, "35"), None);
        assert_eq!(device_of("36 35 nonsense", "36"), None);
        assert_eq!(device_of("", "36"), None);
    }

    #[test]
    fn this_process_is_alive_and_has_a_name() {
        assert_eq!(activity(std::process::id()), Some(Activity::Alive));
        assert!(command(std::process::id()).is_some_and(|name| name.starts_with("posixage_lock")));
    }

    #[test]
    fn the_kernel_has_a_device_for_every_directory() {
        let directory = fs::File::open("/proc/self").unwrap();
        assert!(kernel_device(directory.as_fd()).is_some());
    }

    #[test]
    fn a_process_without_threads_to_be_seen_is_gone() {
        // Beyond what the kernel gives out.
        assert_eq!(activity(1 << 30), None);
    }

    #[test]
    fn nothing_that_could_be_a_secret_or_a_terminal_escape_is_shown() {
        assert!(is_subcommand(b"lock"));
        assert!(!is_subcommand(b"db/password=hunter2"));
        assert_eq!(printable(b"a\x1b[31mb\n"), "a?[31mb?");
    }
}
