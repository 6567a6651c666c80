//! `posixage verify`: a line for each thing that is wrong, and nothing else; what it repairs.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use posixage_tests::{
    Output, Program, Sandbox, golden,
    process::ORDINARY_USER,
    strace, tools,
    tree::{Snapshot, copy},
};

/// The directories of the secrets `a` and `b`.
const A: &str = "YQ==";
const B: &str = "Yg==";

/// A store of two secrets, each encrypted to an age key, an SSH key and a password.
struct Store {
    sandbox: Sandbox,
}

impl Store {
    fn new() -> Self {
        let store = Self {
            sandbox: Sandbox::new(),
        };
        let init = ["init", "--password", "--scrypt-work-factor", "1"];
        store.posixage(&init).run().succeeds();
        for id in ["a", "b"] {
            let set = store.posixage(&["set", id]);
            set.input(format!("value of {id}")).run().succeeds();
        }
        store
    }

    /// With all its keys.
    fn posixage(&self, args: &[&str]) -> Program {
        let key = |name| golden::key(&self.sandbox, name);
        self.keyless(args)
            .arg("-i")
            .arg(key("age-1.txt"))
            .arg("-i")
            .arg(key("ssh-ed25519"))
            .env("POSIXAGE_PASSWORD_FILE", key("password.txt"))
    }

    fn keyless(&self, args: &[&str]) -> Program {
        self.sandbox.posixage(args)
    }

    fn root(&self) -> PathBuf {
        self.sandbox.store()
    }

    fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.root().join(inside)
    }

    fn verify(&self, args: &[&str]) -> Output {
        self.posixage(&[&["verify"], args].concat()).run()
    }

    /// `verify` with these arguments finds this one thing: a line, and an object.
    #[track_caller]
    fn finds(&self, args: &[&str], expected: &Found<'_>) {
        let before = Snapshot::of(&self.root());
        let path = self.path(expected.path);
        let of = match expected.id {
            Some(id) => format!(" (secret {id})"),
            None => String::new(),
        };
        let line = format!("{}: {}{of}\n", path.display(), expected.problem);
        let code = if expected.wrong { 7 } else { 0 };
        let said = self.verify(args);
        assert_eq!((said.out(), said.status.code()), (line, Some(code)));
        assert_eq!(said.err(), "");

        let json = self.verify(&[args, &["--json"]].concat());
        let object = serde_json::json!([{
            "path": path,
            "id": expected.id,
            "kind": expected.kind,
            "problem": expected.problem,
            "wrong": expected.wrong,
            "repaired": false,
        }]);
        let found: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!((found, json.status.code()), (object, Some(code)));
        assert!(
            Snapshot::of(&self.root()) == before,
            "looking has changed it"
        );
    }

    /// The same, and `--repair` says so too, and changes nothing.
    #[track_caller]
    fn finds_for_good(&self, args: &[&str], expected: &Found<'_>) {
        self.finds(args, expected);
        self.finds(&[args, &["--repair"]].concat(), expected);
    }
}

/// A thing to be found.
struct Found<'a> {
    path: &'a str,
    id: Option<&'a str>,
    kind: &'a str,
    problem: &'a str,
    wrong: bool,
}

/// Of the secret `a`, and wrong.
fn in_a<'a>(path: &'a str, kind: &'a str, problem: &'a str) -> Found<'a> {
    Found {
        path,
        id: Some("a"),
        kind,
        problem,
        wrong: true,
    }
}

#[test]
fn of_a_whole_store_there_is_nothing_to_be_said() {
    let store = Store::new();
    for args in [
        &[][..],
        &["--decrypt"],
        &["--repair"],
        &["--decrypt", "--repair"],
    ] {
        let said = store.verify(args).succeeds_silently();
        assert_eq!(said.out(), "", "{args:?}");
    }
    assert_eq!(store.verify(&["--json"]).succeeds_silently().out(), "[]\n");
    // Without keys, too.
    let said = store.keyless(&["verify"]).run().succeeds_silently();
    assert_eq!(said.out(), "");
}

