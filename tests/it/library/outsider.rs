//! Claim: a crate outside of the workspace, written from the documentation, stores and reads its
//! credentials, survives being killed, and can tell apart each error that it can meet.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use posixage::{Id, Store, lock::Mode};
use posixage_tests::{Output, Program, Sandbox, binary::workspace, tools, tree::Snapshot};
use rustix::process::Signal;

/// Builds the crate once, from a directory of its own, offline.
fn vault() -> &'static Path {
    static VAULT: OnceLock<PathBuf> = OnceLock::new();
    VAULT.get_or_init(|| {
        let workspace = workspace();
        let manifest = fs::read_to_string(workspace.join("Cargo.toml")).expect("Cargo.toml");
        // The versions and profiles of the workspace, so that little is compiled twice.
        let (_, profiles) = manifest.split_once("[profile.dev]").expect("profiles");
        let sandbox = Sandbox::new();
        sandbox.file(
            "vault/Cargo.toml",
            format!(
                "[package]\nname = \"vault\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                 [dependencies]\nposixage = {{ path = {:?} }}\n[workspace]\n[profile.dev]{profiles}",
                workspace.join("store")
            ),
        );
        let source = workspace.join("fixtures/outsider/main.rs");
        sandbox.file("vault/src/main.rs", fs::read(source).expect("main.rs"));
        let lock = fs::read(workspace.join("Cargo.lock")).expect("Cargo.lock");
        sandbox.file("vault/Cargo.lock", lock);

        let test = std::env::current_exe().expect("the path of this test");
        let target = test.ancestors().nth(3).expect("a target directory");
        let mut build = Program::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--message-format=short"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(sandbox.path().join("vault"))
            .within(Duration::from_secs(900));
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                build = build.env(name, value);
            }
        }
        build.run().succeeds_silently();
        target.join("debug/vault")
    })
}

struct Vault {
    sandbox: Sandbox,
    root: PathBuf,
    key: PathBuf,
}

impl Vault {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let (root, key) = (sandbox.path().join("store"), sandbox.path().join("key"));
        let vault = Self { sandbox, root, key };
        vault.run("init", &[], "").succeeds_silently();
        vault
    }

    fn with_secret() -> Self {
        let vault = Self::new();
        vault.run("create", &["x"], "value").succeeds_silently();
        vault
    }

    fn program(&self, command: &str, rest: &[&str]) -> Program {
        let vault = self.sandbox.program(vault());
        vault.args([&self.root, &self.key]).arg(command).args(rest)
    }

    fn run(&self, command: &str, rest: &[&str], input: impl Into<Vec<u8>>) -> Output {
        self.program(command, rest).input(input).run()
    }

    /// Fails with that kind of error, with a message, and a hint if there should be one; the store is as
    /// it was before.
    #[track_caller]
    fn fails(&self, output: &Output, kind: &str, hint: bool) {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = output.err();
        let lines: Vec<&str> = said.lines().collect();
        let message = lines[0].strip_prefix(&format!("{kind}: "));
        assert!(message.is_some_and(|m| m.len() > 10), "{kind}: {output:?}");
        let hinted = lines.get(1).is_some_and(|line| line.starts_with("hint: "));
        assert_eq!(hinted, hint, "{output:?}");
        assert_eq!(lines.len(), 1 + usize::from(hint), "{output:?}");
    }

    fn secret(&self) -> PathBuf {
        let id: Id = "x".parse().expect("an id");
        self.root.join(id.directory_name())
    }
}

#[test]
fn stores_reads_lists_counts_and_removes() {
    let vault = Vault::with_secret();
    assert_eq!(
        vault.run("get", &["x"], "").succeeds_silently().out(),
        "value"
    );
    vault.run("set", &["x"], "new").succeeds_silently();
    assert_eq!(
        vault.run("get", &["x"], "").succeeds_silently().out(),
        "new"
    );
    assert_eq!(
        vault.run("list", &[], "").succeeds_silently().out(),
        "x zoe\n"
    );
    for number in ["1", "2"] {
        vault.run("count", &["n"], "").succeeds_silently();
        assert_eq!(
            vault.run("get", &["n"], "").succeeds_silently().out(),
            number
        );
    }
    vault.run("remove", &["x"], "").succeeds_silently();
    assert_eq!(vault.run("list", &[], "").succeeds_silently().out(), "n \n");
}

#[test]
fn survives_being_killed() {
    let vault = Vault::with_secret();
    for round in 0..20_u64 {
        let spinning = vault.program("spin", &["x"]).start();
        spinning.wait_for(["a\n", "b\n", "c\n", "z\na\n"][round as usize % 4]);
        spinning.signal(Signal::KILL);
        assert_eq!(spinning.wait().signal(), Some(9));
        let value = vault.run("get", &["x"], "").succeeds_silently().stdout;
        let letter = value[0];
        assert!(letter.is_ascii_lowercase());
        assert_eq!(value, vec![letter; 1000 + usize::from(letter)]);
    }
    vault.run("set", &["x"], "last").succeeds_silently();
    assert_eq!(
        vault.run("get", &["x"], "").succeeds_silently().out(),
        "last"
    );
}

