//! Claim: a read-only store is listed and read.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use posixage_tests::{Output, Program, Sandbox, golden, tools, tree, tree::Snapshot};

fn posixage(sandbox: &Sandbox, store: &Path) -> Program {
    let key = golden::key(sandbox, "age-1.txt");
    sandbox.posixage(["--store"]).arg(store).arg("-i").arg(key)
}

fn assert_readable(run: impl Fn(&[&str]) -> Output) {
    let mut ids: Vec<String> = golden::expected_in("age")
        .into_iter()
        .map(|e| e.id)
        .collect();
    ids.sort();
    assert_eq!(
        run(&["list"]).succeeds_silently().out(),
        ids.join("\n") + "\n"
    );
    for expected in golden::expected_in("age") {
        expected.assert_value(&run(&["get", "--", &expected.id]).succeeds_silently().stdout);
    }
    run(&["get", "--metadata", "github/token"]).succeeds_silently();
    run(&["status"]).succeeds();
}

#[test]
fn a_store_without_write_permission_is_read_only() {
    for with_lock_file in [true, false] {
        let sandbox = Sandbox::ordinary();
        let store = golden::store(&sandbox, "age");
        if !with_lock_file {
            fs::remove_file(store.join(".posixage.lock")).unwrap();
        }
        for path in tree::walk(&store).iter().rev() {
            let mode = if path.is_dir() { 0o500 } else { 0o400 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let before = Snapshot::of(&store);
        assert_readable(|args| posixage(&sandbox, &store).args(args).run());

        for args in [["set", "new"], ["rm", "a"]] {
            let output = posixage(&sandbox, &store).args(args).input("v").run();
            output.fails(1).says(["permission denied"]);
        }
        let output = posixage(&sandbox, &store)
            .args(["set", "--force", "a"])
            .input("v")
            .run();
        output.fails(1).says(["permission denied"]);
        assert_eq!(Snapshot::of(&store), before, "lock file: {with_lock_file}");
        // Else an ordinary user could not remove the directory.
        for path in tree::walk(&store).iter().filter(|path| path.is_dir()) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
}

#[test]
fn a_store_on_a_read_only_mount_is_read_only() {
    if !tools::may_mount() {
        tools::left_out("a read-only mount, which takes root; file modes are tested");
        return;
    }
    for with_lock_file in [true, false] {
        let sandbox = Sandbox::new();
        let store = golden::store(&sandbox, "age");
        if !with_lock_file {
            fs::remove_file(store.join(".posixage.lock")).unwrap();
        }
        let before = Snapshot::of(&store);
        // The mount is gone with the process that has it.
        let mounted = |program: Program| {
            let script = r#"
                mount --bind "$STORE" "$STORE" && mount -o remount,bind,ro "$STORE" && exec "$@"
            "#;
            let unshare = tools::need("unshare", "util-linux");
            program
                .env("STORE", &store)
                .in_shell(script)
                .behind([unshare.as_os_str(), "-m".as_ref()])
        };
        let run = |args: &[&str]| mounted(posixage(&sandbox, &store).args(args)).run();
        assert_readable(run);

        for args in [
            &["set", "new"][..],
            &["set", "--force", "a"],
            &["rm", "a"],
            &["init"],
        ] {
            let output = mounted(posixage(&sandbox, &store).args(args).input("v")).run();
            let output = output.fails(1).says(["read-only file system"]);
            assert!(args[0] == "init" || !output.hint().is_empty());
        }
        assert_eq!(Snapshot::of(&store), before, "lock file: {with_lock_file}");
    }
}

#[test]
fn a_lock_counts_on_a_store_that_cannot_be_written() {
    let sandbox = Sandbox::ordinary();
    let store = golden::store(&sandbox, "age");
    let mut holder = posixage(&sandbox, &store)
        .args(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    for path in tree::walk(&store).iter().rev() {
        let mode = if path.is_dir() { 0o500 } else { 0o400 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let get = posixage(&sandbox, &store)
        .args(["get", "a", "--lock-timeout", "0"])
        .run();
    get.fails(6).says([holder.id().to_string().as_str()]);
    holder.write(b"done\n");
    holder.wait().succeeds();
    let get = posixage(&sandbox, &store)
        .args(["get", "a", "--lock-timeout", "0"])
        .run();
    assert_eq!(get.succeeds_silently().out(), "1");
    for path in tree::walk(&store).iter().filter(|path| path.is_dir()) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
