//! Claim: whatever lies where the store's own files and the keys belong, each command gives an error
//! that names it, with its exit code, and neither hangs nor fills the memory.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use posixage_tests::{
    damage::{Case, fifo, private, sparse},
    golden,
};

const NOT_REGULAR: &str = "is not a regular file";

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
