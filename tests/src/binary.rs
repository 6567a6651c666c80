//! The binary under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the workspace").into()
}

/// The path of `posixage`: in `POSIXAGE_BIN_DIR` if that is set, for tests of a binary that is
/// there already; else built, once per process, beside this test with the same profile.
///
/// # Panics
/// It does not build.
#[must_use]
pub fn posixage() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("POSIXAGE_BIN_DIR") {
        Some(dir) => PathBuf::from(dir).join("posixage"),
        None => build(&["--package=posixage-cli"]).join("posixage"),
    })
}

/// The directory that it and the other programs are in.
#[must_use]
pub fn directory() -> &'static Path {
    posixage().parent().expect("a directory")
}

/// The path of one of `store/examples`, built likewise.
///
/// # Panics
/// They do not build.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(|| build(&["--package=posixage", "--examples"]));
    examples.join("examples").join(name)
}

/// Builds, and says where it is.
fn build(what: &[&str]) -> PathBuf {
    // TARGET/PROFILE/deps/TEST
    let test = env::current_exe().expect("the path of this test");
    let profile_dir = test.ancestors().nth(2).expect("a profile's directory");
    let target = profile_dir.parent().expect("a target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked"])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace())
        .stdin(Stdio::null());
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("run cargo");
    assert!(status.success(), "{what:?} does not build: {status}");
    profile_dir.into()
}
