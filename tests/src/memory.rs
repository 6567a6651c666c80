//! What a process leaves in its memory.

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
};

use rustix::process::Signal;

use crate::{Program, Running, strace};

/// Runs a program up to its last system call, `exit_group`, and returns all of its writable memory
/// at that moment, a block for each mapping, with the mapping's name. Its arguments and environment,
/// which its caller put there, are blanked.
///
/// # Panics
/// It does not get there, or its memory cannot be read: that takes root.
#[must_use]
pub fn at_exit(program: Program) -> Vec<(String, Vec<u8>)> {
    let running = program
        .behind(strace::stopping_at_exit())
        .start_with_input();
    running.wait_for_stderr(strace::STOPPED);
    let memory = of(&running);
    running.signal_all(Signal::KILL);
    drop(running.end());
    memory
}

/// The writable memory of the program that strace runs.
fn of(running: &Running) -> Vec<(String, Vec<u8>)> {
    let strace = running.id();
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"));
    let children = children.expect("the children of strace");
    let pid = children.split_whitespace().next().expect("a child");
    writable(pid)
}

fn writable(pid: &str) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("/proc/PID/maps");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("/proc/PID/mem");
    let mut blocks = Vec::new();
    let given = given(pid);
    for line in maps.lines() {
        // START-END MODE OFFSET DEVICE INODE NAME
        let mut words = line.split_whitespace();
        let (start, end) = words
            .next()
            .and_then(|w| w.split_once('-'))
            .expect("a range");
        let address = |hex| u64::from_str_radix(hex, 16).expect("an address");
        let (start, end) = (address(start), address(end));
        if !words.next().is_some_and(|mode| mode.contains('w')) {
            continue;
        }
        let offset = |at: u64| usize::try_from(at - start).expect("a length");
        let mut bytes = vec![0; offset(end)];
        memory
            .read_exact_at(&mut bytes, start)
            .expect("read memory");
        if (start..end).contains(&given.start) {
            bytes[offset(given.start)..offset(given.end)].fill(0);
        }
        blocks.push((words.nth(3).unwrap_or("anonymous").to_owned(), bytes));
    }
    assert!(!blocks.is_empty(), "no writable memory");
    blocks
}

/// Where the kernel put the arguments and the environment: proc_pid_stat(5), fields 48 to 51.
fn given(pid: &str) -> Range<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("/proc/PID/stat");
    // The third field follows the program's name, which may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("fields");
    let field = |n: usize| {
        fields
            .split(' ')
            .nth(n - 3)
            .and_then(|word| word.parse().ok())
    };
    field(48).expect("arg_start")..field(51).expect("env_end")
}
