//! Claim: whatever lies in a secret's place, each command gives an error that names the thing, with its exit
//! code; it neither hangs nor fills the memory, changes nothing, and the other secrets are there.
#![expect(clippy::disallowed_methods, reason = "a rename that does damage")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use posixage::KeyType;
use posixage_tests::{
    Sandbox, age,
    damage::{BROKEN, Case, fifo, sparse},
    golden, tools,
};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

const NOT_AGE: &str = "is not an age file, or its header is damaged";
const ALTERED: &str = "is truncated or altered";
const MALFORMED: &str = "is not a JSON object of strings";
const NOT_REGULAR: &str = "is not a regular file";

#[test]
fn metadata_that_is_none() {
    for name in ["array", "number", "truncated", "empty", "not-utf8"] {
        Case::kept(&format!("metadata-{name}"), 7, MALFORMED, true).check();
    }
    Case::kept("metadata-missing", 7, "metadata.json: is missing", true).check();
    Case::kept("metadata-directory", 7, NOT_REGULAR, true).check();
}

#[test]
fn ciphertexts_that_are_none() {
    Case::kept("ciphertext-empty", 7, ALTERED, false).check();
    Case::kept("ciphertext-foreign", 7, NOT_AGE, false).check();
    Case::kept(
        "ciphertext-other-version",
        7,
        "is of an unknown age version",
        false,
    )
    .check();
    Case::kept("ciphertext-truncated-in-header", 7, ALTERED, false).check();
    Case::kept("ciphertext-truncated-in-payload", 7, ALTERED, false).check();
    Case::kept(
        "ciphertext-bit-flipped-in-header",
        7,
        "has a damaged header",
        false,
    )
    .check();
    Case::kept("ciphertext-bit-flipped-in-payload", 7, ALTERED, false).check();
    Case::kept("ciphertext-missing", 7, "holds no ciphertext", false).check();
    Case::kept("ciphertext-directory", 7, NOT_REGULAR, false).check();
}

#[test]
fn excessive_work_factors_are_refused() {
    let says = "asks for scrypt work factor 23; the limit is 22";
    let case = Case::kept("scrypt-work-factor-23", 7, says, false);
    let password = golden::key(&case.sandbox, "password.txt");
    let get = case
        .posixage(&["get", "broken", "--password-file"])
        .arg(password);
    get.run().fails(7).says([says, "broken"]);
    assert_eq!(case.run(&["verify"]).out().matches(says).count(), 1);
}

#[test]
fn a_secret_that_is_no_directory() {
    Case::kept("secret-is-a-file", 7, "is not a directory", true).check();
    Case::made(7, "is not a directory", true, |broken| {
        fs::rename(broken, broken.with_file_name("elsewhere")).expect("rename");
        symlink("elsewhere", broken).expect("make a link");
    })
    .check();
    Case::made(7, "is not a directory", true, |broken| {
        fs::rename(broken, broken.with_file_name("elsewhere")).expect("rename");
        fifo(broken);
    })
    .check();
}

#[test]
fn links_pipes_and_devices_where_a_file_belongs() {
    for (file, listed) in [("metadata.json", true), ("secretage", false)] {
        let remove = |path: &Path| fs::remove_file(path).expect("remove");
        Case::made(7, "is a symbolic link", listed, |broken| {
            remove(&broken.join(file));
            symlink(format!("../YQ==/{file}"), broken.join(file)).expect("make a link");
        })
        .check();
        Case::made(7, NOT_REGULAR, listed, |broken| {
            remove(&broken.join(file));
            fifo(&broken.join(file));
        })
        .check();
        if !tools::is_root() {
            tools::left_out("a device where a file belongs: only root makes devices");
            continue;
        }
        Case::made(7, NOT_REGULAR, listed, |broken| {
            remove(&broken.join(file));
            let mode = Mode::RUSR | Mode::WUSR;
            let zero = makedev(1, 5);
            mknodat(
                CWD,
                broken.join(file),
                FileType::CharacterDevice,
                mode,
                zero,
            )
            .expect("mknod");
        })
        .check();
    }
}

#[test]
fn files_that_are_too_large_are_not_read() {
    const TEN_GIB: u64 = 10 << 30;
    let says = "is 10737418240 bytes long; the limit is 1048576";
    Case::made(7, says, true, |broken| {
        sparse(&broken.join("metadata.json"), TEN_GIB);
    })
    .check();
    let says = "is 10737418240 bytes long; the limit is";
    Case::made(7, says, false, |broken| {
        sparse(&broken.join("secretage"), TEN_GIB);
    })
    .check();
    Case::made(7, "the limit is 1048576", true, |broken| {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        fs::write(broken.join("metadata.json"), long).expect("write");
    })
    .check();
}

