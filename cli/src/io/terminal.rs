//! Asking a person, on the terminal and nowhere else.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::{consts::SIGCONT, iterator::Signals, low_level::emulate_default_handler};
use zeroize::Zeroizing;

use crate::{
    failure::{Failure, reason},
    process,
};

/// The longest answer in bytes (64 KiB).
const MAX_LEN: usize = 64 << 10;

/// In the place of a key: there is none (`_POSIX_VDISABLE`).
const NO_KEY: u8 = 0;

static NEVER_ASK: AtomicBool = AtomicBool::new(false);

/// From now on it is as if this process had no terminal.
pub(crate) fn never_ask() {
    NEVER_ASK.store(true, Ordering::Relaxed);
}

/// The controlling terminal, if this process has one.
pub(crate) fn open() -> Option<File> {
    if NEVER_ASK.load(Ordering::Relaxed) {
        return None;
    }
    File::options().read(true).write(true).open("/dev/tty").ok()
}

/// Asks for a line without showing it.
pub(crate) fn ask_hidden(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let tty = open().ok_or_else(|| Failure::new("no terminal to ask on"))?;
    let fails = |e: io::Error| Failure::new(format!("cannot ask on the terminal: {}", reason(&e)));
    let hidden = Hidden::begin(&tty).map_err(fails)?;
    (&tty).write_all(prompt.as_bytes()).map_err(fails)?;
    let answer = read_line(&tty);
    drop(hidden);
    (&tty).write_all(b"\n").map_err(fails)?;
    answer
}

/// Asks twice, until both answers are the same, three times at most.
pub(crate) fn ask_new(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    for _ in 0..3 {
        let first = ask_hidden(prompt)?;
        let second = ask_hidden("the same again: ")?;
        if first == second {
            return Ok(first);
        }
        if let Some(mut tty) = open() {
            let _ = tty.write_all(b"not the same\n");
        }
    }
    Err(Failure::new("the two answers differ"))
}

/// Reads byte by byte, so that what follows the line is left for the next question.
fn read_line(mut tty: &File) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    let mut byte = Zeroizing::new([0]);
    loop {
        match tty.read(&mut *byte) {
            Ok(0) => return Err(Failure::new("the terminal was closed")),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                return Err(Failure::new(format!(
                    "cannot read the terminal: {}",
                    reason(&e)
                )));
            }
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(line),
            // Backspace takes a character, Ctrl-U everything.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => line.clear(),
            0x04 if line.is_empty() => return Err(Failure::new("nothing was typed")),
            b'\t' | 0x20.. if line.len() < MAX_LEN => line.push(byte[0]),
            b'\t' | 0x20.. => {
                return Err(Failure::new(format!(
                    "more than {MAX_LEN} bytes were typed"
                )));
            }
            0x1a => {
                return Err(
                    Failure::new("Ctrl-Z was typed, which a hidden prompt does not take")
                        .hint("Ctrl-C ends it"),
                );
            }
            // Arrow keys and their like. To pass over what somebody pasted would change a secret
            // unseen.
            _ => {
                return Err(Failure::new("a control character was typed")
                    .hint("such a value can come from standard input"));
            }
        }
    }
}

/// A terminal that does not show what is typed, and hands it over at once: in lines it would cut
/// them at 4 KiB.
struct Hidden<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(tty: &'a File) -> io::Result<Self> {
        restore_on_signal(tty)?;
        let before = tcgetattr(tty)?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        // No Ctrl-Z: the shell would put its own modes back, and `fg` would show what is typed.
        hidden.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        let mut modes = hidden_modes();
        tcsetattr(tty, OptionalActions::Now, &hidden)?;
        *modes = Some(hidden);
        Ok(Self { tty, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let mut modes = hidden_modes();
        *modes = None;
        let _ = tcsetattr(self.tty, OptionalActions::Now, &self.before);
    }
}

/// The modes of a prompt while it waits for an answer.
fn hidden_modes() -> MutexGuard<'static, Option<Termios>> {
    static MODES: Mutex<Option<Termios>> = Mutex::new(None);
    MODES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on puts the terminal back as it is before a signal ends the process, which would leave
/// it without echo otherwise; and hides again what a shell has shown while the process was stopped.
fn restore_on_signal(tty: &File) -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let before = tcgetattr(tty)?;
    let tty = tty.try_clone()?;
    let mut signals = Signals::new(process::ending_signals())?;
    signals.add_signal(SIGCONT)?;
    // An error, and no prompt, where no thread can be had: the terminal would stay without echo.
    std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            if signal == SIGCONT {
                if let Some(hidden) = &*hidden_modes() {
                    let _ = tcsetattr(&tty, OptionalActions::Now, hidden);
                }
                continue;
            }
            // What was typed and not read yet is not for the shell to show.
            let _ = tcsetattr(&tty, OptionalActions::Flush, &before);
            let _ = (&tty).write_all(b"\n");
            let _ = emulate_default_handler(signal);
        }
    })?;
    let _ = INSTALLED.set(());
    Ok(())
}
