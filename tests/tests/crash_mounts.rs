//! The same promises on tmpfs and on overlayfs, each mounted for the test alone.

use std::env;

use posixage_tests::{
    Program, Sandbox, binary,
    chance::Chance,
    every_call,
    kill::{Row, at_random},
    namespace,
    operation::Operation,
    process::LIMIT,
    subject::Subject,
    tools,
};

/// Mounts a tmpfs on `$1`.
const TMPFS: &str = "set -e; mount -t tmpfs -o mode=0700 tmpfs \"$1\"";

/// And an overlayfs on `$1/merged`, over `$1/lower`.
const OVERLAY: &str = "mkdir \"$1/lower\" \"$1/upper\" \"$1/work\" \"$1/merged\"; \
    mount -t overlay -o \"lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work\" overlay \"$1/merged\"";

/// Runs one of the ignored tests below with everything temporary in `$1` + `inside`.
fn run_in(script: &str, inside: &str, test: &str) {
    let sandbox = Sandbox::new();
    let Some(shell) = namespace::shell(&format!("{script}; shift; exec \"$@\"")) else {
        tools::left_out("a file system of its own: this user may not mount any");
        return;
    };
    namespace::run_ignored(shell, &sandbox, inside, test);
}

#[test]
fn on_tmpfs_nothing_is_lost() {
    run_in(TMPFS, "", "kills_lose_nothing_here");
}

#[test]
fn on_overlayfs_nothing_is_lost() {
    run_in(
        &format!("{TMPFS}; {OVERLAY}"),
        "merged",
        "kills_lose_nothing_here",
    );
}

#[test]
#[ignore = "run by the tests above, with another file system in $TMPDIR"]
fn kills_lose_nothing_here() {
    let type_here = Program::new(tools::need("stat", "coreutils"))
        .args(["--file-system", "--format=%T"])
        .arg(env::temp_dir())
        .run()
        .succeeds();
    eprint!("on {}", type_here.out());
    let begun = std::time::Instant::now();
    let mut chance = Chance::new();
    for row in Row::OURS {
        let figures = at_random(&Subject::new(), row, 10, &mut chance);
        assert!(figures.losses.is_empty(), "{:#?}", figures.losses);
    }
    for operation in [Operation::Overwrite, Operation::Delete] {
        let deaths = every_call::killed(&Subject::new(), operation, &[]);
        assert!(deaths.before > 0 && deaths.after > 0, "{deaths:?}");
    }
    assert!(begun.elapsed() < LIMIT, "too long for the test that waits");
}

/// A store in the lower layer, as in a container's image. Its directories can only be renamed where
/// the kernel's `redirect_dir` is on; elsewhere a write fails, and changes nothing.
#[test]
fn on_overlayfs_a_secret_of_the_lower_layer_is_replaced_or_stays() {
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
