//! `config.toml`: what a person sets once for all their stores.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::failure::{Failure, reason};

/// `$XDG_CONFIG_HOME/posixage/config.toml`. Paths in it may begin with `~/`; relative ones start at
/// the folder of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    pub(crate) store: Option<PathBuf>,
    pub(crate) identities: Vec<PathBuf>,
    pub(crate) password_command: Option<PasswordCommand>,
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
    /// Reads the file in `dir`; one that is not there sets nothing.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("config.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let path = path.display();
                return Err(Failure::new(format!("cannot read {path}: {}", reason(&e))));
            }
        };
        let mut config: Self = toml::from_str(&text)
            .map_err(|e| Failure::new(format!("{}: {}", path.display(), e.message())))?;
        for file in config.store.iter_mut().chain(&mut config.identities) {
            *file = resolve(file, dir);
        }
        Ok(config)
    }
}

fn resolve(path: &Path, dir: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => dir.join(path),
    }
}
