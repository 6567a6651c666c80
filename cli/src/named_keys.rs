//! The keys that a run is given, and what named them.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use posixage::{Identity, KeyError, KeyFile, KeySource, Password, secrecy::SecretString};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure},
    io::{input, output::say},
    settings::Settings,
};

/// The variable that may hold a key itself, as a file would. Never handed on to a child.
pub(crate) const VARIABLE: &str = "POSIXAGE_IDENTITY_KEY";

/// How often a passphrase is asked for, at most.
const TRIES: u32 = 3;

/// A file that should hold a key or a password.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    /// The option, variable or setting that it was given to.
    pub(crate) by: &'static str,
}

/// Where a key is.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    File(Named),
    /// Standard input.
    Input,
    /// [`VARIABLE`].
    Variable,
}

impl Named {
    /// What messages call it. The one place that decides whether a path is shown: where there is no
    /// such file it may be a key, or a password, that was taken for a path.
    pub(crate) fn shown(&self) -> PathBuf {
        match self.path.symlink_metadata() {
            Err(e) if is_missing(&e) => format!("named by {}", self.by).into(),
            _ => self.path.clone(),
        }
    }

    /// The error without a path that is not shown.
    pub(crate) fn hide(&self, error: KeyError) -> KeyError {
        match error {
            KeyError::Io { error, .. } => KeyError::Io {
                path: self.shown(),
                error,
            },
            other => other,
        }
    }

    fn file(&self, settings: &Settings) -> KeyFile {
        KeyFile::new(&self.path)
            .allow_insecure_permissions(settings.allows_insecure(&self.path))
            .max_work_factor(settings.max_work_factor)
    }

    /// The password on its first line.
    pub(crate) fn password(&self, settings: &Settings) -> KeySource<Identity> {
        let (file, named) = (self.file(settings), self.clone());
        let name = format!("password in {}", self.shown().display());
        KeySource::password(name, move || -> Result<Password, KeyError> {
            file.password().map_err(|error| named.hide(error))
        })
    }
}

/// Whether an error says that there is nothing of such a name.
fn is_missing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    [NotFound, NotADirectory, InvalidFilename, InvalidInput].contains(&error.kind())
}

pub(crate) type AskPassphrase = fn(&Path) -> Result<SecretString, KeyError>;

impl Key {
    /// The key that an option or a variable names: `-` is standard input.
    pub(crate) fn named(path: PathBuf, by: &'static str) -> Self {
        if path == Path::new("-") {
            input::keep_for_key();
            return Self::Input;
        }
        Self::File(Named { path, by })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(named) => format!("key file {}", named.shown().display()),
            Self::Input => "standard input".into(),
            Self::Variable => VARIABLE.into(),
        }
    }

    pub(crate) fn read(
        &self,
        settings: &Settings,
        passphrase: AskPassphrase,
    ) -> Result<KeySource<Identity>, KeyError> {
        let file = match self {
            Self::File(named) => named.file(settings),
            Self::Input => KeyFile::from_content("-", from_input()?),
            Self::Variable => {
                let text = env::var_os(VARIABLE).unwrap_or_default();
                KeyFile::from_content(VARIABLE, text.into_vec())
            }
        };
        let mut is_asked = false;
        let ask = move |path: &Path| {
            if is_asked {
                say("posixage: wrong passphrase");
            }
            is_asked = true;
            passphrase(path)
        };
        let file = file.max_work_factor(settings.max_work_factor);
        let read = file.passphrase(ask).passphrase_tries(TRIES).identities();
        read.map_err(|error| match self {
            Self::File(named) => named.hide(error),
            _ => error,
        })
    }

    /// The failure of a run that has no other key.
    pub(crate) fn failure(&self, error: KeyError) -> Failure {
        let is_unnamed = matches!(&error, KeyError::Io { error, .. } if is_missing(error));
        match self {
            Self::File(Named { by, .. }) if is_unnamed => Failure::from(error).hint(format_args!(
                "{by} takes the path of a key file; a key itself goes into {VARIABLE}, or to -i -"
            )),
            _ => error.into(),
        }
    }
}

/// What came on standard input, which is read once.
fn from_input() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    static INPUT: OnceLock<Result<Zeroizing<Vec<u8>>, KeyError>> = OnceLock::new();
    INPUT
        .get_or_init(|| {
            let read = input::read_key();
            read.map_err(|failure| KeyError::Unavailable(failure.to_string()))
        })
        .clone()
}

/// Refuses a key that would have to be typed, visibly.
pub(crate) fn check(keys: &[Key]) -> Result<(), Failure> {
    let is_input = keys.iter().any(|key| matches!(key, Key::Input));
    if is_input && io::stdin().is_terminal() {
        return Err(
            Failure::new("the key should come on standard input, which is a terminal")
                .code(Code::Usage)
                .hint("-i takes a file; -i - a pipe: posixage -i - … <FILE"),
        );
    }
    Ok(())
}
