//! A password: from a person, a file or a command.

use std::{
    fmt,
    io::{self, Read},
    process::{Command, Stdio},
    str::Utf8Error,
};

use age::secrecy::{ExposeSecret, SecretString};
use posixage_lock::reason;
use zeroize::Zeroizing;

use crate::keys::KeyError;

/// The longest output of a command in bytes (64 KiB).
const MAX_OUTPUT_LEN: usize = 64 << 10;

/// A password without the white space around it, wiped from memory when it is dropped, and not shown
/// by `Debug`.
///
/// It is an [`Identity`](crate::Identity) and a [`Recipient`](crate::Recipient) at once: `into` makes
/// either of it. In a file it is [`KeyFile::password`](crate::KeyFile::password); from a person it
/// comes through [`KeySource::password`](crate::KeySource::password).
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Trims surrounding white space; `None` if nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        (!trimmed.is_empty()).then(|| Self(trimmed.into()))
    }

    /// The first line that `command` prints, such as `pass show posixage`.
    ///
    /// The command gets nothing on standard input, and its standard error stays as it was set. This
    /// waits for its end, for as long as it takes. Inside of a
    /// [`KeySource::password`](crate::KeySource::password) it is not run before a secret needs it.
    ///
    /// # Errors
    /// [`KeyError::Command`]: it cannot be run, fails, or prints no password, or over 64 KiB. Neither
    /// its arguments nor its output are in the error.
    pub fn from_command(mut command: Command) -> Result<Self, KeyError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let fails = |reason: String| KeyError::Command {
            program: Some(program.clone()),
            reason,
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| KeyError::Command {
                program: (e.kind() != io::ErrorKind::NotFound).then(|| program.clone()),
                reason: format!("cannot be run: {}", reason(&e)),
            })?;
        let output = child.stdout.take().map_or(Ok(None), read_output);
        let status = child.wait().map_err(|e| fails(reason(&e)))?;
        let Some(output) = output.map_err(|e| fails(reason(&e)))? else {
            return Err(fails(format!("printed over {MAX_OUTPUT_LEN} bytes")));
        };
        if !status.success() {
            return Err(fails(format!("failed: {status}")));
        }
        match Self::first_line(&output) {
            Ok(Some(password)) => Ok(password),
            Ok(None) => Err(fails("printed no password on its first line".into())),
            Err(_) => Err(fails("printed what is not UTF-8".into())),
        }
    }

    /// The first line of a text, if there is a password on it.
    pub(crate) fn first_line(text: &[u8]) -> Result<Option<Self>, Utf8Error> {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        std::str::from_utf8(line).map(Self::new)
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// All that a command prints, in memory that is wiped; `None` if that is too much.
fn read_output(from: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // One allocation: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT_LEN + 1));
    from.take(MAX_OUTPUT_LEN as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_OUTPUT_LEN).then_some(bytes))
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Result<Password, KeyError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Password::from_command(command)
    }

    #[test]
    fn passwords_are_trimmed_and_an_empty_one_is_none() {
        assert_eq!(
            Password::new(" \tpass word\r\n"),
            Password::new("pass word")
        );
        assert_eq!(Password::new(" \n"), None);
    }

    #[test]
    fn a_command_gives_its_first_line() {
        let expected = Password::new("pass word").unwrap();
        assert_eq!(sh("echo ' pass word'; echo more").unwrap(), expected);
        assert_eq!(sh("cat; printf 'pass word'").unwrap(), expected);
    }

    #[test]
    fn a_command_that_gives_none_says_why_and_nothing_else() {
        for (script, why) in [
            ("echo canary; exit 3", "sh failed: exit status: 3"),
            ("kill -9 $$", "sh failed: signal: 9 (SIGKILL)"),
            (
                "echo; echo canary",
                "sh printed no password on its first line",
            ),
            ("printf 'canary\\377\\n'", "sh printed what is not UTF-8"),
            (
                "exec head -c 65537 /dev/zero",
                "sh printed over 65536 bytes",
            ),
            ("exec yes canary", "sh printed over 65536 bytes"),
        ] {
            let error = sh(script).unwrap_err();
            assert_eq!(error.to_string(), format!("password command {why}"));
        }
        let error = Password::from_command(Command::new("/does/not/exist")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "password command cannot be run: no such file or directory"
        );
    }
}
