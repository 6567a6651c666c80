//! Claim: in a store of the reference, what is strange beside the secrets is left alone, and one
//! broken secret hides no other.

use std::{
    fs,
    fs::File,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use posixage::{Entry, Error, Id, KeyFile, Pattern, Store};
use posixage_tests::{Output, Program, Sandbox, golden, golden::Expected, tree::Snapshot};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const STALE: Duration = Duration::from_secs(1_577_836_800); // 2020-01-01

fn directory_of(store: &Path, id: &str) -> PathBuf {
    store.join(id.parse::<Id>().expect("an id").directory_name())
}

fn fifo(path: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, path, FileType::Fifo, mode, 0).expect("make a FIFO");
}

/// The golden store `age` with an empty secret directory, `foo`, and a neighbour of every kind.
fn strange_store(sandbox: &Sandbox) -> PathBuf {
    let store = golden::store(sandbox, "age");
    let file = |path: &str| drop(sandbox.file(Path::new("age").join(path), "not ours"));
    file(".git/config");
    file("this is not base64/metadata.json");
    file("YQ/metadata.json"); // base64 of `a`, but without its padding
    file("YSBi/metadata.json"); // base64 of `a b`, which is no id
    file("lost+found/secretage");
    file("README");
    file("a file named like a secret".replace(' ', "-").as_str());
    file(".posixage.notes");
    file(&format!(
        "{}/secretpass.tmp",
        "a".parse::<Id>().expect("an id").directory_name()
    ));
    file(&format!(
        "{}/secretage~",
        "a".parse::<Id>().expect("an id").directory_name()
    ));
    fifo(&store.join("pipe"));
    symlink("/nowhere", store.join("dangling")).expect("make a link");
    sandbox.directory(Path::new("age").join("foo".parse::<Id>().expect("an id").directory_name()));
    let lock = File::options()
        .write(true)
        .open(store.join(".posixage.lock"))
        .expect("the lock");
    lock.set_modified(SystemTime::UNIX_EPOCH + STALE)
        .expect("make it stale");
    store
}

fn sorted_ids() -> Vec<String> {
    let mut ids: Vec<String> = golden::expected_in("age")
        .into_iter()
        .map(|e| e.id)
        .collect();
    ids.sort();
    ids
}

fn posixage(sandbox: &Sandbox, store: &Path) -> Program {
    let key = golden::key(sandbox, "age-1.txt");
    sandbox.posixage(["--store"]).arg(store).arg("-i").arg(key)
}

fn get(sandbox: &Sandbox, store: &Path, id: &str) -> Output {
    posixage(sandbox, store).args(["get", "--", id]).run()
}

#[test]
fn the_library_lists_and_reads_all_but_the_broken_one() {
    let sandbox = Sandbox::new();
    let path = strange_store(&sandbox);
    let key = golden::key(&sandbox, "age-1.txt");
    let key = KeyFile::new(key).identities().unwrap();
    let store = Store::builder(&path).identity(key).open().unwrap();
    let before = Snapshot::of(&path);

    let mut broken = Vec::new();
    let mut whole = Vec::new();
    for (id, secret) in store.filter(&Pattern::all()).unwrap() {
        match secret {
            Ok(secret) => whole.push((id.to_string(), secret)),
            Err(error) => broken.push((id.to_string(), error)),
        }
    }
    let ids: Vec<&String> = whole.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, sorted_ids().iter().collect::<Vec<_>>());
    for (id, secret) in &whole {
        let expected = golden::expected_in("age")
            .into_iter()
            .find(|e| e.id == *id)
            .unwrap();
        expected.assert_value(secret.expose());
    }
    assert!(
        matches!(&broken[..], [(id, Error::Damaged { .. })] if id == "foo"),
        "{broken:?}"
    );

    let entries: Vec<Entry> = store.list(&Pattern::all()).unwrap().collect();
    let failed: Vec<&str> = entries
        .iter()
        .filter(|e| e.metadata.is_err())
        .map(|e| e.id.as_str())
        .collect();
    assert_eq!(
        (entries.len(), failed),
        (sorted_ids().len() + 1, vec!["foo"])
    );
    assert_eq!(Snapshot::of(&path), before);
}

