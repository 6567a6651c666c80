//! Where a password comes from when a secret needs one.

use std::{
    env,
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
};

use posixage::{
    Identity, KeyError, KeySource, KeyType, Password,
    secrecy::{ExposeSecret, SecretString},
};
use zeroize::Zeroizing;

use crate::{
    config::PasswordCommand,
    failure::{Failure, reason},
    settings::Settings,
    terminal,
};

/// The variable that may hold a password. Never handed on to a child.
pub(crate) const VARIABLE: &str = "POSIXAGE_PASSWORD";

/// The longest password in bytes (64 KiB).
const MAX_LEN: u64 = 64 << 10;

/// A password from `--password-file`, the environment, systemd or `password-command`, if one is set. Not
/// fetched before it is needed.
pub(crate) fn configured(settings: &Settings) -> Option<KeySource<Identity>> {
    if let Some(path) = &settings.password_file {
        return Some(from_file(settings, path));
    }
    if env::var_os(VARIABLE).is_some() {
        return Some(source(format!("password in {VARIABLE}"), from_variable));
    }
    if let Some(path) = &settings.password_credential {
        return Some(from_file(settings, path));
    }
    let command = settings.password_command.clone()?;
    Some(source("password from password-command".into(), move || {
        from_command(&command)
    }))
}

fn from_file(settings: &Settings, path: &Path) -> KeySource<Identity> {
    let allow_insecure = settings.allows_insecure(path);
    let path = path.to_path_buf();
    source(format!("password in {}", path.display()), move || {
        Password::from_file(&path, allow_insecure)
    })
}

/// A password from a prompt, when one is needed.
pub(crate) fn prompted() -> KeySource<Identity> {
    source("password".into(), || ask("password: "))
}

/// A password from a prompt, now. Without a terminal the answer is where else one was looked for.
pub(crate) fn ask(prompt: &str) -> Result<Password, KeyError> {
    if terminal::open().is_none() {
        return Err(KeyError::Unavailable(format!(
            "no password: not in --password-file, POSIXAGE_PASSWORD_FILE, {VARIABLE}, \
             $CREDENTIALS_DIRECTORY or password-command, and there is no terminal to ask on"
        )));
    }
    trimmed(&text(terminal::ask_hidden(prompt))?, "the prompt")
}

/// Asks for what unlocks a key file.
pub(crate) fn ask_passphrase(path: &Path) -> Result<SecretString, KeyError> {
    let path = path.display();
    if terminal::open().is_none() {
        return Err(KeyError::Unavailable(format!(
            "key file {path} is locked, and there is no terminal to ask for its passphrase"
        )));
    }
    text(terminal::ask_hidden(&format!("passphrase for {path}: ")))
}

fn text(answer: Result<Zeroizing<Vec<u8>>, Failure>) -> Result<SecretString, KeyError> {
    let answer = answer.map_err(|failure| KeyError::Unavailable(failure.to_string()))?;
    match std::str::from_utf8(&answer) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(KeyError::Unavailable("what was typed is not UTF-8".into())),
    }
}

fn source(
    name: String,
    load: impl FnOnce() -> Result<Password, KeyError> + Send + 'static,
) -> KeySource<Identity> {
    KeySource::callback(KeyType::Password, name, move || Ok(vec![load()?.into()]))
}

fn trimmed(text: &SecretString, place: &str) -> Result<Password, KeyError> {
    Password::new(text.expose_secret())
        .ok_or_else(|| KeyError::Unavailable(format!("the password from {place} is empty")))
}

fn from_variable() -> Result<Password, KeyError> {
    let text = env::var(VARIABLE)
        .map_err(|_| KeyError::Unavailable(format!("{VARIABLE} is not UTF-8")))?;
    trimmed(&text.into(), VARIABLE)
}

fn from_command(command: &PasswordCommand) -> Result<Password, KeyError> {
    let fails = |why: &str| KeyError::Unavailable(format!("password-command {why}"));
    let mut child = match command {
        PasswordCommand::Shell(script) => {
            let mut sh = Command::new("sh");
            sh.arg("-c").arg(script);
            sh
        }
        PasswordCommand::Argv(argv) => {
            let (program, args) = argv.split_first().ok_or_else(|| fails("is empty"))?;
            let mut direct = Command::new(program);
            direct.args(args);
            direct
        }
    };
    let spawned = child
        .env_remove(VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| fails(&format!("cannot be run: {}", reason(&e))))?;
    let line = match child.stdout.take() {
        Some(stdout) => first_line(stdout),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    let status = child.wait().map_err(|e| fails(&reason(&e)))?;
    if !status.success() {
        return Err(fails(&format!("failed: {status}")));
    }
    trimmed(&line.map_err(|e| fails(&reason(&e)))?, "password-command")
}

/// The first line of at most 64 KiB, in memory that is wiped.
fn first_line(from: impl Read) -> io::Result<SecretString> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    from.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(line) => Ok(line.into()),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")),
    }
}
