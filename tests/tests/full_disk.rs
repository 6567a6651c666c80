//! Claim: on a full disk the old value is there, whole, and the error says what to do.

use posixage_tests::{Program, Sandbox, tools};

/// Runs `script` where `$STORE` is a store on a file system of 256 KiB that nobody else sees, and
/// `"$@"` is `posixage --store "$STORE"`.
fn on_a_small_disk(sandbox: &Sandbox, script: &str) -> Program {
    let store = sandbox.directory("disk");
    let script = format!(
        "set -e; mount -t tmpfs -o size=256k,mode=700 posixage-test \"$STORE\"; \"$@\" init >&2; {script}"
    );
    let unshare = tools::need("unshare", "util-linux");
    sandbox
        .posixage(["--store"])
        .arg(&store)
        .env("STORE", &store)
        .in_shell(&script)
        .behind([unshare.as_os_str(), "-m".as_ref()])
}

const FILL: &str = "head -c 10000000 /dev/zero >\"$STORE\"/.fill 2>/dev/null || true;";

#[test]
fn the_old_value_stays_whole() {
    if !tools::may_mount() {
        tools::left_out("a full disk, which takes root to mount one that is small");
        return;
    }
    let sandbox = Sandbox::new();
    let script = format!(
        "echo old | \"$@\" set x; {FILL} \
         if head -c 50000 /dev/zero | \"$@\" set --force x; then exit 90; else test $? = 1; fi; \
         if echo new | \"$@\" set y; then exit 91; else test $? = 1; fi; \
         \"$@\" get x; \"$@\" list; \
         ls -A \"$STORE\" | grep stage && exit 92; \
         rm \"$STORE\"/.fill; echo new | \"$@\" set --force x; \"$@\" get x; ls -A \"$STORE\""
    );
    let output = on_a_small_disk(&sandbox, &script).run().succeeds();
    assert_eq!(
        output.out(),
        "oldx\nnew.posixage.lock\n.posixage.toml\neA==\n",
        "{output:?}"
    );
    assert_eq!(
        output.err().matches("no space left").count(),
        2,
        "{output:?}"
    );
    assert_eq!(
        output.err().matches("hint: free some space").count(),
        2,
        "{output:?}"
    );
}

#[test]
fn a_secret_can_be_removed_to_make_room() {
    if !tools::may_mount() {
        tools::left_out("a full disk, which takes root to mount one that is small");
        return;
    }
    let sandbox = Sandbox::new();
    let script = format!(
        "head -c 50000 /dev/zero | \"$@\" set large; {FILL} \
         \"$@\" rm large; echo new | \"$@\" set x; \"$@\" get x; \"$@\" list"
    );
    let output = on_a_small_disk(&sandbox, &script).run().succeeds();
    assert_eq!(output.out(), "newx\n", "{output:?}");
}

#[test]
fn a_disk_without_inodes_left_keeps_the_old_value_too() {
    if !tools::may_mount() {
        tools::left_out("a disk without inodes, which takes root to mount");
        return;
    }
    let sandbox = Sandbox::new();
    let script = "echo old | \"$@\" set x; mount -o remount,nr_inodes=11 \"$STORE\"; \
         i=0; while touch \"$STORE\"/.fill.$i 2>/dev/null; do i=$((i+1)); done; \
         if echo new | \"$@\" set --force x; then exit 90; else test $? = 1; fi; \
         rm \"$STORE\"/.fill.0; \
         if echo new | \"$@\" set --force x; then exit 91; else test $? = 1; fi; \
         \"$@\" get x; ls -A \"$STORE\" | grep stage && exit 92; exit 0";
    let output = on_a_small_disk(&sandbox, script).run().succeeds();
    assert_eq!(output.out(), "old", "{output:?}");
}
