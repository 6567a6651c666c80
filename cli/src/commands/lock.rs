//! `posixage lock`

use std::{
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child, Command, ExitCode},
};

use posixage::lock::{Guard, Mode};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process},
};
use signal_hook::{
    consts::{SIGHUP, SIGTERM},
    iterator::Signals,
};

use crate::{
    args::Lock,
    failure::{Failure, reason},
    io::password,
    process, session,
    settings::Settings,
};

pub(crate) fn run(settings: &Settings, args: &Lock) -> Result<ExitCode, Failure> {
    let store = session::open_keyless(settings)?;
    let mode = if args.shared {
        Mode::Shared
    } else {
        Mode::Exclusive
    };
    let guard = store.lock(mode)?;
    let mut child = spawn(args, &guard)?;
    let status = child
        .wait()
        .map_err(|e| Failure::new(format!("wait: {}", reason(&e))))?;
    guard.verify().map_err(|error| {
        Failure::from(posixage::Error::from(error))
            .hint("the command has ended; others may have written while it ran")
    })?;
    // The child's own code; where a signal ended it, that of a shell.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

fn spawn(args: &Lock, guard: &Guard) -> Result<Child, Failure> {
    let fails =
        |e: std::io::Error| Failure::new(format!("cannot prepare the command: {}", reason(&e)));
    // The child inherits the lock: should this process be killed, the kernel keeps it for the child.
    let inherited = guard.as_fd().try_clone_to_owned().map_err(fails)?;
    fcntl_setfd(&inherited, FdFlags::empty()).map_err(|e| fails(e.into()))?;

    // From here on the terminal's signals are for the child: the lock is held until it has ended.
    let mut signals = Signals::new(process::ending_signals()).map_err(fails)?;
    let mut command = Command::new(&args.command[0]);
    command
        .args(&args.command[1..])
        .env_remove(password::VARIABLE);
    let child = command.spawn().map_err(|e| {
        Failure::new(format!(
            "cannot run {}: {}",
            args.command[0].display(),
            reason(&e)
        ))
    })?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            // SIGINT and SIGQUIT come from the terminal, which sends them to the child as well.
            let passed_on = match signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => continue,
            };
            if let Some(pid) = pid {
                let _ = kill_process(pid, passed_on);
            }
        }
    });
    Ok(child)
}
