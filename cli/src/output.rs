//! Results, on standard output.

use std::io::{self, Write};

use signal_hook::{consts::SIGPIPE, low_level::emulate_default_handler};
use zeroize::Zeroizing;

use crate::failure::{Failure, reason};

/// Writes to standard output, buffered.
///
/// Where the reader has gone away (`posixage list | head -1`), the process dies of SIGPIPE without
/// a word, as any Unix tool does.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => {
            if error.kind() == io::ErrorKind::BrokenPipe {
                let _ = emulate_default_handler(SIGPIPE);
            }
            Err(Failure::new(format!(
                "cannot write to standard output: {}",
                reason(&error)
            )))
        }
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = to_json(value);
    print(|out| {
        let text = std::str::from_utf8(&json).map_err(io::Error::other)?;
        writeln!(out, "{}", *Zeroizing::new(printable(text)))
    })
}

/// A value as JSON, in memory that is wiped: measured first, since a buffer that grows leaves copies
/// behind.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Zeroizing<Vec<u8>> {
    struct Length(usize);
    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // Texts, numbers and maps with texts for keys: nothing of what is printed here has a way to fail.
    let _ = serde_json::to_writer(&mut length, value);
    let mut json = Zeroizing::new(Vec::with_capacity(length.0));
    let _ = serde_json::to_writer(&mut *json, value);
    json
}

/// The text with its control characters, line breaks apart, as JSON escapes: what others wrote, into
/// metadata or a file's name, must not draw on the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Writes a line to standard error. Where that is closed or full, what happened shows in the exit
/// code all the same.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
