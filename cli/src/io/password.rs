//! Where a password comes from when a secret needs one.

use std::{env, path::Path, process::Command};

use posixage::{
    Identity, KeyError, KeySource, Password,
    secrecy::{ExposeSecret, SecretString},
};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    io::{output::say, terminal},
    named_keys,
    settings::Settings,
    user_config::PasswordCommand,
};

/// The variable that may hold a password. Never handed on to a child.
pub(crate) const VARIABLE: &str = "POSIXAGE_PASSWORD";

/// How often it is asked for, at most.
const TRIES: usize = 3;

/// Keeps what the environment holds of keys and passwords from a child.
pub(crate) fn forget(command: &mut Command) {
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
}

/// The variables that hold a key or a password.
pub(crate) const SECRET_VARIABLES: [&str; 2] = [VARIABLE, named_keys::VARIABLE];

/// A password from `--password-file`, the environment, systemd or `password-command`, if one is set; an
/// empty variable is none. Not fetched before it is needed.
pub(crate) fn configured(settings: &Settings) -> Option<KeySource<Identity>> {
    if let Some(path) = &settings.password_file {
        return Some(path.password(settings));
    }
    if env::var_os(VARIABLE).is_some_and(|text| !text.is_empty()) {
        let name = format!("password in {VARIABLE}");
        return Some(KeySource::password(name, from_variable));
    }
    if let Some(path) = &settings.password_credential {
        return Some(path.password(settings));
    }
    let command = settings.password_command.clone()?;
    let name = "password from password-command";
    Some(KeySource::password(name, move || from_command(&command)))
}

/// Whether the configured password can be had without running a command, which may ask.
pub(crate) fn is_at_hand(settings: &Settings) -> bool {
    let is_set = env::var_os(VARIABLE).is_some_and(|text| !text.is_empty());
    settings.password_file.is_some() || is_set || settings.password_credential.is_some()
}

/// A password from a prompt, when one is needed; again while it is wrong.
pub(crate) fn prompted() -> KeySource<Identity> {
    let mut is_asked = false;
    KeySource::password_tries("password", TRIES, move || {
        if is_asked {
            say("posixage: wrong password");
        }
        is_asked = true;
        ask("password: ")
    })
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
    let mut child = match command {
        PasswordCommand::Shell(script) => {
            let mut sh = Command::new("sh");
            sh.arg("-c").arg(script);
            sh
        }
        PasswordCommand::Argv(argv) => {
            let (program, args) = argv
                .split_first()
                .ok_or_else(|| KeyError::Unavailable("password-command is empty".into()))?;
            let mut direct = Command::new(program);
            direct.args(args);
            direct
        }
    };
    forget(&mut child);
    Password::from_command(child)
}
