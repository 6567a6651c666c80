//! Asking a person, on the terminal and nowhere else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use signal_hook::{consts::SIGCONT, iterator::Signals, low_level::emulate_default_handler};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure, reason},
    io::{
        output::printable,
        turn::{Turn, wait_for_git},
    },
    process,
};

/// The longest answer in bytes (64 KiB).
const MAX_LEN: usize = 64 << 10;

/// Instead of a key: there is none (`_POSIX_VDISABLE`).
const NO_KEY: u8 = 0;

const CTRL_Z: u8 = 0x1a;

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

/// Asks for a line without showing it. Waits for its turn.
pub(crate) fn ask_hidden(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let tty = open().ok_or_else(|| Failure::new("no terminal to ask on"))?;
    let _turn = Turn::wait(&tty);
    ask(&tty, prompt)
}

/// Asks twice, until both answers are the same, three times at most.
pub(crate) fn ask_new(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let tty = open().ok_or_else(|| Failure::new("no terminal to ask on"))?;
    let _turn = Turn::wait(&tty);
    for _ in 0..3 {
        let first = ask(&tty, prompt)?;
        let second = ask(&tty, "repeat: ")?;
        if first == second {
            return Ok(first);
        }
        let _ = (&tty).write_all(b"the answers differ\n");
    }
    Err(Failure::new("the two answers differ"))
}

/// Asks whether to do something that cannot be undone. Without a terminal it is refused: the caller has
/// `--yes`.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    let tty = open().ok_or_else(|| {
        Failure::new("no terminal to ask on whether to go ahead")
            .hint("--yes goes ahead")
            .code(Code::Usage)
    })?;
    let _turn = Turn::wait(&tty);
    let fails = |e: io::Error| Failure::new(format!("cannot ask on the terminal: {}", reason(&e)));
    let question = printable(question);
    (&tty)
        .write_all(format!("{question} [y/N] ").as_bytes())
        .map_err(fails)?;
    let mut answer = String::new();
    BufReader::new(&tty)
        .take(MAX_LEN as u64)
        .read_line(&mut answer)
        .map_err(fails)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

fn ask(tty: &File, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let fails = |e: io::Error| Failure::new(format!("cannot ask on the terminal: {}", reason(&e)));
    let hidden = Hidden::begin(tty).map_err(fails)?;
    (&*tty).write_all(prompt.as_bytes()).map_err(fails)?;
    let answer = read_line(tty);
    drop(hidden);
    (&*tty).write_all(b"\n").map_err(fails)?;
    answer
}

/// Reads byte by byte, so that what follows the line is left for the next question.
fn read_line(tty: &File) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    let mut byte = Zeroizing::new([0]);
    loop {
        match read(tty, &mut byte) {
            Ok(0) => return Err(Failure::new("the terminal was closed")),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let reason = reason(&e);
                return Err(Failure::new(format!("cannot read the terminal: {reason}")));
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
            // Arrow keys and their like. To pass over what was pasted would change a secret unseen.
            _ => {
                return Err(Failure::new("a control character was typed")
                    .hint("such a value can come from standard input"));
            }
        }
    }
}

/// Reads what was typed. While nothing is, hides it again should another program, such as an ssh or
/// git that asked before, have put its own modes back.
fn read(mut tty: &File, byte: &mut [u8; 1]) -> io::Result<usize> {
    const LOOK: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    while poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&LOOK))? == 0 {
        let mut prompt = current_prompt();
        let modes = tcgetattr(tty)?;
        if let Some(prompt) = prompt.as_mut().filter(|_| is_echoing(&modes)) {
            tcsetattr(tty, OptionalActions::Now, &prompt.hidden)?;
            prompt.before = modes;
        }
    }
    tty.read(byte)
}

fn is_echoing(modes: &Termios) -> bool {
    modes.local_modes.contains(LocalModes::ECHO)
}

/// A prompt that waits for an answer.
struct Prompt {
    /// The modes from before it, which are put back.
    before: Termios,
    hidden: Termios,
}

/// The prompt of this process, if there is one.
fn current_prompt() -> MutexGuard<'static, Option<Prompt>> {
    static PROMPT: Mutex<Option<Prompt>> = Mutex::new(None);
    PROMPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A terminal that does not show what is typed, and hands it over at once: in lines it would cut
/// them at 4 KiB.
struct Hidden<'a> {
    tty: &'a File,
}

impl<'a> Hidden<'a> {
    fn begin(tty: &'a File) -> io::Result<Self> {
        restore_on_signal(tty)?;
        let mut prompt = current_prompt();
        let before = shown(tcgetattr(tty)?);
        let mut hidden = before.clone();
        hidden.local_modes -= HIDES;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        // No Ctrl-Z: the shell would put its own modes back, and `fg` would show what is typed.
        hidden.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        tcsetattr(tty, OptionalActions::Now, &hidden)?;
        *prompt = Some(Prompt { before, hidden });
        Ok(Self { tty })
    }
}

/// What a hidden prompt turns off.
const HIDES: LocalModes = LocalModes::ECHO
    .union(LocalModes::ICANON)
    .union(LocalModes::IEXTEN);

/// The modes as they were before a hidden prompt, should these be a prompt's: of a process that was
/// killed, since the others wait for their turn.
fn shown(mut modes: Termios) -> Termios {
    if !modes.local_modes.intersects(HIDES)
        && modes.special_codes[SpecialCodeIndex::VSUSP] == NO_KEY
    {
        modes.local_modes |= HIDES;
        modes.special_codes[SpecialCodeIndex::VSUSP] = CTRL_Z;
    }
    modes
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // It has saved the hidden modes, and puts them back when it ends.
        wait_for_git(None);
        if let Some(prompt) = current_prompt().take() {
            let _ = tcsetattr(self.tty, OptionalActions::Now, &prompt.before);
        }
    }
}

/// From now on puts the terminal back as it was before a signal ends the process, which would leave
/// it without echo otherwise; and hides again what a shell has shown while the process was stopped.
fn restore_on_signal(tty: &File) -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let tty = tty.try_clone()?;
    let mut signals = Signals::new(process::ending_signals())?;
    signals.add_signal(SIGCONT)?;
    // An error, and no prompt, where no thread can be had: the terminal would stay without echo.
    let handle = move || {
        for signal in signals.forever() {
            let prompt = current_prompt();
            if signal == SIGCONT {
                if let Some(prompt) = &*prompt {
                    let _ = tcsetattr(&tty, OptionalActions::Now, &prompt.hidden);
                }
                continue;
            }
            if let Some(prompt) = &*prompt {
                // It ends by the same Ctrl-C, and puts back the hidden modes that it has saved.
                wait_for_git(Some(Duration::from_secs(1)));
                // What was typed and not read yet is not for the shell to show.
                let _ = tcsetattr(&tty, OptionalActions::Flush, &prompt.before);
                let _ = (&tty).write_all(b"\n");
            }
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().spawn(handle)?;
    let _ = INSTALLED.set(());
    Ok(())
}
