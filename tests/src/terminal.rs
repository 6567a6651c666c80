//! A person at a terminal: a real one, so that `/dev/tty`, echo and Ctrl-C are what they are.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt, process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, tcgetattr},
};

use crate::{
    process::{Kept, LIMIT, Program},
    screen::Screen,
};

/// A program on a terminal of its own, and the hands at it.
pub struct Terminal {
    child: Kept,
    /// The hands' side. Kept open: closed, it would hang the program up.
    hands: File,
    screen: Screen,
    seen: usize,
}

impl Terminal {
    /// Runs `program` with the terminal as its standard input, output and error.
    ///
    /// # Panics
    /// The system gives no terminal.
    #[track_caller]
    pub fn start(program: Program) -> Self {
        let hands = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a new pseudo-terminal");
        grantpt(&hands).expect("grantpt");
        unlockpt(&hands).expect("unlockpt");
        let name = ptsname(&hands, Vec::new()).expect("the name of a pseudo-terminal");
        let name = OsStr::from_bytes(name.as_bytes());
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Else it would become the terminal of this process, should that have none.
        options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
        let open = || options.open(name).expect("open a pseudo-terminal");
        let sides = [(); 3].map(|()| Stdio::from(open()));
        let child = Kept::new(program.on_terminal().spawn(sides));
        let hands = File::from(hands);
        let screen = Screen::of(hands.try_clone().expect("one more descriptor"));
        Self {
            child,
            hands,
            screen,
            seen: 0,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.child.pid().as_raw_pid()
    }

    /// Waits until `text` is on the screen, behind what was waited for before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        assert!(!text.is_empty(), "nothing to wait for");
        self.seen = self.screen.wait_for(text, self.seen, LIMIT);
    }

    /// Types a line.
    #[track_caller]
    pub fn types(&mut self, line: &str) {
        self.presses(format!("{line}\n").as_bytes());
    }

    /// Waits for a prompt that contains `text` and has the echo off, then types a line.
    #[track_caller]
    pub fn answers(&mut self, text: &str, line: &str) {
        self.wait_for_hidden(text);
        self.types(line);
    }

    /// Waits for a prompt that contains `text` and has the echo off.
    #[track_caller]
    pub fn wait_for_hidden(&mut self, text: &str) {
        self.wait_for(text);
        self.wait_for_echo(false);
    }

    /// Waits until the echo is on, or off.
    #[track_caller]
    pub fn wait_for_echo(&mut self, on: bool) {
        let deadline = Instant::now() + LIMIT;
        while self.echoes() != on {
            assert!(
                Instant::now() < deadline,
                "the echo stays on ({}): {}",
                !on,
                self.screen.so_far()
            );
            // A change of a terminal's modes is not announced: look again.
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Presses Ctrl-C.
    #[track_caller]
    pub fn interrupts(&mut self) {
        self.presses(b"\x03");
    }

    /// Sends these bytes as typed.
    #[track_caller]
    pub fn presses(&mut self, keys: &[u8]) {
        self.hands.write_all(keys).expect("type at a terminal");
    }

    /// Whether what is typed is shown.
    #[must_use]
    pub fn echoes(&self) -> bool {
        self.modes().local_modes.contains(LocalModes::ECHO)
    }

    /// The terminal's modes.
    ///
    /// # Panics
    /// They cannot be had.
    #[must_use]
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.hands).expect("the modes of a terminal")
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// It does not end within [`LIMIT`].
    #[track_caller]
    pub fn wait(&mut self) -> End {
        let status = self.child.wait(LIMIT);
        let bytes = self.screen.all(LIMIT).unwrap_or_default();
        let screen = String::from_utf8_lossy(&bytes).into_owned();
        let status = status.unwrap_or_else(|| panic!("does not end; screen: {screen}"));
        End { status, screen }
    }
}

/// How a program at a terminal ended, and all that was on the screen.
#[derive(Clone, Debug)]
pub struct End {
    /// How it ended.
    pub status: ExitStatus,
    /// What was shown.
    pub screen: String,
}

impl End {
    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// It exited with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }
}
