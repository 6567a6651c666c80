//! Claim: what we write is read by Debian's `age`, costs a guesser of passwords what it should, and
//! is closed to other users whatever the umask.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use posixage::{KeyType, Password, Secret, Store, StoreConfig};
use posixage_tests::{
    Program, Sandbox, Terminal, age, burner::Burners, golden, keys, shape, tools,
};

const VALUE: &[u8] = b"any bytes: \0\xff\r\n";

#[test]
fn age_reads_a_secret_for_the_identity_that_init_made() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("github/token", VALUE);
    let file = age::ciphertext(&sandbox.store(), "github/token", KeyType::Age);
    assert_eq!(age::decrypt(&sandbox.identity(), &file), VALUE);
}

#[test]
fn age_reads_values_of_every_length_around_its_chunks() {
    let sandbox = Sandbox::new().initialised();
    for len in [0, 1, 65_535, 65_536, 65_537, 131_072] {
        let value = vec![b'v'; len];
        sandbox.set("x", value.clone());
        let file = age::ciphertext(&sandbox.store(), "x", KeyType::Age);
        assert!(age::decrypt(&sandbox.identity(), &file) == value, "{len}");
    }
}

#[test]
fn age_reads_each_of_three_copies_with_its_own_key() {
    let sandbox = Sandbox::new();
    let recipients = ["ssh-ed25519.pub", "ssh-rsa.pub"].map(|name| {
        fs::read_to_string(golden::key(&sandbox, name))
            .unwrap()
            .trim()
            .to_owned()
    });
    let age_key = golden::key(&sandbox, "age-1.txt");
    let password_file = golden::key(&sandbox, "password.txt");
    let mut init = sandbox.posixage(["init", "--password", "--scrypt-work-factor", "12", "-i"]);
    init = init.arg(&age_key);
    for recipient in &recipients {
        init = init.args(["--recipient", recipient]);
    }
    init.run().succeeds();
    let set = sandbox
        .posixage(["set", "--raw", "x", "--password-file"])
        .arg(&password_file);
    set.input(VALUE).run().succeeds();

    let file = |key_type| age::ciphertext(&sandbox.store(), "x", key_type);
    assert_eq!(age::decrypt(&age_key, &file(KeyType::Age)), VALUE);
    for key in ["ssh-ed25519", "ssh-rsa"] {
        let key = golden::key(&sandbox, key);
        assert_eq!(age::decrypt(&key, &file(KeyType::Ssh)), VALUE);
    }
    let password = fs::read_to_string(&password_file).unwrap();
    let output = sandbox.path().join("by-password");
    let pass = file(KeyType::Password);
    assert_eq!(
        age::decrypt_with_password(password.trim(), &pass, &output),
        VALUE
    );
    assert_eq!(work_factor(&pass), 12);

    // And we read it with each, too.
    for (flag, key) in [
        ("-i", "age-1.txt"),
        ("-i", "ssh-ed25519"),
        ("-i", "ssh-rsa"),
        ("--password-file", "password.txt"),
    ] {
        let get = sandbox
            .posixage(["get", "x", flag])
            .arg(golden::key(&sandbox, key))
            .run();
        assert_eq!(get.succeeds_silently().stdout, VALUE, "{key}");
    }
}

#[test]
fn age_reads_what_was_written_for_keys_behind_a_passphrase() {
    let sandbox = Sandbox::new();
    let mut init = sandbox.posixage(["init"]);
    for (_, public) in keys::LOCKED.iter().skip(1) {
        init = init.args(["--recipient", &keys::recipient(public)]);
    }
    init.run().succeeds();
    sandbox.set("x", VALUE);
    for (name, _) in keys::LOCKED {
        let key_type = if name.starts_with("ssh") {
            KeyType::Ssh
        } else {
            KeyType::Age
        };
        let output = sandbox.path().join(name);
        let age = Program::new(tools::need("age", "age"))
            .args(["-d", "-o"])
            .arg(&output)
            .arg("-i")
            .arg(keys::locked(&sandbox, name))
            .arg(age::ciphertext(&sandbox.store(), "x", key_type));
        let mut terminal = Terminal::start(age);
        terminal.answers("passphrase", &keys::passphrase());
        let end = terminal.wait();
        assert!(end.status.success(), "{name}: {end:?}");
        assert_eq!(fs::read(output).unwrap(), VALUE, "{name}");
    }
}

/// The factor in the header of a file for a password, which has one stanza only.
fn work_factor(file: &Path) -> u32 {
    match age::stanzas(file).as_slice() {
        [stanza] if stanza[0] == "scrypt" => stanza[2].parse().expect("a number"),
        stanzas => panic!("not one scrypt stanza: {stanzas:?}"),
    }
}

