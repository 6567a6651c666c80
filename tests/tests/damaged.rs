//! Claim: whatever lies in a store, each command gives an error that names the thing, with its exit
//! code; it neither hangs nor fills the memory, changes nothing, and the other secrets are there.
#![expect(clippy::disallowed_methods, reason = "a rename that does damage")]

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use posixage_tests::{Output, Program, Sandbox, binary, golden, tools, tree::Snapshot};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// The directory of the secret `broken`.
const BROKEN: &str = "YnJva2Vu";

/// A store with a whole secret `a` and a damaged one, and what `get broken` says of it.
struct Case {
    sandbox: Sandbox,
    store: PathBuf,
    code: i32,
    says: &'static str,
    /// Whether `list`, which reads the metadata, finds it damaged as well.
    listed: bool,
}

impl Case {
    /// From `fixtures/damaged`.
    fn kept(name: &str, code: i32, says: &'static str, listed: bool) -> Self {
        let sandbox = Sandbox::new();
        let from = binary::workspace().join("fixtures/damaged").join(name);
        let store = sandbox.copy(&from, "store");
        Self {
            sandbox,
            store,
            code,
            says,
            listed,
        }
    }

    /// Whole before `damage` has had its way with the secret's directory.
    fn made(code: i32, says: &'static str, listed: bool, damage: impl FnOnce(&Path)) -> Self {
        let case = Self::kept("ciphertext-missing", code, says, listed);
        let broken = case.store.join(BROKEN);
        fs::copy(case.store.join("YQ==/secretage"), broken.join("secretage")).expect("copy");
        damage(&broken);
        case
    }

    /// With 64 MiB of memory and a second of work at the most: what a file claims to be must not
    /// decide that.
    fn posixage(&self, command: &[&str]) -> Program {
        let key = golden::key(&self.sandbox, "age-1.txt");
        self.sandbox
            .posixage(["--store"])
            .arg(&self.store)
            .arg("-i")
            .arg(key)
            .args(command)
            .behind(["prlimit", "--data=67108864", "--cpu=1", "--"])
    }

    fn run(&self, command: &[&str]) -> Output {
        self.posixage(command).run()
    }

    #[track_caller]
    fn check(&self) {
        let before = Snapshot::of(&self.store);
        self.run(&["get", "broken"])
            .fails(self.code)
            .says([self.says, "broken"]);

        let whole = self.run(&["get", "a"]).succeeds_silently();
        golden::expected_in("age")
            .iter()
            .find(|secret| secret.id == "a")
            .expect("a")
            .assert_value(&whole.stdout);

        let list = self.run(&["list"]);
        if self.listed {
            assert_eq!(list.complains(self.code).out(), "a\n");
        } else {
            assert_eq!(list.succeeds_silently().out(), "a\nbroken\n");
        }
        assert!(
            Snapshot::of(&self.store) == before,
            "reading changed the store"
        );

        let verify = self.run(&["verify", "--decrypt"]);
        assert_eq!(verify.status.code(), Some(7), "{verify:?}");
        assert!(verify.out().contains(BROKEN), "{verify:?}");
        let repair = self.run(&["verify", "--repair"]);
        assert!(matches!(repair.status.code(), Some(0 | 7)), "{repair:?}");

        self.posixage(&["set", "-f", "broken"])
            .input("mended")
            .run()
            .succeeds();
        assert_eq!(self.run(&["get", "broken"]).succeeds().out(), "mended");
        self.run(&["verify", "--decrypt"]).succeeds();
    }
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("make a FIFO");
}

fn sparse(path: &Path, len: u64) {
    File::create(path)
        .and_then(|file| file.set_len(len))
        .expect("make a sparse file");
    private(path);
}

