//! `posixage init`

use std::{fs, os::unix::fs::PermissionsExt};

use posixage_tests::{Program, Sandbox, age, golden, keys, shape, tools, tree::Snapshot};

#[test]
fn says_where_store_and_key_are_and_the_recipients() {
    let sandbox = Sandbox::new();
    let init = sandbox.run(["init"]).succeeds();
    let identity = fs::read_to_string(sandbox.identity()).unwrap();
    let recipient = identity
        .lines()
        .find_map(|l| l.strip_prefix("# public key: "))
        .unwrap();
    assert_eq!(
        init.out(),
        format!(
            "store: {}\nidentity: {}\nrecipient: {recipient}\n",
            sandbox.store().display(),
            sandbox.identity().display(),
        )
    );
    shape::assert_store(&sandbox.store(), []);
    let mode = fs::metadata(sandbox.identity())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "");
}

#[test]
fn on_a_store_that_is_there_is_an_error_and_changes_nothing() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let home = Snapshot::of(&sandbox.home());
    for args in [
        &["init"][..],
        &["init", "--password"],
        &["init", "--scrypt-work-factor", "2"],
    ] {
        sandbox
            .run(args)
            .fails(4)
            .says([sandbox.store().to_str().unwrap()]);
        assert_eq!(Snapshot::of(&sandbox.home()), home);
    }
}

#[test]
fn a_second_store_uses_the_key_of_the_first() {
    let sandbox = Sandbox::new().initialised();
    let identity = fs::read(sandbox.identity()).unwrap();
    let second = sandbox.path().join("second");
    sandbox
        .posixage(["init", "--store"])
        .arg(&second)
        .run()
        .succeeds();
    assert_eq!(fs::read(sandbox.identity()).unwrap(), identity);
    let posixage = || sandbox.posixage(["--store"]).arg(&second);
    posixage()
        .args(["set", "x"])
        .input("value")
        .run()
        .succeeds();
    assert_eq!(
        posixage()
            .args(["get", "x"])
            .run()
            .succeeds_silently()
            .out(),
        "value"
    );
}

#[test]
fn with_a_key_named_makes_no_other() {
    let sandbox = Sandbox::new();
    let key = golden::key(&sandbox, "age-1.txt");
    let init = sandbox.posixage(["init", "-i"]).arg(&key).run().succeeds();
    assert!(!init.out().contains("identity:"), "{init:?}");
    assert!(!sandbox.identity().exists());
    let set = sandbox.posixage(["set", "x"]).input("value").run();
    set.succeeds();
    let get = sandbox.posixage(["get", "x", "-i"]).arg(&key).run();
    assert_eq!(get.succeeds_silently().out(), "value");
    let file = age::ciphertext(&sandbox.store(), "x", posixage::KeyType::Age);
    assert_eq!(age::decrypt(&key, &file), b"value");
}

#[test]
fn with_a_password_only_makes_no_key() {
    let sandbox = Sandbox::new();
    let init = sandbox
        .run(["init", "--password", "--scrypt-work-factor", "2"])
        .succeeds();
    assert!(init.out().contains("recipient: password\n"), "{init:?}");
    assert!(!sandbox.identity().exists());
    let posixage = |args: &[&str]| sandbox.posixage(args).env("POSIXAGE_PASSWORD", "password");
    posixage(&["set", "x"]).input("value").run().succeeds();
    assert_eq!(
        posixage(&["get", "x"]).run().succeeds_silently().out(),
        "value"
    );
    let wrong = sandbox
        .posixage(["get", "x"])
        .env("POSIXAGE_PASSWORD", "wrong")
        .run();
    wrong.fails(5);
}

#[test]
fn takes_recipients_of_every_kind() {
    let sandbox = Sandbox::new();
    let mut init = sandbox.posixage(["init"]);
    for name in [
        "age-locked.pub",
        "ssh-ed25519-locked.pub",
        "ssh-rsa-locked.pub",
    ] {
        init = init.args(["--recipient", &keys::recipient(name)]);
    }
    let out = init.run().succeeds().out();
    assert_eq!(
        out.lines().filter(|l| l.starts_with("recipient: ")).count(),
        3,
        "{out}"
    );
    sandbox.set("x", "value");
    let dir = sandbox.store().join("eA==");
    assert!(dir.join("secretage").is_file() && dir.join("secretssh").is_file());
    // And one without a recipient, which age adds at random.
    let kinds: Vec<String> = age::stanzas(&dir.join("secretssh"))
        .into_iter()
        .map(|mut s| s.remove(0))
        .collect();
    let ssh: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|k| k.starts_with("ssh-"))
        .collect();
    assert_eq!(ssh, ["ssh-ed25519", "ssh-rsa"]);
}

#[test]
fn a_recipient_that_is_none_is_an_error_and_makes_nothing() {
    for bad in [
        "",
        "age1",
        "age1xyz",
        "ssh-dss AAAA",
        "ssh-ed25519",
        "ssh-rsa AAAA",
        "zoe",
    ] {
        let sandbox = Sandbox::new();
        sandbox.run(["init", "--recipient", bad]).fails(2);
        assert!(
            !sandbox.store().exists() && !sandbox.identity().exists(),
            "{bad}"
        );
    }
}