#[test]
fn what_is_no_part_of_the_store_is_named_and_left_alone() {
    let root = "YQ==/secretpass.tmp";
    // Base64 of `/a`, of `a` without padding, and none.
    for (name, id) in [
        ("notes.txt", None),
        ("L2E=", None),
        ("YQ", None),
        ("%", None),
        (".posixage.notes", None),
        (root, Some("a")),
        ("YQ==/secretage2", Some("a")),
    ] {
        let store = Store::new();
        store
            .sandbox
            .file(Path::new("home/.local/share/posixage").join(name), "mine");
        store.finds_for_good(
            &[],
            &Found {
                path: name,
                id,
                kind: "foreign",
                problem: "is no part of the store",
                wrong: false,
            },
        );
    }
}

#[test]
fn what_others_may_read_or_write_is_named_and_repaired() {
    for (name, id, mode, safe) in [
        (".", None, 0o750, 0o700),
        (".posixage.toml", None, 0o644, 0o600),
        (".posixage.lock", None, 0o660, 0o600),
        ("YQ==", Some("a"), 0o701, 0o700),
        ("YQ==/metadata.json", Some("a"), 0o604, 0o600),
        ("YQ==/secretage", Some("a"), 0o640, 0o600),
        ("YQ==/secretssh", Some("a"), 0o620, 0o600),
        ("YQ==/secretpass", Some("a"), 0o777, 0o600),
    ] {
        let store = Store::new();
        let path = match name {
            "." => store.root(),
            name => store.path(name),
        };
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
        let than = if name == "." { "not" } else { "looser than" };
        let problem = format!("has mode {mode:04o}, {than} {safe:04o}");
        let shown = if name == "." { "" } else { name };
        let shown = path
            .strip_prefix(store.root())
            .map_or(shown, |p| p.to_str().expect("text"));
        let found = Found {
            path: shown,
            id,
            kind: "loose",
            problem: &problem,
            wrong: false,
        };
        if name != "." {
            store.finds(&[], &found);
        }
        let repair = store.verify(&["--repair"]).succeeds_silently();
        assert!(repair.out().contains(&problem), "{repair:?}");
        assert!(repair.out().ends_with("; repaired\n"), "{repair:?}");
        let stat = fs::metadata(&path).expect("stat");
        assert_eq!(stat.permissions().mode() & 0o777, safe, "{name}");
        assert_eq!(store.verify(&["--decrypt"]).succeeds_silently().out(), "");
    }
}

/// As planted by a writer of the store's files.
#[test]
fn a_repair_changes_no_file_that_a_hard_link_brought_in() {
    let store = Store::new();
    let victim = store.sandbox.file("victim", "theirs");
    fs::set_permissions(&victim, Permissions::from_mode(0o644)).expect("chmod");
    let planted = store.path(A).join("metadata.json");
    fs::remove_file(&planted).expect("remove");
    fs::hard_link(&victim, &planted).expect("link");
    let said = store.verify(&["--repair"]);
    let path = planted.display();
    for line in [
        format!("{path}: has 2 hard links, so its mode is left alone (secret a)\n"),
        format!("{path}: has mode 0644, looser than 0600 (secret a)\n"),
    ] {
        assert!(said.out().contains(&line), "{said:?}");
    }
    let mode = fs::metadata(&victim).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// At whichever call that names the file the link takes its place.
#[test]
fn a_repair_follows_no_link_that_is_swapped_in() {
    if !tools::may_trace() {
        return tools::left_out("a link swapped in at each call: it takes root's powers");
    }
    let mut swaps = 0;
    for nth in 1.. {
        let store = Store::new();
        let victim = store.sandbox.file("victim", "theirs");
        let file = store.path(A).join("metadata.json");
        for path in [&victim, &file] {
            fs::set_permissions(path, Permissions::from_mode(0o644)).expect("chmod");
        }
        let mut named = 0;
        strace::stopped_at_each_call(store.posixage(&["verify", "--repair"]), &[], |calls| {
            let last = calls.lines().rfind(|line| line.contains('('));
            if last.is_some_and(|line| line.contains("metadata.json")) {
                named += 1;
                if named == nth {
                    fs::remove_file(&file).expect("remove");
                    symlink(&victim, &file).expect("make a link");
                }
            }
        });
        let mode = fs::metadata(&victim).expect("stat").permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "call {nth}");
        if named < nth {
            break;
        }
        swaps += 1;
    }
    assert!(swaps >= 4, "{swaps}");
}