#[test]
fn a_value_over_the_limit_is_too_large_and_not_truncated() {
    const LEN: usize = (64 << 20) + 1;
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let secret = age::ciphertext(&sandbox.store(), "x", KeyType::Age);
    let value = sandbox.file("value", vec![b'v'; LEN]);
    let age = sandbox.program(tools::need("age", "age"));
    let age = age.args(["-e", "-i"]).arg(sandbox.identity()).arg("-o");
    age.args([&secret, &value]).run().succeeds();
    let get = sandbox.run(["get", "x"]).fails(7);
    assert!(!get.err().contains("truncated"), "{get:?}");
    get.says(["over the limit of 67108864 bytes"]);
}

#[test]
fn the_hint_for_a_damaged_secret_names_it_and_nothing_above_it() {
    for name in ["secret-is-a-file", "metadata-array", "ciphertext-empty"] {
        let case = Case::kept(name, 7, "damaged", true);
        let secret = case.store.join(BROKEN).display().to_string();
        let get = case.run(&["get", "broken"]).fails(7);
        assert!(
            get.hint().contains(&format!("restore {secret} from")),
            "{get:?}"
        );
    }
}

#[test]
fn a_root_that_others_can_enter_is_refused_and_repaired() {
    for mode in [0o710, 0o701, 0o755, 0o777] {
        let case = Case::made(0, "", false, |broken| {
            let root = broken.parent().expect("the root");
            fs::set_permissions(root, Permissions::from_mode(mode)).expect("chmod");
        });
        let open = format!("is open to others (mode {mode:04o})");
        for args in [&["get", "broken"][..], &["list"], &["rm", "broken"]] {
            case.run(args).fails(8).says([&*open, "hint: chmod 700"]);
        }
        case.run(&["get", "broken", "--allow-insecure-permissions"])
            .succeeds_silently();
        assert_eq!(case.run(&["verify"]).status.code(), Some(7));
        let repair = case.run(&["verify", "--repair"]).succeeds();
        assert!(repair.out().ends_with("; repaired\n"), "{repair:?}");
        let stat = fs::metadata(&case.store).expect("stat");
        assert_eq!(stat.permissions().mode() & 0o777, 0o700);
        case.run(&["get", "broken"]).succeeds_silently();
    }
}

#[test]
fn what_interrupted_writes_left_is_named_and_cleared_away() {
    let case = Case::made(0, "", false, |broken| {
        let root = broken.parent().expect("the root");
        for leftover in [
            ".posixage.stage.0123456789abcdef",
            ".posixage.trash.0123456789abcdef",
        ] {
            fs::create_dir(root.join(leftover)).expect("mkdir");
            fs::write(root.join(leftover).join("secretage"), "half").expect("write");
        }
        // A commit without RENAME_EXCHANGE, killed between its two renames.
        fs::create_dir(root.join(".posixage.old")).expect("mkdir");
        fs::rename(broken, root.join(".posixage.old").join(BROKEN)).expect("rename");
    });
    // Ours finds the secret where it is.
    let before = case.run(&["get", "broken"]).succeeds_silently();
    assert_eq!(case.run(&["list"]).succeeds_silently().out(), "a\nbroken\n");
    let verify = case.run(&["verify"]);
    assert_eq!(verify.status.code(), Some(7), "{verify:?}");
    assert_eq!(
        verify.out().matches("by an interrupted write").count(),
        3,
        "{verify:?}"
    );

    case.posixage(&["set", "c"])
        .input("c")
        .run()
        .succeeds_silently();
    let after = case.run(&["get", "broken"]).succeeds_silently();
    assert_eq!(before.stdout, after.stdout);
    case.run(&["verify", "--decrypt"]).succeeds_silently();
    assert!(case.store.join(BROKEN).is_dir());
}

#[test]
fn an_empty_secret_is_damaged_and_repair_removes_it() {
    let case = Case::kept("ciphertext-missing", 7, "is missing", true);
    fs::remove_file(case.store.join(BROKEN).join("metadata.json")).expect("remove");
    case.run(&["get", "broken"])
        .fails(7)
        .says(["metadata.json: is missing"]);
    assert_eq!(case.run(&["list"]).complains(7).out(), "a\n");
    case.run(&["verify", "--repair"]).succeeds();
    assert_eq!(case.run(&["list"]).succeeds_silently().out(), "a\n");
}
