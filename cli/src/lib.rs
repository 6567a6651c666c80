//! The programs of the posixage secret store: what each of them does is a function here, and the
//! binary of that name calls it.

mod args;
mod commands;
mod config;
mod docker;
mod entry_id;
mod failure;
mod input;
mod keys;
mod output;
mod password;
mod process;
mod settings;
mod terminal;
mod usage;
mod value;

use std::process::ExitCode;

/// `posixage`, the command line.
#[must_use]
pub fn posixage() -> ExitCode {
    process::begin();
    commands::run().unwrap_or_else(|failure| failure.report())
}

/// `docker-credential-posixage`, the credential helper of Docker, Podman, Skopeo and Buildah.
#[must_use]
pub fn docker_credential() -> ExitCode {
    process::begin();
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    docker::helper::serve(&args)
}