fn private(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
}

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
fn work_that_nobody_should_do() {
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
fn what_others_can_read_is_refused_and_repaired() {
    for (path, mode, safe, listed) in [
        ("", 0o755, 0o700, true),
        ("metadata.json", 0o644, 0o600, true),
        ("secretage", 0o620, 0o600, false),
    ] {
        let case = Case::made(8, "is open to others", listed, |broken| {
            fs::set_permissions(broken.join(path), Permissions::from_mode(mode)).expect("chmod");
        });
        case.run(&["get", "broken"])
            .fails(8)
            .says([case.says, "hint: chmod"]);
        case.run(&["get", "broken", "--allow-insecure-permissions"])
            .succeeds_silently();
        case.run(&["verify"]).says([]);
        let repair = case.run(&["verify", "--repair"]).succeeds();
        assert!(repair.out().ends_with("; repaired\n"), "{repair:?}");
        let stat = fs::metadata(case.store.join(BROKEN).join(path)).expect("stat");
        assert_eq!(stat.permissions().mode() & 0o777, safe);
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

#[test]
fn the_stores_own_files() {
    let damaged = |name: &str, make: &dyn Fn(&Path)| {
        let case = Case::made(0, "", false, |_| {});
        make(&case.store.join(name));
        case
    };
    let toml = |text: &'static str| {
        move |path: &Path| {
            fs::write(path, text).expect("write");
            private(path);
        }
    };
    let config = ".posixage.toml";
    for (make, says) in [
        (&toml("format = 2") as &dyn Fn(&Path), "has format 2"),
        (&toml("recipients = 1"), ".posixage.toml"),
        (
            &toml("format = 1\nrecipients = [\"age1nonsense\"]"),
            "recipient 1",
        ),
        (&fifo, NOT_REGULAR),
        (
            &|path: &Path| fs::create_dir(path).expect("mkdir"),
            NOT_REGULAR,
        ),
        (
            &|path: &Path| symlink("/dev/zero", path).expect("link"),
            "symbolic link",
        ),
        (&|path: &Path| sparse(path, 10 << 30), "the limit is"),
    ] {
        let case = damaged(config, make);
        for command in [&["get", "a"] as &[&str], &["list"], &["verify"]] {
            case.run(command).fails(7).says([config, says]);
        }
    }
    for (make, says) in [
        (&fifo as &dyn Fn(&Path), "a named pipe"),
        (
            &|path: &Path| fs::create_dir(path).expect("mkdir"),
            "a directory",
        ),
        (
            &|path: &Path| symlink("elsewhere", path).expect("link"),
            "a symbolic link",
        ),
    ] {
        let case = damaged(".posixage.lock", make);
        case.run(&["get", "a"])
            .fails(1)
            .says([".posixage.lock", says, "not a regular file"]);
        case.posixage(&["set", "c"])
            .input("c")
            .run()
            .fails(1)
            .says([".posixage.lock"]);
    }
}

#[test]
fn key_files() {
    let case = Case::made(0, "", false, |_| {});
    let store = case.store.to_str().expect("UTF-8").to_owned();
    let key = case.sandbox.path().join("key");
    let get = |code: i32, says: &str| {
        let run = case
            .sandbox
            .posixage(["--store", &store, "-i"])
            .arg(&key)
            .args(["get", "a"]);
        run.behind(["prlimit", "--data=67108864", "--cpu=1", "--"])
            .run()
            .fails(code)
            .says([says]);
    };
    get(1, "no such file or directory");
    fifo(&key);
    get(1, NOT_REGULAR);
    fs::remove_file(&key).expect("remove");
    fs::create_dir(&key).expect("mkdir");
    get(1, NOT_REGULAR);
    fs::remove_dir(&key).expect("remove");
    sparse(&key, 10 << 30);
    get(1, "is over 1 MiB long");
    for (text, says) in [
        ("", "holds no identity"),
        ("nonsense", "line 1: this is no age identity"),
        (
            "# ok\nage1aadpynhz7qdmeykchhe6vckjdm5p3n2kphdyk5g3254u9md48erszkwxg4",
            "line 2: this is a public key",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA",
            "cannot be used: not an SSH private key",
        ),
        ("age-encryption.org/v1\nnonsense", "is not a valid age file"),
    ] {
        fs::write(&key, text).expect("write");
        private(&key);
        get(1, says);
    }
    let good = golden::key(&case.sandbox, "age-1.txt");
    fs::copy(good, &key).expect("copy");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("chmod");
    get(8, "is open to others (mode 0640)");
}
