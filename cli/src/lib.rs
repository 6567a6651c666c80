//! The programs of the posixage secret store: what each of them does is a function here, and the
//! binary of that name calls it.

mod args;
mod commands;
mod docker_setup;
mod failure;
mod helpers;
mod io;
mod process;
mod session;
mod settings;
mod usage;
mod user_config;

use std::process::ExitCode;

/// `posixage`, the command line.
#[must_use]
pub fn posixage() -> ExitCode {
    process::begin();
    commands::run().unwrap_or_else(|failure| failure.report())
}

/// `docker-credential-posixage`, which keeps the credentials of Docker, Podman, Skopeo and Buildah.
#[must_use]
pub fn docker_credential_posixage() -> ExitCode {
    process::begin();
    helpers::docker::run(std::env::args_os().skip(1))
}

/// `git-credential-posixage`, which keeps Git's credentials.
#[must_use]
pub fn git_credential_posixage() -> ExitCode {
    process::begin();
    helpers::git::run(std::env::args_os().skip(1)).unwrap_or_else(|failure| failure.report())
}

/// `cargo-credential-posixage`, which keeps the tokens of registries for Cargo.
#[must_use]
pub fn cargo_credential_posixage() -> ExitCode {
    process::begin();
    helpers::cargo::run().unwrap_or_else(|failure| failure.report())
}
