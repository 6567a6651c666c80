//! How a process that handles secrets begins and ends, and which signals are its own.

use std::{
    fs,
    process::ExitCode,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ},
    flag,
};
use zeroize::Zeroize;

/// How much of the stack is wiped, in bytes: more than any program here uses.
const STACK: usize = 256 << 10;

/// How much of it one call wipes.
const FRAME: usize = 16 << 10;

/// How much of the stack is left alone, in bytes: what is above [`run`], and what one call needs.
const RESERVE: usize = 64 << 10;

/// Runs a program, so that no other process can read its memory, and nothing secret is left in it
/// at the end. (The heap is wiped by the allocator.)
pub(crate) fn run(program: impl FnOnce() -> ExitCode) -> ExitCode {
    begin();
    let code = below(program);
    wipe_stack(STACK.min(stack_limit().saturating_sub(RESERVE)) / FRAME);
    code
}

/// Keeps the frames of `program` below the caller's, where [`wipe_stack`] reaches them.
#[inline(never)]
fn below(program: impl FnOnce() -> ExitCode) -> ExitCode {
    program()
}

/// Overwrites what returned functions left on the stack: parsers and ciphers copy parts of their
/// input there. `frames` may be fewer than that takes, where the stack may not grow that far.
#[inline(never)]
fn wipe_stack(frames: usize) {
    let mut frame = [0_u8; FRAME];
    if frames > 1 {
        wipe_stack(frames - 1);
    }
    // After the call, so that the callee's frame lies below this one and not in its place.
    frame.zeroize();
}

/// How far the stack of the main thread may grow, in bytes.
fn stack_limit() -> usize {
    let limit = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn begin() {
    // A core dump would hold keys and values in the clear.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // A file that may not grow is an error like others. With a handler, and not ignored: a program
    // that is executed begins as if nothing had been changed.
    if is_ours(SIGXFSZ) {
        let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// The signals that end a process, less those that it was told to ignore.
pub(crate) fn ending_signals() -> Vec<i32> {
    let mut signals = vec![SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    signals.retain(|signal| is_ours(*signal));
    signals
}

/// Whether a signal may get a handler. One that was ignored when this process began, as `nohup` has it,
/// stays so: a handler would take that away from this process and from every program it executes.
fn is_ours(signal: i32) -> bool {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    // Before the first handler, since only ignored signals show; and without a /proc, none do.
    let ignored = *IGNORED.get_or_init(|| ignored().unwrap_or(0));
    ignored >> (signal - 1) & 1 == 0
}

/// A bit for each signal, the lowest for 1.
fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
