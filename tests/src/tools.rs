//! Programs that the tests need from Debian.

use std::{env, path::PathBuf};

use crate::Program;

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

/// Whether this process may mount file systems that no other process sees: root may, unless it is that
/// of a container.
#[must_use]
pub fn may_mount() -> bool {
    let unshare = Program::new(need("unshare", "util-linux"));
    is_root() && unshare.args(["-m", "true"]).run().status.success()
}

/// Whether this process may trace one that has closed its memory to others of its user.
#[must_use]
pub fn may_trace() -> bool {
    let strace = Program::new(need("strace", "strace"));
    let strace = strace.args(["-e", "trace=none", "-o", "/dev/null", "true"]);
    is_root() && strace.run().status.success()
}
