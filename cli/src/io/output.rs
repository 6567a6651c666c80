//! Results, on standard output.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
};

use signal_hook::{consts::SIGPIPE, low_level::emulate_default_handler};
use zeroize::Zeroizing;

use crate::{
    failure::{Failure, reason},
    io::closed,
};

/// Writes to standard output, buffered.
///
/// Where the reader has gone away (`posixage list | head -1`), the process dies of SIGPIPE without
/// a word, as any Unix tool does.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    if closed::stdout_is_closed() {
        return Err(Failure::new(
            "cannot write to standard output: it is closed",
        ));
    }
    let printed = Buffer::of_stdout().and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    match printed {
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

/// Collects what is written in memory that is wiped, as no buffer of the standard library's is.
struct Buffer {
    out: File,
    bytes: Zeroizing<Vec<u8>>,
}

impl Buffer {
    const LEN: usize = 8 << 10;

    /// Past the standard library's own buffer of standard output.
    fn of_stdout() -> io::Result<Self> {
        Ok(Self {
            out: io::stdout().as_fd().try_clone_to_owned()?.into(),
            bytes: Zeroizing::new(Vec::with_capacity(Self::LEN)),
        })
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > Self::LEN {
            self.flush()?;
        }
        if bytes.len() > Self::LEN {
            return self.out.write(bytes);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
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

/// The text with what is [invisible](posixage::is_invisible), line breaks apart, as JSON escapes: what
/// others wrote, into metadata or a file's name, must not draw on the terminal.
pub(crate) fn printable(text: &str) -> String {
    let escaped = |c: &char| posixage::is_invisible(*c) && *c != '\n';
    // It may be secret, and a text that grows leaves copies behind.
    let more = text.chars().filter(escaped).count();
    let mut shown = String::with_capacity(text.len() + more * "\\u0000\\u0000".len());
    for c in text.chars() {
        if escaped(&c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Writes a line to standard error, at once, so that it is not mixed with another process's. Where that
/// is closed or full, what happened shows in the exit code all the same.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
