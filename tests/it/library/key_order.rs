//! Claim: keys are tried in the order given, a key that does not fit or that the secret lacks is
//! skipped, and one rule decides which place that names keys counts.

use std::path::Path;

use posixage_tests::{Program, Sandbox, Terminal, golden, keys};

fn get(sandbox: &Sandbox, store: &str) -> Program {
    let store = golden::store(sandbox, store);
    sandbox.posixage(["get", "a", "--store"]).arg(store)
}

trait WithKeys {
    fn with_keys(self, sandbox: &Sandbox, keys: &[&str]) -> Self;
}

impl WithKeys for Program {
    fn with_keys(self, sandbox: &Sandbox, keys: &[&str]) -> Self {
        keys.iter().fold(self, |program, key| {
            program.arg("-i").arg(golden::key(sandbox, key))
        })
    }
}

#[test]
fn the_second_key_file_is_used_when_the_first_does_not_fit() {
    for first in ["age-stranger.txt", "age-2.txt", "ssh-ed25519", "ssh-rsa"] {
        let sandbox = Sandbox::new();
        let output = get(&sandbox, "age")
            .with_keys(&sandbox, &[first, "age-1.txt"])
            .run();
        assert_eq!(output.succeeds_silently().out(), "1", "{first}");
    }
    let sandbox = Sandbox::new();
    let output = get(&sandbox, "ssh-rsa")
        .with_keys(&sandbox, &["ssh-ed25519", "ssh-rsa"])
        .run();
    assert_eq!(output.succeeds_silently().out(), "1");
}

#[test]
fn a_key_type_that_the_secret_lacks_is_passed_over() {
    for (store, keys) in [
        ("age", ["ssh-ed25519", "age-1.txt"]),
        ("ssh-ed25519", ["age-1.txt", "ssh-ed25519"]),
        ("ssh-rsa", ["age-1.txt", "ssh-rsa"]),
    ] {
        let sandbox = Sandbox::new();
        let password = golden::key(&sandbox, "password.txt");
        let output = get(&sandbox, store)
            .arg("--password-file")
            .arg(&password)
            .with_keys(&sandbox, &keys)
            .run();
        assert_eq!(output.succeeds_silently().out(), "1", "{store}");
    }
    let sandbox = Sandbox::new();
    let password = golden::key(&sandbox, "password.txt");
    let output = get(&sandbox, "password-logn10")
        .with_keys(&sandbox, &["age-1.txt", "ssh-rsa"])
        .env("POSIXAGE_PASSWORD_FILE", password)
        .run();
    assert_eq!(output.succeeds_silently().out(), "1");
}

#[test]
fn one_file_may_hold_several_identities() {
    let sandbox = Sandbox::new();
    let read = |name| std::fs::read(golden::key(&sandbox, name)).unwrap();
    let both = [read("age-stranger.txt"), read("age-1.txt")].concat();
    let both = sandbox.file("both.txt", both);
    let output = get(&sandbox, "age").arg("-i").arg(both).run();
    assert_eq!(output.succeeds_silently().out(), "1");
}

#[test]
fn keys_come_from_option_then_variable_then_config() {
    let sandbox = Sandbox::new();
    let key = |name| golden::key(&sandbox, name).to_str().unwrap().to_owned();
    let (fits, stranger) = (key("age-1.txt"), key("age-stranger.txt"));

    let list = format!("{stranger}:{fits}");
    let environment = get(&sandbox, "age").env("POSIXAGE_IDENTITY", &list).run();
    assert_eq!(environment.succeeds_silently().out(), "1");

    let sandbox_get = || {
        let store = sandbox.path().join("age");
        sandbox.posixage(["get", "a", "--store"]).arg(store)
    };
    sandbox.config(&format!("identities = [\"{stranger}\", \"{fits}\"]\n"));
    assert_eq!(sandbox_get().run().succeeds_silently().out(), "1");
    sandbox_get()
        .env("POSIXAGE_IDENTITY", &stranger)
        .run()
        .fails(5);
    sandbox_get()
        .env("POSIXAGE_IDENTITY", &fits)
        .args(["-i", &stranger])
        .run()
        .fails(5);
    let output = sandbox_get()
        .env("POSIXAGE_IDENTITY", &stranger)
        .args(["-i", &fits])
        .run();
    assert_eq!(output.succeeds_silently().out(), "1");
    // A variable that is empty is one that is not set.
    assert_eq!(
        sandbox_get()
            .env("POSIXAGE_IDENTITY", "")
            .run()
            .succeeds_silently()
            .out(),
        "1"
    );
}

