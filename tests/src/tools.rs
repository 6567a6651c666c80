//! Programs that the tests need from Debian.

use std::{env, path::PathBuf};

/// Where `program` is.
///
/// # Panics
/// It is not there; says which package it comes in. A test never passes by leaving out what it
/// is for.
#[must_use]
pub fn need(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test needs {program}: apt-get install {package}"))
}

/// Says on stderr what a test left out, for want of a privilege.
pub fn left_out(what: &str) {
    eprintln!("left out: {what}");
}

/// Whether this process is root, which file modes do not bind.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
