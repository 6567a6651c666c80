//! Claim: what others have planted in a store's files is refused before it costs time or memory.

use std::fs;

use posixage_tests::{Program, Sandbox, tools, tree};

/// An age header of many recipients, none of them ours.
fn header(len: usize) -> Vec<u8> {
    let stanza = "-> X25519 CqQFkcnC5eAMMIbB3XoaIwN4Hjt5pdOMAQHSgmJbLxg\n\
                  uY9Pp8cTwTVRcGG5vzOgy0zkWhOiVUN1oZuKPgkLmzc\n";
    let stanzas = stanza.repeat(len / stanza.len());
    format!(
        "age-encryption.org/v1\n{stanzas}--- {}\nvalue",
        "A".repeat(43)
    )
    .into_bytes()
}

/// age works on the larger of these for minutes: the test would not end in its time.
#[test]
fn an_age_header_over_64_kib_is_refused_unparsed() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let secret = tree::walk(&sandbox.store());
    let is_age = |path: &&std::path::PathBuf| path.ends_with("secretage");
    let file = secret.iter().find(is_age).expect("a ciphertext");
    for len in [100 << 10, 1 << 20, 20 << 20] {
        fs::write(file, header(len)).unwrap();
        let words = "an age header of over 65536 bytes";
        sandbox.run(["get", "x"]).fails(7).says([words]);
        let verify = sandbox.run(["verify"]);
        assert_eq!(verify.status.code(), Some(7));
        assert!(verify.out().contains(words), "{verify:?}");
    }
}

#[test]
fn a_store_for_too_many_recipients_is_refused() {
    let sandbox = Sandbox::new().initialised();
    let config = sandbox.store().join(".posixage.toml");
    let recipient = sandbox.run(["status", "--json"]).succeeds().out();
    let at = recipient.find("age1").expect("a recipient");
    let recipient = format!("{:?}, ", &recipient[at..at + 62]);
    let write = |count: usize| {
        let toml = format!("format = 1\nrecipients = [{}]\n", recipient.repeat(count));
        fs::write(&config, toml).unwrap();
    };
    write(600);
    sandbox.set("x", "value");
    assert_eq!(sandbox.get("x"), b"value");
    for count in [700, 14_000] {
        write(count);
        let set = sandbox.posixage(["set", "y"]).input("value").run();
        set.fails(7).says(["more recipients than"]);
    }
}

#[test]
fn scrypt_without_memory_is_an_error() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "18"];
    sandbox.run(init).succeeds();
    let with = |program: Program| program.env("POSIXAGE_PASSWORD", "password").input("value");
    with(sandbox.posixage(["set", "x"])).run().succeeds();
    let scarce = |words: &str| {
        let sh = sandbox.client(tools::need("sh", "dash"));
        let script = format!("ulimit -v 250000; exec posixage {words}");
        with(sh.args(["-c", &script])).run()
    };
    let words = "256 MiB of memory";
    scarce("get x").fails(5).says([words, "ulimit"]);
    scarce("set y").fails(1).says([words]);
    assert_eq!(sandbox.run(["list"]).out(), "x\n");
}

#[test]
fn scrypt_work_is_limited_by_the_users_config() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "11"];
    sandbox.run(init).succeeds();
    let run = |words: &[&str]| {
        let program = sandbox.posixage(words).env("POSIXAGE_PASSWORD", "password");
        program.input("value").run()
    };
    run(&["set", "x"]).succeeds();
    sandbox.config("max-scrypt-work-factor = 10");
    let option = "max-scrypt-work-factor in config.toml";
    run(&["get", "x"]).fails(5).says(["work factor 11", option]);
    run(&["set", "--force", "x"])
        .fails(1)
        .says(["work factor 11", option]);
    sandbox.config("max-scrypt-work-factor = 11");
    assert_eq!(run(&["get", "x"]).succeeds_silently().out(), "value");
    for bad in ["0", "23", "300", "\"x\""] {
        sandbox.config(&format!("max-scrypt-work-factor = {bad}"));
        assert!(!run(&["get", "x"]).status.success());
    }
}
