//! `posixage lock`

use std::{
    ffi::OsStr,
    io::{self, ErrorKind, Read},
    os::unix::{net::UnixStream, process::ExitStatusExt},
    process::{Child, Command, ExitCode, ExitStatus},
    time::Duration,
};

use posixage::lock::{Guard, Mode};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};

use crate::{
    args::Lock,
    commands::run::not_started,
    failure::{Failure, reason},
    io::password,
    process,
    session::Session,
    settings::Settings,
};

/// How often the lock is looked after while the command runs.
const BEAT: Duration = Duration::from_secs(4);

pub(crate) fn run(settings: &Settings, args: &Lock) -> Result<ExitCode, Failure> {
    let session = Session::open(settings)?;
    let store = session.keyless();
    let mode = if args.shared {
        Mode::Shared
    } else {
        Mode::Exclusive
    };
    let guard = store.lock(mode)?;
    let status = hold_while_running(args, &guard)?;
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

/// Runs the command to its end. Everything that can fail comes before its start: an error afterwards
/// would release the lock while the command believes that it is held.
fn hold_while_running(args: &Lock, guard: &Guard) -> Result<ExitStatus, Failure> {
    let fails = |e: io::Error| Failure::new(format!("cannot prepare the command: {}", reason(&e)));
    // The child inherits the lock: should this process be killed, the kernel keeps it for the child.
    // And a posixage that the child runs does not wait for this one.
    let inherited = guard.hand_down().map_err(posixage::Error::from)?;
    // From here on the terminal's signals are for the child: the lock is held until it has ended.
    let mut signals = Signals::register().map_err(fails)?;
    let (program, words) = args.command.split_first().expect("clap asks for one");
    let mut command = Command::new(program);
    command.args(words).envs(inherited.variable());
    password::forget(&mut command);
    let mut child = command.spawn().map_err(|error| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        not_started(OsStr::new(program), &path, &error)
    })?;
    drop(inherited);
    let ended = wait(&mut child, &mut signals, guard);
    ended.map_err(|e| Failure::new(format!("wait: {}", reason(&e))))
}

/// Waits for the child's end, hands signals on to it, and looks after the lock: where the heartbeat
/// has no thread, this is what keeps the lock fresh.
fn wait(child: &mut Child, signals: &mut Signals, guard: &Guard) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(child);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for signal in signals.within() {
            // SIGINT and SIGQUIT come from the terminal, which sends them to the child as well.
            let passed_on = match signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => continue,
            };
            let _ = kill_process(pid, passed_on);
        }
        guard.refresh();
    }
}

/// The signals that would end this process, and the one that says that a child has ended. Needs no
/// thread.
struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    fn register() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_read_timeout(Some(BEAT))?;
        let signals = process::ending_signals().into_iter().chain([SIGCHLD]);
        SignalDelivery::with_pipe(read, write, SignalOnly, signals).map(Self)
    }

    /// Waits for signals for as long as [`BEAT`].
    fn within(&mut self) -> impl Iterator<Item = i32> {
        let mut arrived = |read: &mut UnixStream| match read.read(&mut [0]) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(true),
            Err(_) => Ok(false),
        };
        self.0
            .poll_pending(&mut arrived)
            .ok()
            .flatten()
            .into_iter()
            .flatten()
    }
}