#[test]
fn keys_that_are_named_take_the_place_of_the_default_identity() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let get = || sandbox.posixage(["get", "x"]);
    assert_eq!(get().run().succeeds_silently().out(), "value");
    get()
        .arg("-i")
        .arg(stranger)
        .run()
        .fails(5)
        .says(["age-stranger.txt"]);
}

#[test]
fn the_store_comes_from_option_then_variable_then_config() {
    let sandbox = Sandbox::new().initialised();
    for name in ["flag", "environment", "file", "default"] {
        let store = match name {
            "default" => sandbox.store(),
            name => sandbox.home().join(name),
        };
        if name != "default" {
            sandbox
                .posixage(["init", "--store"])
                .arg(&store)
                .run()
                .succeeds();
        }
        let set = sandbox
            .posixage(["set", "x", "--store"])
            .arg(&store)
            .input(name);
        set.run().succeeds();
    }
    let place = |name| sandbox.home().join(name).to_str().unwrap().to_owned();
    let get = || sandbox.posixage(["get", "x"]);
    assert_eq!(get().run().succeeds_silently().out(), "default");
    sandbox.config("store = \"~/file\"\n");
    assert_eq!(get().run().succeeds_silently().out(), "file");
    let environment = || get().env("POSIXAGE_STORE", place("environment"));
    assert_eq!(environment().run().succeeds_silently().out(), "environment");
    let flag = environment().args(["--store", &place("flag")]).run();
    assert_eq!(flag.succeeds_silently().out(), "flag");
}

#[test]
fn xdg_directories_are_where_they_say() {
    let sandbox = Sandbox::new();
    let (config, data) = (
        sandbox.directory("xdg/config"),
        sandbox.directory("xdg/data"),
    );
    let posixage = |args: &[&str]| {
        let program = sandbox.posixage(args).input("value");
        program
            .env("XDG_CONFIG_HOME", &config)
            .env("XDG_DATA_HOME", &data)
            .run()
    };
    posixage(&["set", "x"]).succeeds();
    assert_eq!(posixage(&["get", "x"]).succeeds_silently().out(), "value");
    assert!(config.join("posixage/identity.txt").is_file());
    assert!(data.join("posixage/.posixage.toml").is_file());
    assert!(!sandbox.home().join(".config").exists() && !sandbox.home().join(".local").exists());
    // The specification: a relative path is to be ignored.
    let relative = sandbox
        .posixage(["get", "x"])
        .env("XDG_DATA_HOME", "relative")
        .run();
    relative.fails(1).says([sandbox.store().to_str().unwrap()]);
}

#[test]
fn an_error_about_keys_says_what_was_tried_and_why_each_failed() {
    let sandbox = Sandbox::new();
    let output = get(&sandbox, "all-three")
        .with_keys(&sandbox, &["age-stranger.txt", "ssh-rsa"])
        .env("POSIXAGE_PASSWORD", "wrong")
        .run();
    let said = [
        "age-stranger.txt",
        "ssh-rsa",
        "not a recipient",
        "wrong password",
        " a",
    ];
    output.fails(5).says(said);
    let output = get(&sandbox, "ssh-rsa")
        .with_keys(&sandbox, &["age-1.txt"])
        .run();
    output.fails(5).says(["age-1.txt", "ssh"]);
    let none = sandbox
        .posixage(["get", "a", "--store"])
        .arg(sandbox.path().join("ssh-rsa"))
        .run();
    assert!(!none.fails(5).hint().is_empty());
}

#[test]
fn a_key_file_that_cannot_be_used_is_named_with_the_reason() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "age");
    let get = |key: &Path| {
        let program = sandbox.posixage(["get", "a", "--store"]).arg(&store);
        program.arg("-i").arg(key).run()
    };
    let fits = std::fs::read(golden::key(&sandbox, "age-1.txt")).unwrap();
    let public = golden::key(&sandbox, "ssh-rsa.pub");
    let fifo = sandbox.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for key in [
        sandbox.path().join("missing"),
        sandbox.directory("directory"),
        fifo,
        "/dev/null".into(),
        sandbox.file("empty", ""),
        sandbox.file("comment", "# only a comment\n"),
        sandbox.file("garbage", [0, 159, 146, 150]),
        sandbox.file("text", "hello\n"),
        sandbox.file("cut", &fits[..fits.len() - 10]),
        sandbox.file("pem", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"),
        public,
    ] {
        let output = get(&key);
        let code = output.status.code();
        assert!(matches!(code, Some(1 | 5 | 8)), "{output:?}");
        // A path that leads nowhere may be a key: what it was given to is named.
        let name = match key.exists() {
            true => key.to_str().unwrap(),
            false => "-i",
        };
        output.fails(code.unwrap()).says([name]);
    }
}

