//! Asking a person, on the terminal and nowhere else.

use std::{
    fs::File,
    io::{self, Write},
    sync::OnceLock,
};

use posixage::secrecy::SecretString;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use crate::failure::{Failure, reason};

/// The controlling terminal, if this process has one.
pub(crate) fn open() -> Option<File> {
    File::options().read(true).write(true).open("/dev/tty").ok()
}

/// Asks for a line without showing it.
pub(crate) fn ask_hidden(prompt: &str) -> Result<SecretString, Failure> {
    let tty = open().ok_or_else(|| Failure::new("no terminal to ask on"))?;
    restore_on_signal(tty).map_err(|e| failed(&e))?;
    match rpassword::prompt_password(prompt) {
        Ok(line) => Ok(line.into()),
        Err(error) => {
            if error.kind() == io::ErrorKind::Interrupted {
                // Ctrl-C: the terminal is as it was, and whoever started us learns of the signal.
                let _ = emulate_default_handler(SIGINT);
            }
            Err(failed(&error))
        }
    }
}

/// Asks twice, until both answers are the same, three times at most.
pub(crate) fn ask_new(prompt: &str) -> Result<SecretString, Failure> {
    use posixage::secrecy::ExposeSecret;

    for _ in 0..3 {
        let first = ask_hidden(prompt)?;
        let second = ask_hidden("the same again: ")?;
        if first.expose_secret() == second.expose_secret() {
            return Ok(first);
        }
        if let Some(mut tty) = open() {
            let _ = writeln!(tty, "not the same");
        }
    }
    Err(Failure::new("the two answers differ"))
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::new("nothing was typed"),
        _ => Failure::new(format!("cannot ask on the terminal: {}", reason(error))),
    }
}

/// From now on puts the terminal back as it is before a signal ends the process: a prompt turns echo
/// off, and would not come to turn it on again.
fn restore_on_signal(tty: File) -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let before = tcgetattr(&tty)?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _ = tcsetattr(&tty, OptionalActions::Now, &before);
            let _ = emulate_default_handler(signal);
        }
    });
    let _ = INSTALLED.set(());
    Ok(())
}
