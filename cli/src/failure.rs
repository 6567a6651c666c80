//! How a command fails: a line, a hint, and an exit code.

use std::{fmt, process::ExitCode};

pub(crate) use posixage::lock::reason;
use posixage::{Attempt, Error, KeyError, Misfit, lock};

use crate::io::{
    hidden::without_keys,
    output::{printable, say},
};

/// What the exit codes mean; they are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Other = 1,
    Usage = 2,
    NotFound = 3,
    AlreadyExists = 4,
    NoKeyFits = 5,
    Locked = 6,
    Damaged = 7,
    UnsafePermissions = 8,
    NotRunnable = 126,
    NoSuchProgram = 127,
}

/// Why a command failed. Nothing secret is in it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: Code,
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self {
            message: without_keys(&message.to_string()).into_owned(),
            hint: None,
            code: Code::Other,
        }
    }

    /// A failure whose lines were printed as they came up.
    pub(crate) fn silent(code: Code) -> Self {
        Self {
            code,
            ..Self::new("")
        }
    }

    /// The same, on what it is about.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        Self {
            message: without_keys(&format!("{what}: {}", self.message)).into_owned(),
            ..self
        }
    }

    pub(crate) fn code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn exit_code(&self) -> Code {
        self.code
    }

    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        Self {
            hint: Some(without_keys(&hint.to_string()).into_owned()),
            ..self
        }
    }

    /// The error and the hint, each on a line, for another program to show.
    pub(crate) fn text(&self) -> String {
        let hint = self.hint.iter().map(|hint| format!("\nhint: {hint}"));
        printable(&format!("{}{}", self.message, hint.collect::<String>()))
    }

    /// The same as this program says it.
    pub(crate) fn lines(&self) -> String {
        format!("posixage: {}", self.text())
    }

    pub(crate) fn print(&self) {
        if !self.message.is_empty() {
            say(self.lines());
        }
    }

    pub(crate) fn report(&self) -> ExitCode {
        self.print();
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotFound { .. } => Code::NotFound,
            Error::AlreadyExists { .. } | Error::StoreExists { .. } => Code::AlreadyExists,
            Error::NoKeyFits { .. } => Code::NoKeyFits,
            Error::Lock(error) if error.is_timeout() || error.is_lost() => Code::Locked,
            Error::Lock(lock::Error::InsideShared { .. }) => Code::Locked,
            Error::Damaged { .. } | Error::Config { .. } => Code::Damaged,
            Error::InsecurePermissions { .. } | Error::ForeignOwner { .. } => {
                Code::UnsafePermissions
            }
            Error::Key(error) => key_code(error),
            _ => Code::Other,
        };
        let hint = match &error {
            Error::NoKeyFits { attempts, .. } => Some(no_fit(attempts).into()),
            Error::TooMuchWork { .. } => Some(MORE_WORK.into()),
            Error::OutOfMemory { .. } => Some(MORE_MEMORY.into()),
            Error::NoRecipients { .. } => Some(
                "name a key to encrypt to, -i FILE or --password-file FILE, or write the \
                 recipients down once: posixage init"
                    .into(),
            ),
            Error::AlreadyExists { .. } => Some("--force replaces it".into()),
            Error::Lock(error) if error.is_timeout() => error
                .hint()
                .map(|hint| format!("{hint}: --lock-timeout, posixage unlock --force")),
            error => error.hint(),
        };
        Self {
            hint,
            ..Self::new(&error).code(code)
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self {
            hint: error.hint(),
            ..Self::new(&error).code(key_code(&error))
        }
    }
}

const MORE_WORK: &str = "max-scrypt-work-factor in config.toml allows more";
const MORE_MEMORY: &str = "free some memory, or allow this process more of it: ulimit -v";

/// What to do when no key fits.
fn no_fit(attempts: &[Attempt]) -> &'static str {
    let any = |is: fn(&Misfit) -> bool| attempts.iter().any(|attempt| is(&attempt.reason));
    if any(|reason| matches!(reason, Misfit::TooMuchWork { .. })) {
        MORE_WORK
    } else if any(|reason| matches!(reason, Misfit::OutOfMemory { .. })) {
        MORE_MEMORY
    } else if any(|reason| {
        let wrong = |error: &KeyError| matches!(error, KeyError::WrongPassphrase { .. });
        matches!(reason, Misfit::WrongPassword)
            || matches!(reason, Misfit::Unavailable(error) if wrong(error))
    }) {
        "try again with the right password or passphrase"
    } else {
        "name a key that fits: -i FILE, POSIXAGE_IDENTITY, or `identities` in config.toml"
    }
}

/// Several failures, each printed; the code is theirs if they agree. None is no failure.
pub(crate) fn all(failures: Vec<Failure>) -> Result<(), Failure> {
    let Some(code) = failures.first().map(Failure::exit_code) else {
        return Ok(());
    };
    failures.iter().for_each(Failure::print);
    let same = failures.iter().all(|failure| failure.exit_code() == code);
    Err(Failure::silent(if same { code } else { Code::Other }))
}

fn key_code(error: &KeyError) -> Code {
    match error {
        KeyError::InsecurePermissions { .. } => Code::UnsafePermissions,
        KeyError::WrongPassphrase { .. } | KeyError::Unavailable(_) => Code::NoKeyFits,
        _ => Code::Other,
    }
}
