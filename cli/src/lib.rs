//! The programs of the posixage secret store: what each of them does is a function here, and the
//! binary of that name calls it.

mod args;
mod commands;
mod docker_setup;
mod failure;
mod helpers;
mod io;
mod named_keys;
mod process;
mod session;
mod settings;
mod usage;
mod user_config;

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// Wipes each block of the heap when it is freed, also when it moves to grow: the libraries that
/// parse, encrypt and decrypt free buffers with keys and values in them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// `posixage`, the command line.
#[must_use]
pub fn posixage() -> ExitCode {
    process::run(|| commands::run().unwrap_or_else(|failure| failure.report()))
}

/// `docker-credential-posixage`, which keeps the credentials of Docker, Podman, Skopeo and Buildah.
#[must_use]
pub fn docker_credential_posixage() -> ExitCode {
    process::run(|| helpers::docker::run(std::env::args_os().skip(1)))
}

/// `git-credential-posixage`, which keeps Git's credentials.
#[must_use]
pub fn git_credential_posixage() -> ExitCode {
    process::run(|| {
        helpers::git::run(std::env::args_os().skip(1)).unwrap_or_else(|failure| failure.report())
    })
}

/// `cargo-credential-posixage`, which keeps the tokens of registries for Cargo.
#[must_use]
pub fn cargo_credential_posixage() -> ExitCode {
    process::run(|| helpers::cargo::run().unwrap_or_else(|failure| failure.report()))
}
