//! `config.toml`: what a person sets once for all their stores.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};
use serde::Deserialize;

use crate::{
    failure::{Code, Failure, reason},
    settings::home,
};

/// The largest file in bytes (1 MiB).
const MAX_LEN: u64 = 1 << 20;

/// `$XDG_CONFIG_HOME/posixage/config.toml`. Paths in it may begin with `~/`; relative ones start at
/// the folder of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    pub(crate) store: Option<PathBuf>,
    pub(crate) identities: Vec<PathBuf>,
    pub(crate) password_command: Option<PasswordCommand>,
    /// The most scrypt work (log2 of N) that is done, whatever a file asks for.
    pub(crate) max_scrypt_work_factor: Option<u8>,
}

/// A command whose first line of output is the password.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PasswordCommand {
    /// For `sh -c`.
    Shell(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

impl Config {
    /// Reads the file in `dir`; one that is not there sets nothing. One that others may write is
    /// refused, unless `allow_insecure`: it names commands to execute, and recipients.
    pub(crate) fn read(dir: &Path, allow_insecure: bool) -> Result<Self, Failure> {
        let path = dir.join("config.toml");
        let Some(text) = read(&path, allow_insecure)? else {
            return Ok(Self::default());
        };
        let mut config: Self = toml::from_str(&text).map_err(|e| malformed(&path, &text, &e))?;
        if let Some(factor) = config.max_scrypt_work_factor
            && !(1..=posixage::MAX_WORK_FACTOR).contains(&factor)
        {
            return Err(Failure::new(format_args!(
                "{}: max-scrypt-work-factor is not between 1 and {}",
                path.display(),
                posixage::MAX_WORK_FACTOR
            )));
        }
        for file in config.store.iter_mut().chain(&mut config.identities) {
            *file = resolve(file, dir);
        }
        Ok(config)
    }
}

/// Says where, and what belongs there. What the parser says may quote the file, and a key or a
/// password in it.
fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    Failure::new(format_args!(
        "{}: line {line} is not what it should be",
        path.display()
    ))
    .hint(
        "it knows store = \"DIR\", identities = [\"FILE\", …], password-command = [\"PROGRAM\", …] \
         and max-scrypt-work-factor = N",
    )
}

/// The text of the file; `None` if it is not there.
fn read(path: &Path, allow_insecure: bool) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let fails = |e: io::Error| Failure::new(format!("cannot read {shown}: {}", reason(&e)));
    // Without O_NONBLOCK opening a FIFO waits for a writer that may never come.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let open = File::options().read(true).custom_flags(nonblock).open(path);
    let file = match open {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fails(e)),
    };
    let stat = file.metadata().map_err(fails)?;
    if !stat.is_file() {
        return Err(Failure::new(format!("{shown} is not a regular file")));
    }
    let mode = stat.mode() & 0o777;
    if mode & 0o022 != 0 && !allow_insecure {
        let quoted = shlex::try_quote(&path.to_string_lossy()).map(Cow::into_owned);
        return Err(
            Failure::new(format!("others may write {shown} (mode {mode:04o})"))
                .code(Code::UnsafePermissions)
                .hint(format_args!("chmod go-w {}", quoted.unwrap_or_default())),
        );
    }
    if ![0, geteuid().as_raw()].contains(&stat.uid()) && !allow_insecure {
        let message = format!("{shown} belongs to another user ({})", stat.uid());
        return Err(Failure::new(message).code(Code::UnsafePermissions));
    }
    let mut text = String::new();
    file.take(MAX_LEN + 1)
        .read_to_string(&mut text)
        .map_err(fails)?;
    match text.len() as u64 > MAX_LEN {
        true => Err(Failure::new(format!("{shown} is over 1 MiB long"))),
        false => Ok(Some(text)),
    }
}

fn resolve(path: &Path, dir: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => dir.join(path),
    }
}
