//! Starting contenders and hearing what they say.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

pub(crate) fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// One of `lock/examples`, which cargo builds together with the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join(name);
    assert!(
        program.exists(),
        "{} is missing: cargo build --examples",
        program.display()
    );
    program
}

pub(crate) fn contender(root: &Path, arguments: &[&str]) -> Command {
    contender_named("contender", root, arguments)
}

pub(crate) fn contender_named(name: &str, root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command
        .arg(root)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Waits for its end and says what it said. Fails the test if it failed.
pub(crate) fn hear(mut child: Child) -> String {
    drop(child.stdin.take());
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {said}");
    said
}
