//! Claim: not a byte of a value, a password, a passphrase or a key is in logs, in error texts, on the
//! screen, or in Debug output.

use std::fs;

use posixage::{
    Identity, KeySource, KeyType, Metadata, Password, Pattern, Recipient, Secret, Store,
    StoreConfig, secrecy::ExposeSecret,
};
use posixage_tests::{
    Sandbox, Terminal,
    canary::{PASSWORD, VALUE, assert_clean, assert_quiet, canaries, store},
    golden, keys,
};

#[test]
fn no_command_says_a_secret_at_the_highest_verbosity() {
    let store = store();
    let mut logged = 0;
    for program in store.every_command() {
        let output = program.run();
        assert_quiet(&output, &store.canaries);
        logged += output.stderr.len();
    }
    assert!(logged > 0);
    // Nor with the variables that make a Rust program talkative.
    for program in store.every_command() {
        let output = program
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .run();
        assert_quiet(&output, &store.canaries);
    }
}

#[test]
fn damage_is_reported_without_what_is_damaged() {
    let store = store();
    let sandbox = &store.sandbox;
    let posixage = |args: &[&str]| {
        let program = sandbox.posixage(["-v"]).args(args);
        program.env("POSIXAGE_PASSWORD_FILE", &store.password_file)
    };
    posixage(&["set", "x"]).input(VALUE).run().succeeds();
    let dir = sandbox
        .store()
        .join("x".parse::<posixage::Id>().unwrap().directory_name());
    // The value itself is where the ciphertext, or the metadata, belongs.
    fs::write(dir.join("secretage"), VALUE).unwrap();
    assert_quiet(
        &posixage(&["get", "x"])
            .env_remove("POSIXAGE_PASSWORD_FILE")
            .run(),
        &store.canaries,
    );
    for metadata in [
        VALUE,
        &format!("\"{VALUE}\""),
        &format!("{{\"{VALUE}\":1}}"),
    ] {
        fs::write(dir.join("metadata.json"), metadata).unwrap();
        for args in [
            &["get", "x"][..],
            &["get", "--metadata", "x"],
            &["list", "--long"],
        ] {
            let output = posixage(args).run().complains(7);
            assert_quiet(&output, &store.canaries);
        }
    }
}

#[test]
fn a_key_file_that_cannot_be_used_is_not_quoted() {
    let store = store();
    let sandbox = &store.sandbox;
    let identity = fs::read_to_string(sandbox.identity()).unwrap();
    let key = identity
        .lines()
        .find(|l| l.starts_with("AGE-SECRET"))
        .unwrap();
    let ssh = fs::read_to_string(golden::key(sandbox, "ssh-ed25519")).unwrap();
    let broken = [
        key[..key.len() - 3].to_owned(),
        format!("{key}X"),
        format!(" x {key}"),
        key.replacen('1', "2", 1),
        ssh.replacen("-----END", "----END", 1),
        ssh[..ssh.len() / 2].to_owned(),
        VALUE.to_owned(),
    ];
    for text in broken {
        let file = sandbox.file("broken", text);
        for args in [
            &["get", "x"][..],
            &["set", "x"],
            &["status"],
            &["init", "--store", "new"],
        ] {
            let program = sandbox.posixage(["-v"]).args(args).arg("-i").arg(&file);
            let output = program.input(VALUE).run();
            assert_clean("standard error", &output.stderr, &store.canaries);
            assert_clean("standard output", &output.stdout, &store.canaries);
        }
    }
}

#[test]
fn a_configuration_that_is_not_understood_is_not_quoted() {
    let store = store();
    for toml in [
        format!("password = \"{PASSWORD}\"\n"),
        format!("password-command = {{ \"{PASSWORD}\" = 1 }}\n"),
        format!("password-command = \"{PASSWORD}\n"),
        format!("store = [\"{PASSWORD}\"]\n"),
        PASSWORD.to_owned(),
    ] {
        store.sandbox.config(&toml);
        let output = store.sandbox.run(["-v", "get", "x"]);
        assert!(!output.status.success(), "{toml}: {output:?}");
        assert_quiet(&output, &store.canaries);
    }
}

