//! The same promises on other file systems, each mounted for the test alone: tmpfs, overlayfs, and
//! bindfs, which knows neither RENAME_EXCHANGE nor RENAME_NOREPLACE.
//!
//! `POSIXAGE_LONG=1` makes it every operation, 1,000 deaths, and a storm of 30 seconds.

use std::env;

use posixage_tests::{
    Program, Sandbox, binary,
    every_call::{survives_failures, survives_kills},
    kill::{self, Row},
    namespace,
    operation::Operation,
    storm_processes,
    subject::Subject,
    tools,
};

/// Mounts a tmpfs on `$1`.
const TMPFS: &str = "set -e; mount -t tmpfs -o mode=0700 tmpfs \"$1\"";

/// And an overlayfs on `$1/merged`, over `$1/lower`.
const OVERLAY: &str = "mkdir \"$1/lower\" \"$1/upper\" \"$1/work\" \"$1/merged\"; \
    mount -t overlay -o \"lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work\" overlay \"$1/merged\"";

/// And `$1/under` once more on `$1/merged`, by a process that ends with the test.
const BINDFS: &str = "mkdir \"$1/under\" \"$1/merged\"; bindfs -f \"$1/under\" \"$1/merged\" & \
    until mountpoint -q \"$1/merged\"; do kill -0 $!; done";

/// Runs one of the ignored tests below with everything temporary in `$1` + `inside`.
fn run_in(script: &str, inside: &str, test: &str) {
    let sandbox = Sandbox::new();
    let Some(shell) = namespace::shell(&format!("{script}; shift; exec \"$@\"")) else {
        tools::left_out("a file system of its own: this user may not mount any");
        return;
    };
    namespace::run_ignored(shell, &sandbox, inside, [module_path!(), test]);
}

fn on_tmpfs(test: &str) {
    run_in(TMPFS, "", test);
}

fn on_overlayfs(test: &str) {
    run_in(&format!("{TMPFS}; {OVERLAY}"), "merged", test);
}

fn on_bindfs(test: &str) {
    if !tools::is_root() {
        tools::left_out("bindfs, which only root can mount in a private namespace");
        return;
    }
    let _ = tools::need("bindfs", "bindfs");
    run_in(&format!("{TMPFS}; {BINDFS}"), "merged", test);
}

#[test]
fn kills_lose_nothing_on_tmpfs() {
    on_tmpfs("kills_lose_nothing_here");
}

#[test]
fn kills_lose_nothing_on_overlayfs() {
    on_overlayfs("kills_lose_nothing_here");
}

#[test]
fn kills_lose_nothing_on_bindfs() {
    on_bindfs("kills_lose_nothing_here");
}

#[test]
fn failures_lose_nothing_on_tmpfs() {
    on_tmpfs("failures_lose_nothing_here");
}

#[test]
fn failures_lose_nothing_on_overlayfs() {
    on_overlayfs("failures_lose_nothing_here");
}

#[test]
fn failures_lose_nothing_on_bindfs() {
    on_bindfs("failures_lose_nothing_here");
}

#[test]
fn a_storm_loses_nothing_on_tmpfs() {
    on_tmpfs("a_storm_loses_nothing_here");
}

#[test]
fn a_storm_loses_nothing_on_overlayfs() {
    on_overlayfs("a_storm_loses_nothing_here");
}

#[test]
fn a_storm_loses_nothing_on_bindfs() {
    on_bindfs("a_storm_loses_nothing_here");
}

/// Says on what, and asserts that the fallback is taken there and nowhere else.
fn look_around() {
    let kind = Program::new(tools::need("stat", "coreutils"))
        .args(["--file-system", "--format=%T"])
        .arg(env::temp_dir())
        .run()
        .succeeds();
    let kind = kind.out();
    eprint!("on {kind}");
    let subject = Subject::new();
    subject.put(Some(1));
    subject.put(Some(2));
    let fallback = subject.store().join(".posixage.old").exists();
    assert_eq!(fallback, kind.starts_with("fuse"), "{kind}");
}

fn operations() -> &'static [Operation] {
    match posixage_tests::long() {
        true => &Operation::ALL,
        false => &[Operation::Overwrite, Operation::Delete],
    }
}

#[test]
#[ignore = "run by the tests above, with another file system in $TMPDIR"]
fn kills_lose_nothing_here() {
    look_around();
    for row in Row::OURS {
        kill::survives(row, if posixage_tests::long() { 250 } else { 10 });
    }
    for operation in operations() {
        survives_kills(*operation, &[]);
    }
}

#[test]
#[ignore = "run by the tests above, with another file system in $TMPDIR"]
fn failures_lose_nothing_here() {
    look_around();
    for operation in operations() {
        survives_failures(*operation, &[]);
    }
}

#[test]
#[ignore = "run by the tests above, with another file system in $TMPDIR"]
fn a_storm_loses_nothing_here() {
    look_around();
    storm_processes::survives();
}

/// A store in the lower layer, as in a container's image. Its directories can only be renamed where
/// the kernel's `redirect_dir` is on; elsewhere a write fails, and changes nothing.
#[test]
fn on_overlayfs_a_lower_secret_is_replaced_or_stays() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("some/secret", "old");
    let mounts = format!("{TMPFS}; {OVERLAY}").replace("lowerdir=$1/lower", "lowerdir=$LOWER");
    let script = format!(
        "{mounts}; set +e; chmod 0700 \"$1/merged\"; \
         posixage() {{ \"$POSIXAGE\" --store \"$STORE\" \"$@\"; }}; \
         printf new | posixage set --force some/secret; echo $?; \
         posixage get some/secret; echo; \
         posixage rm some/secret; echo $?; \
         posixage get some/secret; echo $?"
    );
    let Some(shell) = namespace::shell(&script) else {
        tools::left_out("a store in a lower layer: this user may not mount any");
        return;
    };
    let dir = sandbox.directory("mounted");
    let output = shell
        .env("HOME", sandbox.home())
        .env("LOWER", sandbox.store())
        .env("STORE", dir.join("merged"))
        .env("POSIXAGE", binary::posixage())
        .arg(&dir)
        .run();
    match output.out().as_str() {
        "0\nnew\n0\n3\n" => {}
        "1\nold\n1\nold0\n" => {
            let err = output.err();
            assert!(
                err.contains("cannot publish") && err.contains("cannot remove"),
                "{output:?}"
            );
        }
        _ => panic!("{output:?}"),
    }
    assert_eq!(
        sandbox.get("some/secret"),
        b"old",
        "the layer below is read-only"
    );
}