#[test]
fn tells_errors_of_use_apart() {
    let vault = Vault::with_secret();
    let before = Snapshot::of(&vault.root);
    let fails = |command: &str, rest: &[&str], kind: &str| {
        vault.fails(&vault.run(command, rest, "new"), kind, false);
        assert_eq!(Snapshot::of(&vault.root), before, "{command}");
    };
    fails("init", &[], "store-exists");
    fails("get", &["y"], "not-found");
    fails("remove", &["y"], "not-found");
    fails("create", &["x"], "already-exists");
    fails("get-as-a-stranger", &["x"], "no-key-fits");
    fails("set", &["x", "one", "two"], "several-passwords");
    fails("set-with-long-metadata", &["x"], "metadata-too-large");
    // The closure's own error, as it is.
    fails("count", &["x"], "other");
    fails("get", &["no spaces"], "other");
    let long = vec![0; posixage::MAX_VALUE_LEN + 1];
    vault.fails(&vault.run("set", &["x"], long), "value-too-large", false);
    assert_eq!(Snapshot::of(&vault.root), before);
}

#[test]
fn tells_errors_of_the_place_apart() {
    let vault = Vault::with_secret();
    let root = vault.root.clone();
    let gets = |kind: &str, hint| vault.fails(&vault.run("get", &["x"], ""), kind, hint);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let toml = root.join(".posixage.toml");
    let config = fs::read(&toml).unwrap();

    // The root.
    let aside = root.with_extension("aside");
    let moved = |from: &Path, to: &Path| {
        let mv = Program::new("mv").args([from, to]).run();
        mv.succeeds_silently();
    };
    moved(&root, &aside);
    gets("no-store", false);
    symlink("store", &root).unwrap();
    gets("io", false);
    fs::remove_file(&root).unwrap();
    fs::write(&root, "").unwrap();
    gets("io", false);
    fs::remove_file(&root).unwrap();
    moved(&aside, &root);
    mode(&root, 0o755);
    gets("insecure", true);
    mode(&root, 0o700);

    // Its configuration.
    fs::write(&toml, "format = 2").unwrap();
    gets("config", false);
    fs::write(&toml, "format = 1").unwrap();
    vault.fails(
        &vault.run("set-without-keys", &["x"], "v"),
        "no-recipients",
        false,
    );
    fs::write(&toml, config).unwrap();

    // The key.
    mode(&vault.key, 0o644);
    gets("key", true);
    mode(&vault.key, 0o600);

    // The secret.
    let ciphertext = vault.secret().join("secretage");
    let whole = fs::read(&ciphertext).unwrap();
    fs::write(&ciphertext, &whole[..whole.len() - 1]).unwrap();
    gets("damaged", true);
    fs::write(&ciphertext, whole).unwrap();

    // Another user's.
    if tools::is_root() {
        chown(&root, Some(1), None).unwrap();
        vault.fails(&vault.run("set", &["x"], "v"), "foreign-owner", true);
        chown(&root, Some(0), None).unwrap();
    } else {
        tools::left_out("a store that belongs to another user");
    }
    assert_eq!(
        vault.run("get", &["x"], "").succeeds_silently().out(),
        "value"
    );
}

#[test]
fn tells_a_lock_that_is_held_from_one_that_was_lost() {
    let vault = Vault::with_secret();
    let store = Store::builder(&vault.root).open().unwrap();
    let held = store.lock(Mode::Exclusive).unwrap();
    let refused = vault.run("set-now", &["x"], "new");
    vault.fails(&refused, "locked", true);
    assert!(
        refused
            .err()
            .contains(&format!("pid {}", std::process::id()))
    );
    drop(held);

    // Removed under the holder, as a peer does that takes it for dead.
    let lock = vault.root.join(posixage::lock::FILE_NAME);
    let before = Snapshot::of(&vault.secret());
    let holds = vault.program("hold", &["x"]).start();
    holds.wait_for("held");
    fs::remove_file(&lock).unwrap();
    let mut lost = holds.wait();
    assert_eq!(lost.out(), "held\n");
    lost.stdout.clear();
    vault.fails(&lost, "lost-the-lock", true);
    assert_eq!(Snapshot::of(&vault.secret()), before);

    // Not a file that can be locked.
    let _ = fs::remove_file(&lock);
    fs::create_dir(&lock).unwrap();
    vault.fails(&vault.run("get", &["x"], ""), "lock", true);
}
