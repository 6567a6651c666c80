//! Claim: a key is read in whatever form it comes, and what cannot be read is passed over or named in
//! true words.

use std::{fs, path::PathBuf};

use posixage_tests::{Output, Program, Sandbox, Terminal, keys, tools};

const PLUGIN: &str = "AGE-PLUGIN-YUBIKEY-1QYPQXPQ9QCRSSJ2LRPC\n";

struct Place {
    sandbox: Sandbox,
    identity: String,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::new().initialised();
        sandbox.set("x", "value");
        let identity = fs::read_to_string(sandbox.identity()).expect("the identity");
        Self { sandbox, identity }
    }

    fn line(&self) -> &str {
        self.identity.lines().last().expect("a line")
    }

    fn key(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.sandbox.file(format!("keys/{name}"), content)
    }

    fn get(&self, keys: &[&PathBuf]) -> Output {
        let named = keys.iter().flat_map(|key| ["-i".as_ref(), key.as_os_str()]);
        self.sandbox.posixage(named).args(["get", "x"]).run()
    }

    #[track_caller]
    fn reads(&self, content: impl AsRef<[u8]>) {
        let key = self.key("one", content);
        assert_eq!(self.get(&[&key]).succeeds_silently().out(), "value");
    }

    #[track_caller]
    fn refuses(&self, content: impl AsRef<[u8]>, words: &str) {
        let key = self.key("one", content);
        let output = self.get(&[&key]);
        assert!(!output.status.success(), "{output:?}");
        output.says([words]);
    }
}

#[test]
fn forms_that_editors_leave_behind_are_read() {
    let place = Place::new();
    place.reads(place.identity.replace('\n', "\r\n"));
    place.reads(format!("\u{feff}{}", place.identity));
    place.reads(format!("  {}\t", place.line()));
    place.reads(place.line().to_lowercase());
    place.reads(format!("{PLUGIN}{}", place.identity));
    place.reads(format!("{}{PLUGIN}", place.identity));
}

#[test]
fn an_armor_after_a_comment_is_read() {
    let sandbox = Sandbox::new();
    let armored = fs::read(keys::locked(&sandbox, "age-locked-armored")).unwrap();
    let key = sandbox.file(
        "keys/commented",
        [b"# mine\n\n".as_slice(), &armored].concat(),
    );
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    sandbox.set("x", "value");
    let get = sandbox.posixage(["get", "x", "-i"]).arg(key);
    let mut terminal = Terminal::start(get);
    terminal.answers("passphrase", &keys::passphrase());
    assert!(terminal.wait().exits(0).screen.contains("value"));
}

#[test]
fn what_cannot_be_used_is_named_in_true_words() {
    let place = Place::new();
    let (head, tail) = place.line().split_at(20);
    let typo = if tail.starts_with('Q') { 'P' } else { 'Q' };
    place.refuses(format!("{head}{typo}{}", &tail[1..]), "wrong checksum");
    place.refuses(PLUGIN, "age plugin");
    let utf16: Vec<u8> = "\u{feff}x"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    place.refuses(utf16, "UTF-16");
    for (label, words) in [
        ("PRIVATE KEY", "ssh-keygen -p"),
        ("ENCRYPTED PRIVATE KEY", "ssh-keygen -p"),
        ("EC PRIVATE KEY", "ECDSA"),
        ("DSA PRIVATE KEY", "DSA"),
        ("CERTIFICATE", "certificate"),
        ("PUBLIC KEY", "public key"),
    ] {
        let pem = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        place.refuses(&pem, words);
        place.refuses(format!("# mine\n{pem}"), words);
    }
    let dek = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    place.refuses(dek, "ssh-keygen -p");
    place.refuses(
        "-----BEGIN AGE ENCRYPTED FILE-----\n",
        "not a valid age file",
    );
    place.refuses("", "holds no identity");
}

#[test]
fn ssh_keys_that_cannot_decrypt_are_named_by_type() {
    let place = Place::new();
    let keygen = |kind: &str| {
        let path = place.sandbox.path().join(format!("ssh-{kind}"));
        let keygen = Program::new(tools::need("ssh-keygen", "openssh-client"));
        let made = keygen.args(["-q", "-t", kind, "-N", "", "-f"]).arg(&path);
        made.run().succeeds();
        fs::read(path).unwrap()
    };
    place.refuses(keygen("ecdsa"), "ecdsa");
}

#[test]
fn a_key_of_no_use_is_passed_over_wherever_it_stands() {
    let place = Place::new();
    let good = place.sandbox.identity();
    let pkcs8 = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let bad = [
        place.key("plugin", PLUGIN),
        place.key("pkcs8", pkcs8),
        place.key("garbage", "not a key"),
        place.sandbox.path().join("missing"),
        place.sandbox.directory("a-directory"),
    ];
    for bad in &bad {
        for list in [[bad, &good], [&good, bad]] {
            assert_eq!(place.get(&list).succeeds_silently().out(), "value");
        }
    }
    // Beside one that does not fit, both are named.
    let other = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let other = place.key("other", other);
    let refused = place.get(&[&bad[0], &other]).fails(5);
    refused.says(["not a recipient", "age plugin"]);
}