fn password_store(path: &Path, work_factor: u8) -> Store {
    let config = StoreConfig::new([])
        .with_password(true)
        .with_work_factor(work_factor);
    Store::init(path, &config).expect("init");
    let password = Password::new("the password").expect("not empty");
    Store::builder(path)
        .identity(password)
        .open()
        .expect("open")
}

#[test]
fn the_scrypt_work_factor_is_18_on_a_busy_machine_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = password_store(&path, StoreConfig::new([]).work_factor);
    let busy = Burners::start();
    store
        .create(&"x".parse().unwrap(), &Secret::new("value"))
        .unwrap();
    // Nor is it too much work for a machine that has become slow.
    assert_eq!(store.get(&"x".parse().unwrap()).unwrap().expose(), b"value");
    drop(busy);
    assert_eq!(
        work_factor(&age::ciphertext(&path, "x", KeyType::Password)),
        18
    );
}

#[test]
fn the_binarys_default_scrypt_work_factor_is_18() {
    let sandbox = Sandbox::new();
    let password = sandbox.file("password", "the password\n");
    let busy = Burners::start();
    for (name, asked) in [("default", None), ("low", Some("1")), ("ten", Some("10"))] {
        let store = sandbox.path().join(name);
        let mut init = sandbox
            .posixage(["init", "--password", "--store"])
            .arg(&store);
        if let Some(factor) = asked {
            init = init.args(["--scrypt-work-factor", factor]);
        }
        init.run().succeeds();
        let set = sandbox
            .posixage(["set", "x", "--password-file"])
            .arg(&password);
        set.arg("--store")
            .arg(&store)
            .input("value")
            .run()
            .succeeds();
        let factor = work_factor(&age::ciphertext(&store, "x", KeyType::Password));
        assert_eq!(factor.to_string(), asked.unwrap_or("18"));
    }
    drop(busy);
    for bad in ["0", "23", "64", "-1", "many"] {
        let store = sandbox.path().join("bad");
        let init = sandbox
            .posixage(["init", "--password", "--store"])
            .arg(&store);
        let output = init.arg(format!("--scrypt-work-factor={bad}")).run();
        assert!(!output.status.success(), "{bad}: {output:?}");
        assert!(!store.exists(), "{bad}");
    }
}

#[test]
fn modes_are_0700_and_0600_whatever_the_umask() {
    for sandbox in [Sandbox::new, Sandbox::ordinary] {
        for umask in ["000", "022", "027", "077", "0777"] {
            let sandbox = sandbox();
            // What lies above is the person's.
            sandbox.directory("home/.config/posixage");
            sandbox.directory("home/.local/share");
            let script = format!(r#"umask {umask}; exec "$@""#);
            let run = |args: &[&str]| sandbox.posixage(args).in_shell(&script).input("v").run();
            run(&["init"]).succeeds();
            run(&["set", "a"]).succeeds();
            run(&["set", "a/b"]).succeeds();
            run(&["set", "--force", "a"]).succeeds();
            run(&["set", "gone"]).succeeds();
            run(&["rm", "gone"]).succeeds();
            assert_eq!(run(&["get", "a"]).succeeds().out(), "v", "umask {umask}");
            shape::assert_store(&sandbox.store(), ["a", "a/b"]);
            let mode = fs::metadata(sandbox.identity())
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode, 0o100_600, "umask {umask}");
        }
    }
}

#[test]
fn first_use_works_and_is_private_whatever_the_umask() {
    for umask in ["000", "022", "077", "0777"] {
        let sandbox = Sandbox::ordinary();
        let script = format!(r#"umask {umask}; exec "$@""#);
        let set = sandbox
            .posixage(["set", "a"])
            .in_shell(&script)
            .input("v")
            .run();
        set.succeeds();
        let get = sandbox.posixage(["get", "a"]).in_shell(&script).run();
        assert_eq!(get.succeeds_silently().out(), "v", "umask {umask}");
        shape::assert_store(&sandbox.store(), ["a"]);
        let stat = fs::metadata(sandbox.identity()).unwrap();
        assert_eq!(stat.mode() & 0o777, 0o600, "umask {umask}");
        let above = fs::metadata(sandbox.identity().parent().unwrap()).unwrap();
        assert_eq!(above.mode() & 0o777, 0o700, "umask {umask}");
    }
}

#[test]
fn modes_are_0700_and_0600_whatever_acl_or_setgid_say() {
    let sandbox = Sandbox::new();
    let above = sandbox.directory("above");
    fs::set_permissions(&above, fs::Permissions::from_mode(0o2777)).unwrap();
    let store = above.join("store");
    sandbox
        .posixage(["init", "--store"])
        .arg(&store)
        .run()
        .succeeds();
    let set = sandbox
        .posixage(["set", "a", "--store"])
        .arg(&store)
        .input("v");
    set.run().succeeds();
    for path in posixage_tests::tree::walk(&store) {
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}
