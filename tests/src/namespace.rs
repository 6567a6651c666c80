//! A test in its own mount namespace: its mounts are invisible to others, and end with it.

use std::{env, time::Duration};

use crate::{Program, Sandbox, binary, tools};

/// Runs a program where it may mount; none if this user may not have that.
#[must_use]
pub fn shell(script: &str) -> Option<Program> {
    let unshare = tools::need("unshare", "util-linux");
    let alone = ["--mount", "--propagation=private"];
    let mut program = Program::new(unshare).args(alone);
    if !tools::is_root() {
        program = program.args(["--user", "--map-root-user"]);
    }
    let may = program
        .clone()
        .args(["sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .run();
    may.status
        .success()
        .then(|| program.args(["sh", "-c", script, "sh"]))
}

/// Runs its arguments with an empty directory of its own at each of these paths, which programs write
/// to wherever they are told to keep their files. Whatever it has started ends with it. None if this
/// user may not have that.
#[must_use]
pub fn hiding(paths: &[&str]) -> Option<Program> {
    let script = format!(
        "mount -t proc proc /proc || exit
        for dir in {}; do test ! -d $dir || mount -t tmpfs -o mode=1777 tmpfs $dir || exit; done
        exec \"$@\"",
        paths.join(" ")
    );
    let alone = tools::need("unshare", "util-linux").into_os_string();
    let alone = [
        alone,
        "--pid".into(),
        "--fork".into(),
        "--kill-child".into(),
    ];
    Some(shell(&script)?.behind(alone))
}

/// Runs the ignored test of that `module_path!()` and name in a shell of [`shell`], with an empty directory as `$1` for
/// `script` to mount on, and everything temporary in that + `inside`.
///
/// # Panics
/// The test fails.
pub fn run_ignored(shell: Program, sandbox: &Sandbox, inside: &str, [module, test]: [&str; 2]) {
    // The harness leaves out the name of the crate.
    let (_, module) = module.split_once("::").expect("a module of the test");
    let name = format!("{module}::{test}");
    let dir = sandbox.directory("mounted");
    let bin_dir = binary::posixage().parent().expect("a directory");
    let asked = ["POSIXAGE_LONG", "POSIXAGE_SEED"];
    let asked = asked.map(|name| (name, env::var_os(name)));
    let shell = asked
        .into_iter()
        .fold(shell, |shell, (name, value)| match value {
            Some(value) => shell.env(name, value),
            None => shell,
        });
    let output = shell
        .within(Duration::from_secs(3600))
        .arg(&dir)
        .arg(env::current_exe().expect("the path of this test"))
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .env("TMPDIR", dir.join(inside))
        .env("POSIXAGE_BIN_DIR", bin_dir)
        .run()
        .succeeds();
    assert!(output.out().contains("1 passed"), "{output:?}");
    eprint!("{}", output.err());
}

/// Runs the ignored test of that `module_path!()` and name where it may mount file systems in files, if this user may.
///
/// # Panics
/// The test fails.
pub fn run_alone(test: [&str; 2]) {
    if !tools::may_mount() {
        tools::left_out("file systems in files, which take root to mount");
        return;
    }
    let sandbox = Sandbox::new();
    // In memory: it is written to for a long time, and lost on purpose.
    let script = "mount -t tmpfs -o mode=0700,size=8g tmpfs \"$1\"; shift; exec \"$@\"";
    let shell = shell(script).expect("a shell that may mount");
    run_ignored(shell, &sandbox, "", test);
}