#[test]
fn a_prompt_shows_nothing_of_what_is_typed() {
    let store = store();
    let sandbox = &store.sandbox;
    let mut terminal = Terminal::start(sandbox.posixage(["-v", "set", "x"]));
    terminal.answers("password", PASSWORD);
    terminal.answers("repeat", PASSWORD);
    terminal.answers("value of x", VALUE);
    terminal.answers("repeat", VALUE);
    let end = terminal.wait().exits(0);
    assert_clean("the screen", end.screen.as_bytes(), &store.canaries);

    let locked = keys::locked(sandbox, "ssh-ed25519-locked");
    let recipient = keys::recipient("ssh-ed25519-locked.pub");
    let new = sandbox.path().join("new");
    let init = sandbox
        .posixage(["init", "--recipient", &recipient, "--store"])
        .arg(&new);
    init.run().succeeds();
    let posixage = || sandbox.posixage(["-v", "--store"]).arg(&new);
    posixage()
        .args(["set", "x"])
        .input("some value")
        .run()
        .succeeds();
    let mut terminal = Terminal::start(posixage().args(["get", "x", "-i"]).arg(&locked));
    terminal.answers("passphrase", &keys::passphrase());
    let end = terminal.wait();
    assert_clean("the screen", end.screen.as_bytes(), &store.canaries);
}

#[test]
fn debug_output_of_the_library_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let identity = Identity::generate();
    let secret_key = identity.to_age_secret_key().unwrap();
    let canaries = canaries(&[VALUE, PASSWORD, secret_key.expose_secret()]);
    let password = Password::new(PASSWORD).unwrap();
    let config = StoreConfig::new([identity.to_recipient().unwrap()])
        .with_password(true)
        .with_work_factor(2);
    Store::init(&path, &config).unwrap();
    let builder = || {
        let owned = identity.clone();
        let lazy = KeySource::callback(KeyType::Age, "lazy", move || Ok(vec![owned]));
        Store::builder(&path)
            .identity(identity.clone())
            .identity(lazy)
            .identity(password.clone())
            .recipient(Recipient::from(password.clone()))
    };
    let metadata: Metadata = [("k", "v")].into_iter().collect();
    let secret = Secret::new(VALUE).with_metadata(metadata);
    let store = builder().open().unwrap();
    let id = "x".parse().unwrap();
    store.create(&id, &secret).unwrap();
    let again = store.create(&id, &secret).unwrap_err();
    let got = store.get(&id).unwrap();
    let missing = store.get(&"y".parse().unwrap()).unwrap_err();
    let wrong = Password::new("wrong").unwrap();
    let misfit = Store::builder(&path)
        .identity(wrong)
        .open()
        .unwrap()
        .get(&id)
        .unwrap_err();
    let update = posixage::Error::NotFound { id: id.clone() };
    let update = store.update(&id, |_| Err(update)).unwrap_err();
    let change = posixage::Change::Set(secret.clone());
    let listed: Vec<_> = store.list(&Pattern::all()).unwrap().collect();
    let shown = format!(
        "{:?} {:#?} {store:?} {store:#?} {identity:?} {:?} {password:?} {:?} {secret:?} {got:#?} \
         {again:?} {missing:?} {misfit:?} {update:?} {change:?} {listed:?} {config:?} \
         {again} {missing} {misfit} {update} {:?}",
        builder(),
        builder(),
        Identity::from(password.clone()),
        Recipient::from(password.clone()),
        store.lock_status().unwrap(),
    );
    assert!(shown.contains("Secret") && shown.contains("Password"));
    assert_clean("Debug output", shown.as_bytes(), &canaries);
}

#[test]
fn a_value_as_second_argument_is_not_quoted_in_the_error() {
    let sandbox = Sandbox::new().initialised();
    for args in [
        &["set", "x", "canary"][..],
        &["set", "x", "--metadata", "k=v", "canary"],
        &["set", "--secret=canary", "x"],
    ] {
        let output = sandbox.run(args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.err().contains("canary"), "{output:?}");
    }
}

#[test]
fn a_private_key_given_for_a_public_one_is_not_quoted() {
    let sandbox = Sandbox::new().initialised();
    let identity = std::fs::read_to_string(sandbox.identity()).unwrap();
    let key = identity
        .lines()
        .find(|l| l.starts_with("AGE-SECRET"))
        .unwrap();
    let init = sandbox.run(["init", "--store", "new", "--recipient", key]);
    assert!(!init.status.success(), "{init:?}");
    assert!(!init.err().contains(key), "{init:?}");
}
