//! Claim: on a full disk the old value is there, whole, and the error says what to do.

use std::fs;

use posixage_tests::{Program, Sandbox, tools};

/// Runs `script` where `$STORE` is a store on a private file system of 256 KiB, and
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

#[test]
fn over_a_quota_the_old_value_stays_whole() {
    if !tools::may_mount() {
        tools::left_out("a quota, which takes root to mount a file system that has them");
        return;
    }
    let sandbox = Sandbox::new();
    let disk = sandbox.directory("disk");
    let image = sandbox.file("image", "");
    let make = Program::new(tools::need("mkfs.btrfs", "btrfs-progs"));
    fs::File::options()
        .write(true)
        .open(&image)
        .and_then(|image| image.set_len(128 << 20))
        .expect("a sparse file");
    make.arg("-q").arg(&image).run().succeeds();
    // 100: this kernel has none.
    let script = "set -e; mount -t btrfs -o loop \"$IMAGE\" \"$DISK\" || exit 100; \
         { btrfs quota enable \"$DISK\"; btrfs quota rescan -w \"$DISK\"; \
           btrfs subvolume create \"$STORE\"; \
           btrfs qgroup limit 1M \"$STORE\"; chmod 700 \"$STORE\"; } >/dev/null; \
         \"$@\" init >/dev/null; echo old | \"$@\" set x; \
         if head -c 5000000 /dev/zero | \"$@\" set --force x; then exit 90; else test $? = 1; fi; \
         if head -c 5000000 /dev/zero | \"$@\" set y; then exit 91; else test $? = 1; fi; \
         \"$@\" get x; \"$@\" list; ls -A \"$STORE\"; \
         echo new | \"$@\" set --force x; \"$@\" get x";
    let store = disk.join("store");
    let unshare = tools::need("unshare", "util-linux");
    let output = sandbox
        .posixage(["--store"])
        .arg(&store)
        .env("DISK", &disk)
        .env("STORE", &store)
        .env("IMAGE", &image)
        .in_shell(script)
        .behind([unshare.as_os_str(), "-m".as_ref()])
        .run();
    if output.status.code() == Some(100) {
        tools::left_out(&format!("a quota: {}", output.err()));
        return;
    }
    let output = output.succeeds();
    assert_eq!(
        output.out(),
        "oldx\n.posixage.lock\n.posixage.toml\neA==\nnew",
        "{output:?}"
    );
    for says in ["disk quota exceeded", "hint: free some space"] {
        assert_eq!(output.err().matches(says).count(), 2, "{output:?}");
    }
}