#[test]
fn the_binary_lists_and_reads_all_but_the_broken_one() {
    let sandbox = Sandbox::new();
    let store = strange_store(&sandbox);
    let before = Snapshot::of(&store);

    let list = posixage(&sandbox, &store).arg("list").run().complains(7);
    assert_eq!(list.out(), sorted_ids().join("\n") + "\n");
    let errors: Vec<String> = list
        .err()
        .lines()
        .filter(|l| l.starts_with("posixage: "))
        .map(String::from)
        .collect();
    assert!(
        matches!(&errors[..], [error] if error.contains(" foo ")),
        "{list:?}"
    );

    for expected in golden::expected_in("age") {
        let value = get(&sandbox, &store, &expected.id)
            .succeeds_silently()
            .stdout;
        expected.assert_value(&value);
    }
    let error = get(&sandbox, &store, "foo")
        .fails(7)
        .says(["foo", "metadata.json"]);
    assert!(!error.hint().is_empty());
    assert_eq!(Snapshot::of(&store), before);
}

#[test]
fn writing_beside_strange_neighbours_leaves_them_alone() {
    let sandbox = Sandbox::new();
    let store = strange_store(&sandbox);
    let before = Snapshot::of(&store);
    posixage(&sandbox, &store)
        .args(["set", "new"])
        .input("value")
        .run()
        .succeeds();
    posixage(&sandbox, &store)
        .args(["set", "--force", "new"])
        .input("value")
        .run()
        .succeeds();
    posixage(&sandbox, &store)
        .args(["rm", "new"])
        .run()
        .succeeds();
    assert_eq!(Snapshot::of(&store), before);
}

#[test]
fn a_secret_with_strange_files_can_be_replaced_and_removed() {
    let sandbox = Sandbox::new();
    let store = strange_store(&sandbox);
    posixage(&sandbox, &store)
        .args(["set", "--force", "a"])
        .input("new")
        .run()
        .succeeds();
    assert_eq!(get(&sandbox, &store, "a").succeeds_silently().out(), "new");
    // The broken one can be mended, and removed.
    posixage(&sandbox, &store)
        .args(["set", "--force", "foo"])
        .input("mended")
        .run()
        .succeeds();
    assert_eq!(
        get(&sandbox, &store, "foo").succeeds_silently().out(),
        "mended"
    );
    posixage(&sandbox, &store)
        .args(["rm", "foo", "a"])
        .run()
        .succeeds();
    let list = posixage(&sandbox, &store)
        .arg("list")
        .run()
        .succeeds_silently();
    assert!(!list.out().lines().any(|id| id == "foo" || id == "a"));
}