#[test]
fn a_reference_store_can_be_given_recipients() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "age");
    let key = golden::key(&sandbox, "age-1.txt");
    let posixage = || {
        sandbox
            .posixage(["--store"])
            .arg(&store)
            .arg("-i")
            .arg(&key)
    };
    posixage().arg("init").run().succeeds();
    posixage().arg("init").run().fails(4);
    // From now on it takes no key to write.
    let set = sandbox
        .posixage(["set", "x", "--store"])
        .arg(&store)
        .input("value");
    set.run().succeeds();
    assert_eq!(
        posixage()
            .args(["get", "x"])
            .run()
            .succeeds_silently()
            .out(),
        "value"
    );
    for expected in golden::expected_in("age") {
        let get = posixage().args(["get", "--", &expected.id]).run();
        expected.assert_value(&get.succeeds_silently().stdout);
    }
}

#[test]
fn of_many_at_once_one_makes_the_store_and_all_agree_on_the_key() {
    let sandbox = Sandbox::new();
    let running: Vec<_> = (0..8).map(|_| sandbox.posixage(["init"]).start()).collect();
    let outputs: Vec<_> = running.into_iter().map(|r| r.wait()).collect();
    let made = outputs.iter().filter(|o| o.status.success()).count();
    assert_eq!(made, 1, "{outputs:?}");
    for output in outputs.into_iter().filter(|o| !o.status.success()) {
        output.fails(4);
    }
    shape::assert_store(&sandbox.store(), []);
    sandbox.set("x", "value");
    assert_eq!(sandbox.get("x"), b"value");
    let config = sandbox.identity().parent().unwrap().to_path_buf();
    assert_eq!(
        fs::read_dir(config).unwrap().count(),
        1,
        "a temporary file is left"
    );
}

#[test]
fn a_directory_that_others_can_use_is_refused() {
    for mode in [0o755, 0o770, 0o701] {
        let sandbox = Sandbox::new();
        let store = sandbox.directory("store");
        fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
        let init = sandbox
            .posixage(["init", "--store"])
            .arg(&store)
            .run()
            .fails(8);
        assert!(init.hint().contains("chmod 700"), "{init:?}");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
    }
}

#[test]
fn an_empty_password_variable_is_one_that_is_not_set() {
    let sandbox = Sandbox::new();
    let set = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_PASSWORD", "")
        .input("value");
    set.run().succeeds();
    assert_eq!(sandbox.get("x"), b"value");
    // Nor does it hide the password that comes after it.
    let sandbox = Sandbox::new();
    sandbox.config("password-command = \"echo password\"\n");
    let posixage = |args: &[&str]| sandbox.posixage(args).env("POSIXAGE_PASSWORD", "");
    posixage(&["init", "--scrypt-work-factor", "2"])
        .run()
        .succeeds();
    posixage(&["set", "x"]).input("value").run().succeeds();
    let get = posixage(&["get", "x"]).run();
    assert_eq!(get.succeeds_silently().out(), "value");
}

#[test]
fn no_store_is_made_for_a_password_that_cannot_be_had() {
    for (toml, password, code) in [
        ("password-command = \"exit 3\"\n", "", 1),
        ("password-command = \"echo\"\n", "", 1),
        ("", " ", 5),
    ] {
        let sandbox = Sandbox::new();
        sandbox.config(toml);
        for args in [&["set", "x"][..], &["init"]] {
            let posixage = sandbox.posixage(args).env("POSIXAGE_PASSWORD", password);
            posixage.input("value").run().fails(code).says(["password"]);
            assert!(
                !sandbox.store().exists() && !sandbox.identity().exists(),
                "{toml}"
            );
        }
    }
}

#[test]
fn a_key_that_could_not_be_read_back_is_refused_first() {
    let sandbox = Sandbox::new();
    let key = sandbox.path().join("rsa-1024");
    let keygen = Program::new(tools::need("ssh-keygen", "openssh-client"));
    let keygen = keygen.args(["-q", "-t", "rsa", "-b", "1024", "-N", ""]);
    keygen.arg("-f").arg(&key).run().succeeds();
    let init = sandbox.posixage(["init", "-i"]).arg(&key).run();
    init.fails(5).says(["2048 bits"]);
    assert!(!sandbox.store().exists());
    // The first `set` makes a store as `init` does.
    sandbox.config(&format!("identities = [{:?}]", key.display().to_string()));
    let set = sandbox.posixage(["set", "x"]).input("value").run();
    set.fails(5).says(["2048 bits"]);
    assert!(!sandbox.home().join(".local").exists());
}

#[test]
fn a_failing_init_leaves_nothing() {
    let sandbox = Sandbox::new();
    let open = sandbox.directory("home/open");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let open = open.to_str().unwrap();
    let before = Snapshot::of(&sandbox.home());
    for (code, store) in [(8, open), (1, "/proc/nothing/store"), (1, "/dev/null")] {
        sandbox.run(["--store", store, "init"]).fails(code);
        assert_eq!(Snapshot::of(&sandbox.home()), before);
    }
}

#[test]
fn insecure_permissions_are_allowed_where_that_was_said() {
    let sandbox = Sandbox::new();
    let store = sandbox.directory("home/.local/share/posixage");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).unwrap();
    let set = || sandbox.posixage(["set", "x"]).input("value");
    set().run().fails(8);
    let allow = ("POSIXAGE_ALLOW_INSECURE_PERMISSIONS", "1");
    set().env(allow.0, allow.1).run().succeeds();

    let other = sandbox.directory("home/other");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o777)).unwrap();
    let init = ["--store", "other", "init", "--allow-insecure-permissions"];
    sandbox.run(init).succeeds();
    let get = ["--allow-insecure-permissions", "--store", "other", "list"];
    sandbox.run(get).succeeds();
}