#[test]
fn a_store_is_made_for_all_the_keys_that_were_named_or_not_at_all() {
    let place = Place::new();
    let good = place.sandbox.identity();
    let both = place.key("both", format!("{}{PLUGIN}", place.identity));
    let missing = place.sandbox.path().join("missing");
    for second in [&both, &missing] {
        let init = place.sandbox.posixage(["--store", "other", "init", "-i"]);
        let init = init.arg(&good).arg("-i").arg(second).run();
        assert!(!init.status.success(), "{init:?}");
        assert!(!place.sandbox.home().join("other").exists());
    }
}

#[test]
fn a_key_comes_through_a_pipe() {
    let place = Place::new();
    let key = place.sandbox.identity();
    let bash = |script: &str| {
        let bash = place.sandbox.client(tools::need("bash", "bash"));
        bash.args(["-c", script]).env("KEY", &key)
    };
    for script in [
        "posixage -i <(cat $KEY) get x",
        "posixage -i /dev/fd/3 get x 3< <(cat $KEY)",
        "posixage -i - get x < $KEY",
        "cat $KEY | posixage -i - get x",
        "cat $KEY | POSIXAGE_IDENTITY=- posixage get x",
        "POSIXAGE_IDENTITY_KEY=$(cat $KEY) posixage get x",
        "POSIXAGE_IDENTITY_KEY=$(tail -1 $KEY) posixage get x",
    ] {
        assert_eq!(
            bash(script).run().succeeds_silently().out(),
            "value",
            "{script}"
        );
    }
    // A value and a key cannot both come on standard input.
    bash("posixage -i - set y < $KEY").run().complains(2);
    bash("posixage -i - set --json y < $KEY").run().complains(2);
    assert_eq!(place.sandbox.run(["list"]).out(), "x\n");
}

#[test]
fn no_child_inherits_a_key_or_a_password() {
    let place = Place::new();
    for command in ["run", "lock"] {
        let env = place.sandbox.posixage([command, "--", "env"]);
        let env = env.env("POSIXAGE_IDENTITY_KEY", &place.identity);
        let output = env.env("POSIXAGE_PASSWORD", "canary").run().succeeds();
        assert!(!output.out().contains("AGE-SECRET") && !output.out().contains("canary"));
    }
}

#[test]
fn a_fifo_with_a_name_is_refused_and_not_waited_for() {
    let place = Place::new();
    let fifo = place.sandbox.path().join("fifo");
    let mkfifo = Program::new(tools::need("mkfifo", "coreutils"));
    mkfifo.arg(&fifo).run().succeeds();
    place.get(&[&fifo]).fails(1).says(["not a regular file"]);
}

#[test]
fn a_wrong_passphrase_is_asked_for_three_times() {
    let sandbox = Sandbox::new();
    let key = keys::locked(&sandbox, "ssh-ed25519-locked");
    let recipient = keys::recipient("ssh-ed25519-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    sandbox.set("x", "value");
    let get = || Terminal::start(sandbox.posixage(["get", "x", "-i"]).arg(&key));
    let mut terminal = get();
    terminal.answers("passphrase", "wrong");
    terminal.answers("passphrase", &keys::passphrase());
    let end = terminal.wait().exits(0);
    assert!(end.screen.contains("value"), "{end:?}");

    let mut terminal = get();
    for _ in 0..3 {
        terminal.answers("passphrase", "wrong");
    }
    let end = terminal.wait().exits(5);
    assert!(!end.screen.contains("name a key"), "{end:?}");
    assert!(end.screen.contains("wrong passphrase"), "{end:?}");
}

#[test]
fn a_wrong_password_is_asked_for_three_times() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "1"];
    sandbox.run(init).succeeds();
    let set = sandbox.posixage(["set", "x"]).input("value");
    set.env("POSIXAGE_PASSWORD", "password").run().succeeds();
    let mut terminal = Terminal::start(sandbox.posixage(["get", "x"]));
    terminal.answers("password", "wrong");
    terminal.answers("password", "wrong");
    terminal.answers("password", "password");
    assert!(terminal.wait().exits(0).screen.contains("value"));

    let mut terminal = Terminal::start(sandbox.posixage(["get", "x"]));
    for _ in 0..3 {
        terminal.answers("password", "wrong");
    }
    let end = terminal.wait().exits(5);
    assert!(!end.screen.contains("name a key"), "{end:?}");
}

#[test]
fn a_second_password_is_noticed_wherever_it_comes_from() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "1"];
    sandbox.run(init).succeeds();
    let set = |id: &str| sandbox.posixage(["set", "--force", id]).input("value");
    set("x").env("POSIXAGE_PASSWORD", "first").run().succeeds();
    let other = sandbox.file("home/other", "second\n");
    let refused = |program: Program| program.run().fails(5).says(["wrong password"]);
    refused(set("y").env("POSIXAGE_PASSWORD", "second"));
    refused(set("y").arg("--password-file").arg(&other));
    sandbox.config("password-command = [\"echo\", \"second\"]");
    refused(set("y"));
    sandbox.config("password-command = [\"echo\", \"first\"]");
    set("y").run().succeeds();
    assert_eq!(sandbox.run(["list"]).out(), "x\ny\n");
}
