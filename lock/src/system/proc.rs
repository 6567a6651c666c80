//! The holders of a lock and its waiters, from /proc, for messages only: where /proc says
//! nothing, nothing is said.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use crate::{Activity, Holder, Mode, system::FileId};

/// The holders, and the processes that wait.
pub(crate) fn contenders(id: FileId) -> (Vec<Holder>, Vec<u32>) {
    let table = fs::read_to_string("/proc/locks").unwrap_or_default();
    let on_inode: Vec<Line> = table
        .lines()
        .filter_map(parse)
        .filter(|line| line.inode == id.inode)
        .collect();
    // Some file systems (btrfs, overlayfs) show stat(2) another device than the kernel's own.
    let device = (rustix::fs::major(id.device), rustix::fs::minor(id.device));
    let known = on_inode.iter().any(|line| line.device == device);
    let mine = on_inode.into_iter().filter(|line| {
        if known {
            line.device == device
        } else {
            has_open(line.pid, id)
        }
    });

    let mut holders = Vec::new();
    let mut waiters = Vec::new();
    for line in mine {
        if line.waits {
            waiters.push(line.pid);
        } else {
            holders.push(Holder {
                pid: line.pid,
                mode: line.mode,
                command: command(line.pid),
                state: activity(line.pid),
            });
        }
    }
    (holders, waiters)
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    waits: bool,
    mode: Mode,
    pid: u32,
    device: (u32, u32),
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

fn has_open(pid: u32, id: FileId) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        fs::metadata(descriptor.path())
            .is_ok_and(|file| file.dev() == id.device && file.ino() == id.inode)
    })
}

fn activity(pid: u32) -> Option<Activity> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any character, parentheses included.
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    Some(match state {
        'T' | 't' => Activity::Stopped,
        'D' => Activity::Uninterruptible,
        'Z' | 'X' | 'x' => Activity::Ended,
        _ => Activity::Alive,
    })
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
    fn this_process_is_alive_and_has_a_name() {
        assert_eq!(activity(std::process::id()), Some(Activity::Alive));
        assert!(command(std::process::id()).is_some_and(|name| name.starts_with("posixage_lock")));
    }

    #[test]
    fn nothing_that_could_be_a_secret_or_a_terminal_escape_is_shown() {
        assert!(is_subcommand(b"lock"));
        assert!(!is_subcommand(b"db/password=hunter2"));
        assert_eq!(printable(b"a\x1b[31mb\n"), "a?[31mb?");
    }
}