#[test]
fn a_name_forges_no_line_and_turns_no_text_around() {
    let store = Store::new();
    let forged = store.path("x\nYQ==: is fine\u{1b}[2J\u{202e}");
    fs::create_dir(&forged).expect("mkdir");
    let said = store.verify(&[]).succeeds_silently();
    let shown = store.path(r"x\u{a}YQ==: is fine\u{1b}[2J\u{202e}");
    let line = format!("{}: is no part of the store\n", shown.display());
    assert_eq!(said.out(), line);
}

#[test]
fn another_users_files_are_named() {
    if !tools::is_root() {
        tools::left_out("a file of another user: only root gives files away");
        return;
    }
    let problem = format!("belongs to user {ORDINARY_USER}");
    for name in ["YQ==", "YQ==/metadata.json", "YQ==/secretssh"] {
        let store = Store::new();
        chown(store.path(name), Some(ORDINARY_USER), None).expect("chown");
        store.finds_for_good(&[], &in_a(name, "owner", &problem));
    }
}

#[test]
fn copies_with_different_values_are_found_by_decrypting() {
    let store = Store::new();
    // Which is the right one cannot be told. The password's is read first, the others are compared.
    for name in ["secretage", "secretssh"] {
        let store = Store::new();
        fs::copy(store.path(B).join(name), store.path(A).join(name)).expect("copy");
        let said = store.verify(&["--decrypt"]);
        assert_eq!(said.status.code(), Some(7), "{said:?}");
        let line = format!(
            "{}: has copies with different values (secret a)\n",
            store.path(A).join(name).display()
        );
        assert_eq!(said.out(), line);
        // The header tells nothing.
        assert_eq!(store.verify(&[]).succeeds_silently().out(), "");
        let before = Snapshot::of(&store.root());
        assert_eq!(
            store.verify(&["--decrypt", "--repair"]).status.code(),
            Some(7)
        );
        assert!(Snapshot::of(&store.root()) == before);
    }
    // The control: a copy of the whole secret is one.
    copy(&store.path(A), &store.path("Yw=="));
    assert_eq!(store.verify(&["--decrypt"]).succeeds_silently().out(), "");
}

#[test]
fn a_copy_that_is_missing_is_named() {
    for (name, problem) in [
        (
            "secretage",
            "has no secretage, which this store should have",
        ),
        (
            "secretssh",
            "has no secretssh, which this store should have",
        ),
        (
            "secretpass",
            "has no secretpass, which this store should have",
        ),
    ] {
        let store = Store::new();
        fs::remove_file(store.path(A).join(name)).expect("remove");
        store.finds_for_good(&[], &in_a(A, "no-copy", problem));
        store.finds(&["--decrypt"], &in_a(A, "no-copy", problem));
    }
}