#[test]
fn a_key_file_open_to_others_is_refused_by_default() {
    use std::os::unix::fs::PermissionsExt;

    for mode in [0o640, 0o604, 0o620, 0o644] {
        let sandbox = Sandbox::new();
        let key = golden::key(&sandbox, "age-1.txt");
        let get = get(&sandbox, "age").arg("-i").arg(&key);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = get.clone().run().fails(8).says(["age-1.txt"]);
        assert!(refused.hint().contains("chmod 600"));
        let allowed = get.clone().arg("--allow-insecure-permissions").run();
        assert_eq!(allowed.succeeds_silently().out(), "1");
        let allowed = get
            .clone()
            .env("POSIXAGE_ALLOW_INSECURE_PERMISSIONS", "1")
            .run();
        assert_eq!(allowed.succeeds_silently().out(), "1");
        get.env("POSIXAGE_ALLOW_INSECURE_PERMISSIONS", "0")
            .run()
            .fails(8);
    }
}

/// A store for every key behind a passphrase, with one secret, `x`.
fn locked_store(sandbox: Sandbox) -> Sandbox {
    let mut init = sandbox.posixage(["init"]);
    for (_, public) in keys::LOCKED.iter().skip(1) {
        init = init.args(["--recipient", &keys::recipient(public)]);
    }
    init.run().succeeds();
    sandbox.set("x", "value");
    sandbox
}

#[test]
fn keys_behind_a_passphrase_are_unlocked_at_a_prompt() {
    let sandbox = locked_store(Sandbox::new());
    for (name, _) in keys::LOCKED {
        let key = keys::locked(&sandbox, name);
        let mut terminal = Terminal::start(sandbox.posixage(["get", "x", "-i"]).arg(&key));
        terminal.answers(key.to_str().unwrap(), &keys::passphrase());
        let end = terminal.wait().exits(0);
        assert!(end.screen.contains("value"), "{name}: {end:?}");
        assert!(!end.screen.contains(&keys::passphrase()), "{name}: {end:?}");
    }
}

#[test]
fn a_wrong_passphrase_is_said_to_be_wrong() {
    let sandbox = locked_store(Sandbox::new());
    for (name, _) in keys::LOCKED {
        let key = keys::locked(&sandbox, name);
        let mut terminal = Terminal::start(sandbox.posixage(["get", "x", "-i"]).arg(&key));
        for _ in 0..3 {
            terminal.answers("passphrase", "not the passphrase");
        }
        let end = terminal.wait().exits(5);
        assert!(
            end.screen.contains("wrong passphrase") && end.screen.contains(name),
            "{end:?}"
        );
        assert!(!end.screen.contains("no secret"), "{end:?}");
    }
}

#[test]
fn passphrase_protected_keys_without_a_terminal_do_not_hang() {
    let sandbox = locked_store(Sandbox::new());
    for (name, _) in keys::LOCKED {
        let key = keys::locked(&sandbox, name);
        let get = sandbox.posixage(["get", "x", "-i"]).arg(&key).run();
        get.fails(5).says([name, "terminal"]);
    }
}

#[test]
fn an_unneeded_key_is_not_unlocked() {
    let sandbox = locked_store(Sandbox::new());
    // Each would be a prompt, and without a terminal an error.
    let fits = golden::key(&sandbox, "age-1.txt");
    let store = golden::store(&sandbox, "age");
    let mut get = sandbox
        .posixage(["get", "a", "--store"])
        .arg(&store)
        .arg("-i")
        .arg(&fits);
    for (name, _) in keys::LOCKED {
        get = get.arg("-i").arg(keys::locked(&sandbox, name));
    }
    assert_eq!(get.run().succeeds_silently().out(), "1");

    // An SSH key tells without being unlocked that it does not fit.
    let mut get = sandbox
        .posixage(["get", "a", "--store"])
        .arg(golden::store(&sandbox, "ssh-rsa"));
    for name in ["ssh-ed25519-locked", "ssh-rsa-locked"] {
        get = get.arg("-i").arg(keys::locked(&sandbox, name));
    }
    let get = get.arg("-i").arg(golden::key(&sandbox, "ssh-rsa")).run();
    assert_eq!(get.succeeds_silently().out(), "1");

    // To list, to see metadata and to remove takes no key at all.
    let key = keys::locked(&sandbox, "age-locked");
    for args in [&["list"][..], &["get", "--metadata", "x"], &["rm", "x"]] {
        sandbox
            .posixage(args)
            .arg("-i")
            .arg(&key)
            .run()
            .succeeds_silently();
    }
}