/// What may happen to one secret, and whether the binary should call it damaged.
type Harm = (&'static str, fn(&Path));

const HARMS: [Harm; 16] = [
    ("empty ciphertext", |dir| {
        fs::write(dir.join("secretage"), "").expect("write")
    }),
    ("foreign ciphertext", |dir| {
        fs::write(dir.join("secretage"), "hello\n").expect("write")
    }),
    ("truncated header", |dir| cut(&dir.join("secretage"), 60)),
    ("truncated payload", |dir| {
        cut_end(&dir.join("secretage"), 1)
    }),
    ("no payload", |dir| cut_end(&dir.join("secretage"), 40 + 16)),
    ("trailing byte", |dir| {
        let mut bytes = fs::read(dir.join("secretage")).expect("read");
        bytes.push(0);
        fs::write(dir.join("secretage"), bytes).expect("write");
    }),
    ("bit flipped in the payload", |dir| {
        flip(&dir.join("secretage"), -1)
    }),
    ("bit flipped in the MAC", |dir| {
        flip(&dir.join("secretage"), -(40 + 16 + 16 + 5))
    }),
    ("ciphertext is a directory", |dir| {
        fs::remove_file(dir.join("secretage")).expect("remove");
        fs::create_dir(dir.join("secretage")).expect("make");
    }),
    ("ciphertext is a link", |dir| {
        fs::copy(dir.join("secretage"), dir.join("elsewhere")).expect("copy");
        fs::remove_file(dir.join("secretage")).expect("remove");
        symlink("elsewhere", dir.join("secretage")).expect("link");
    }),
    ("ciphertext is a FIFO", |dir| {
        fs::remove_file(dir.join("secretage")).expect("remove");
        fifo(&dir.join("secretage"));
    }),
    ("ciphertext is gone", |dir| {
        fs::remove_file(dir.join("secretage")).expect("remove")
    }),
    ("metadata is gone", |dir| {
        fs::remove_file(dir.join("metadata.json")).expect("remove")
    }),
    ("metadata is a FIFO", |dir| {
        fs::remove_file(dir.join("metadata.json")).expect("remove");
        fifo(&dir.join("metadata.json"));
    }),
    ("metadata is not JSON", |dir| {
        fs::write(dir.join("metadata.json"), "{").expect("write")
    }),
    ("metadata is not UTF-8", |dir| {
        fs::write(dir.join("metadata.json"), b"{\"a\":\"\xff\"}").expect("write");
    }),
];

fn cut(file: &Path, len: u64) {
    File::options()
        .write(true)
        .open(file)
        .expect("open")
        .set_len(len)
        .expect("cut");
}

fn cut_end(file: &Path, bytes: u64) {
    cut(file, fs::metadata(file).expect("stat").len() - bytes);
}

fn flip(file: &Path, at: isize) {
    let mut bytes = fs::read(file).expect("read");
    let at = bytes.len().checked_add_signed(at).expect("inside");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("write");
}

#[test]
fn a_damaged_secret_is_named_and_hides_no_other() {
    let victim = "github/token";
    for (harm, inflict) in HARMS {
        let sandbox = Sandbox::new();
        let store = golden::store(&sandbox, "age");
        inflict(&directory_of(&store, victim));
        let output = get(&sandbox, &store, victim);
        assert_eq!(output.status.code(), Some(7), "{harm}: {output:?}");
        output.fails(7).says([victim, "damaged"]);
        for Expected { id, .. } in golden::expected_in("age") {
            if id != victim {
                get(&sandbox, &store, &id).succeeds_silently();
            }
        }
        // It can be got rid of.
        posixage(&sandbox, &store)
            .args(["rm", victim])
            .run()
            .succeeds();
        get(&sandbox, &store, victim).fails(3);
        posixage(&sandbox, &store)
            .args(["set", victim])
            .input("again")
            .run()
            .succeeds();
        assert_eq!(
            get(&sandbox, &store, victim).succeeds_silently().out(),
            "again",
            "{harm}"
        );
    }
}

#[test]
fn one_damaged_copy_does_not_matter_to_a_key_of_another_type() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "all-three");
    for harmed in ["secretssh", "secretpass"] {
        fs::write(directory_of(&store, "a").join(harmed), "damaged").unwrap();
    }
    let ssh = golden::key(&sandbox, "ssh-ed25519");
    let age = golden::key(&sandbox, "age-1.txt");
    let get = || sandbox.posixage(["get", "a", "--store"]).arg(&store);
    let both = get().arg("-i").arg(&ssh).arg("-i").arg(&age).run();
    assert_eq!(both.succeeds_silently().out(), "1");
    get().arg("-i").arg(&ssh).run().fails(7).says(["secretssh"]);
}

#[test]
fn a_foreign_lock_file_is_an_error_and_no_hang() {
    for kind in ["fifo", "directory", "link"] {
        let sandbox = Sandbox::new();
        let store = golden::store(&sandbox, "age");
        let lock = store.join(".posixage.lock");
        fs::remove_file(&lock).unwrap();
        let elsewhere = sandbox.file("elsewhere", "untouched");
        match kind {
            "fifo" => fifo(&lock),
            "directory" => fs::create_dir(&lock).unwrap(),
            _ => symlink(&elsewhere, &lock).unwrap(),
        }
        for output in [
            get(&sandbox, &store, "a"),
            posixage(&sandbox, &store)
                .args(["set", "new"])
                .input("v")
                .run(),
        ] {
            assert!(!output.status.success(), "{kind}: {output:?}");
            let code = output.status.code().unwrap();
            output.fails(code).says([".posixage.lock"]);
        }
        assert_eq!(fs::read(&elsewhere).unwrap(), b"untouched");
        assert!(!directory_of(&store, "new").exists());
    }
}