/// A header names an SSH recipient, and tells how many native ones there are.
#[test]
fn a_secret_not_encrypted_to_the_recipients_is_named() {
    let recipient = |name: &str| {
        let path = posixage_tests::binary::workspace()
            .join("fixtures/keys")
            .join(name);
        let text = fs::read_to_string(path).expect("a public key");
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let with = |key: &str| {
        let store = Store::new();
        let toml = fs::read_to_string(store.path(".posixage.toml")).expect("read");
        let toml = toml.replacen("recipients = [", &format!("recipients = [\"{key}\", "), 1);
        fs::write(store.path(".posixage.toml"), toml).expect("write");
        store
    };
    let age = with(&recipient("age-locked.pub"));
    let said = age.verify(&[]);
    let problem = "is encrypted to 1 age recipients, not to 2";
    assert_eq!(said.out().matches(problem).count(), 2, "{said:?}");
    assert_eq!(said.status.code(), Some(7));

    let key = recipient("ssh-ed25519-locked.pub");
    let said = with(&key).verify(&[]);
    let problem = format!("is not encrypted to {key}");
    assert_eq!(said.out().matches(&problem).count(), 2, "{said:?}");
    assert_eq!(said.status.code(), Some(7));

    // One too many.
    let store = Store::new();
    let toml = fs::read_to_string(store.path(".posixage.toml")).expect("read");
    let without = toml.replace("password = true", "password = false");
    fs::write(store.path(".posixage.toml"), without).expect("write");
    let said = store.verify(&[]);
    let problem = "is encrypted with a password, and the store says that none is";
    assert_eq!(said.out().matches(problem).count(), 2, "{said:?}");

    // A new write mends it.
    let set = age.posixage(&["set", "--force", "a"]).input("new");
    set.run().succeeds();
    assert_eq!(age.verify(&[]).out().lines().count(), 1);
}

/// A ciphertext of one type under the name of another.
#[test]
fn a_copy_of_the_wrong_type_is_named() {
    for (from, to, problem) in [
        (
            "secretage",
            "secretssh",
            "is not encrypted to an ssh recipient",
        ),
        (
            "secretssh",
            "secretage",
            "is not encrypted to an age recipient",
        ),
        (
            "secretage",
            "secretpass",
            "is not encrypted with one password",
        ),
    ] {
        let store = Store::new();
        fs::copy(store.path(A).join(from), store.path(A).join(to)).expect("copy");
        let path = format!("{A}/{to}");
        store.finds_for_good(&[], &in_a(&path, "recipients", problem));
    }
}

#[test]
fn only_a_ciphertext_that_a_key_should_fit_is_wrong() {
    // As if written by a person with the store's public key, who encrypted to another.
    let store = Store::new();
    let other = Sandbox::new().initialised();
    other.set("a", "planted");
    fs::copy(
        other.store().join(A).join("secretage"),
        store.path(A).join("secretage"),
    )
    .expect("copy");
    assert_eq!(store.verify(&[]).succeeds_silently().out(), "");
    let path = format!("{A}/secretage");
    let problem = "does not decrypt with a key of the store";
    store.finds_for_good(&["--decrypt"], &in_a(&path, "damaged", problem));

    // With another's key nothing can be said.
    let said = store
        .keyless(&["verify", "--decrypt", "-i"])
        .arg(golden::key(&store.sandbox, "age-2.txt"))
        .run()
        .complains(5);
    assert_eq!(
        said.out().matches("was not decrypted: no ").count(),
        6,
        "{said:?}"
    );
}

#[test]
fn an_unreadable_secret_is_found_and_others_are_checked() {
    let mut went_on = 0;
    for nth in 1.. {
        let store = Store::new();
        let files = [A, B].map(|dir| store.path(dir).join("metadata.json"));
        for file in &files {
            fs::set_permissions(file, Permissions::from_mode(0o644)).expect("chmod");
        }
        let program = store.posixage(&["verify", "--repair"]);
        // And the next: what cannot be read is looked at once more.
        let fail = format!("inject=getdents64:error=EIO:when={nth}..{}", nth + 1);
        let (said, trace) = strace::tampered(&store.sandbox, program, &[fail]);
        if !trace.contains(strace::INJECTED) {
            said.succeeds();
            break;
        }
        let repaired = |file: &&PathBuf| {
            let mode = fs::metadata(file).expect("stat").permissions().mode();
            mode & 0o777 == 0o600
        };
        let repaired: Vec<_> = files.iter().filter(repaired).collect();
        for file in &repaired {
            let line = format!("{}: has mode 0644", file.display());
            assert!(said.out().contains(&line), "{nth}: {said:?}");
        }
        if said.status.code() == Some(7) {
            let unreadable = [(A, "a"), (B, "b")].map(|(dir, id)| {
                let path = store.path(dir);
                let path = path.display();
                format!("{path}: cannot be read: input/output error (secret {id})")
            });
            assert!(unreadable.iter().any(|line| said.out().contains(line)));
            assert_eq!(said.err(), "");
            went_on += usize::from(repaired.len() == 1);
        } else {
            said.complains(1).says(["cannot list"]);
        }
    }
    assert_eq!(went_on, 2, "none of the two failed");
}

#[test]
fn decrypting_nothing_is_no_success() {
    let sandbox = Sandbox::new().initialised();
    // There is nothing to decrypt.
    sandbox.run(["verify", "--decrypt"]).succeeds_silently();
    sandbox.set("x", "value");
    sandbox.set("y", "value");
    sandbox.run(["verify", "--decrypt"]).succeeds_silently();
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let verify = |key: &std::path::Path| {
        let verify = sandbox.posixage(["verify", "--decrypt", "-i"]);
        verify
            .arg(key)
            .run()
            .complains(5)
            .says(["nothing was decrypted"])
    };
    let said = verify(&stranger);
    assert_eq!(
        said.out().matches("was not decrypted").count(),
        2,
        "{said:?}"
    );
    std::fs::remove_file(sandbox.identity()).unwrap();
    let said = sandbox.run(["verify", "--decrypt"]).complains(5);
    assert!(said.hint().contains("-i"), "{said:?}");
    // Without --decrypt no key is needed.
    sandbox.run(["verify"]).succeeds();
}
