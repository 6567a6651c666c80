//! Claim: not a byte of a value, a password, a passphrase or a key is in the arguments or the
//! environment of a child, in logs, in error texts, in Debug output, or in a file in the clear.

use std::{fs, path::Path};

use posixage::{
    Config, Identity, KeySource, KeyType, Metadata, Password, Pattern, Recipient, Secret, Store,
    secrecy::ExposeSecret,
};
use posixage_tests::{Output, Program, Sandbox, Terminal, golden, keys, tools, tree::Snapshot};

const VALUE: &str = "canary-of-the-value-J8Q";
const PASSWORD: &str = "canary-of-the-password-W2Z";

/// The texts that must not be seen, in each form in which they might be.
fn canaries(texts: &[&str]) -> Vec<String> {
    let forms = |text: &&str| {
        let bytes = text.as_bytes();
        let decimal: Vec<String> = bytes.iter().take(6).map(ToString::to_string).collect();
        let hex: String = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
        vec![
            (*text).to_owned(),
            text.to_uppercase(),
            decimal.join(", "),
            hex,
            base64(bytes),
        ]
    };
    texts.iter().flat_map(forms).collect()
}

/// The first nine bytes in base64, as they would begin.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes[..9].chunks(3) {
        let n = chunk.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        text.extend([18, 12, 6, 0].map(|shift| char::from(ALPHABET[n >> shift & 63])));
    }
    text
}

#[track_caller]
fn assert_clean(what: &str, text: &[u8], canaries: &[String]) {
    for canary in canaries {
        let found = text
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        let text = String::from_utf8_lossy(text);
        assert!(!found, "{canary:?} is in {what}:\n{text}");
    }
}

/// All that a program of ours wrote, but for the value that it was asked for.
#[track_caller]
fn assert_quiet(output: &Output, canaries: &[String]) {
    assert_clean("standard error", &output.stderr, canaries);
    if output.out() != VALUE {
        assert_clean("standard output", &output.stdout, canaries);
    }
}

/// A store for an identity, an SSH key and a password, and the secret lines of their files.
struct Store3 {
    sandbox: Sandbox,
    password_file: std::path::PathBuf,
    canaries: Vec<String>,
}

fn store() -> Store3 {
    let sandbox = Sandbox::new();
    let ssh = fs::read_to_string(golden::key(&sandbox, "ssh-ed25519.pub")).expect("a key");
    sandbox.run(["init"]).succeeds();
    fs::write(
        sandbox.store().join(".posixage.toml"),
        format!(
            "format = 1\nrecipients = [\"{}\", \"{}\"]\npassword = true\nscrypt-work-factor = 2\n",
            recipient(&sandbox.identity()),
            ssh.trim(),
        ),
    )
    .expect("write");
    let identity = fs::read_to_string(sandbox.identity()).expect("the identity");
    let identity = identity
        .lines()
        .find(|l| l.starts_with("AGE-SECRET"))
        .expect("a key");
    let ssh = fs::read_to_string(golden::key(&sandbox, "ssh-ed25519")).expect("a key");
    let ssh = ssh.lines().nth(3).expect("the private part");
    let password_file = sandbox.file("password", format!("{PASSWORD}\n"));
    let passphrase = keys::passphrase();
    let canaries = canaries(&[VALUE, PASSWORD, identity, ssh, &passphrase]);
    Store3 {
        sandbox,
        password_file,
        canaries,
    }
}

fn recipient(identity: &Path) -> String {
    let text = fs::read_to_string(identity).expect("the identity");
    let line = text.lines().find_map(|l| l.strip_prefix("# public key: "));
    line.expect("its public half").to_owned()
}

impl Store3 {
    /// Every command, in ways that work and in ways that fail, with all that it needs and as
    /// talkative as can be.
    fn every_command(&self) -> Vec<Program> {
        let posixage = |args: &[&str]| {
            let program = self.sandbox.posixage(["-v"]).args(args);
            program
                .env("POSIXAGE_PASSWORD_FILE", &self.password_file)
                .input(VALUE)
        };
        let json = serde_json::json!({ "secret": VALUE, "metadata": { "k": "v" } }).to_string();
        let stranger = golden::key(&self.sandbox, "age-stranger.txt");
        let stranger = stranger.to_str().expect("UTF-8");
        let id_with_value = format!("no id={VALUE}");
        vec![
            posixage(&["set", "x"]),
            posixage(&["set", "x"]),
            posixage(&["set", "--force", "x"]),
            posixage(&["set", "--json", "json"]).input(json.clone()),
            posixage(&["set", "--json", "json"]).input(&json.as_bytes()[..json.len() - 1]),
            posixage(&["set", "--json", "json"]).input(VALUE),
            posixage(&["set", "--json", "json"]).input(format!("\"{VALUE}\"")),
            posixage(&["set", "--json", "json"]).input(format!("{{\"{VALUE}\":\"{VALUE}\"}}")),
            posixage(&["set", "--json", "json"]).input(format!("{{\"secret\":{{\"{VALUE}\":1}}}}")),
            posixage(&["set", "--json", "b"]).input(format!(
                "{{\"secret\":\"{VALUE}\",\"encoding\":\"base64\"}}"
            )),
            posixage(&["set", "no id"]),
            posixage(&["set", &id_with_value]),
            posixage(&["set", &format!("x={VALUE}")]),
            posixage(&["set", &format!("={VALUE}")]),
            posixage(&["set", "--store", "/nowhere", &format!("x={VALUE}")]),
            posixage(&["get", "x"]),
            posixage(&["get", "missing"]),
            posixage(&["get", "--metadata", "x"]),
            posixage(&["get", "x", "-i", stranger]).env("POSIXAGE_PASSWORD_FILE", stranger),
            posixage(&[
                "get",
                "x",
                "-i",
                self.password_file.to_str().expect("UTF-8"),
            ]),
            posixage(&["get", "x", "--password-file", "/nowhere"]),
            posixage(&["list", "--long"]),
            posixage(&["list", "--json"]),
            posixage(&["list", "--tree"]),
            posixage(&["status"]),
            posixage(&["status", "--json"]),
            posixage(&["init"]),
            posixage(&["lock", "--", "true"]),
            posixage(&["rm", "missing"]),
            posixage(&["rm", "x"]),
        ]
    }
}

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
    // Somebody has put the value itself where the ciphertext, or the metadata, belongs.
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
fn a_child_has_no_secret_in_its_arguments_or_environment() {
    let store = store();
    let sandbox = &store.sandbox;
    let set = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_PASSWORD", PASSWORD);
    set.input(VALUE).run().succeeds();
    let report = sandbox.path().join("report");
    let script = sandbox.file(
        "report.sh",
        format!(
            "exec 3>>'{}'; tr '\\0' '\\n' </proc/$$/cmdline >&3; tr '\\0' '\\n' </proc/$$/environ >&3; \
             tr '\\0' '\\n' </proc/$PPID/cmdline >&3; ls -l /proc/self/fd >&3; echo '{PASSWORD}'",
            report.display(),
        ),
    );
    // The command is given the password's place in the file, not the password.
    let command = script.to_str().unwrap();
    sandbox.config(&format!("password-command = \"exec sh {command}\"\n"));
    let seen = |what: &str| {
        let text = fs::read(&report).unwrap_or_default();
        assert!(!text.is_empty(), "{what} was not run");
        assert_clean(what, &text, &store.canaries);
        fs::remove_file(&report).unwrap();
    };

    sandbox
        .posixage(["set", "--force", "x"])
        .input(VALUE)
        .run()
        .succeeds();
    seen("the password-command of set");
    let other = golden::key(sandbox, "ssh-rsa");
    let get = sandbox.posixage(["get", "x", "-i"]).arg(&other).run();
    assert_eq!(get.succeeds_silently().out(), VALUE);
    seen("the password-command of get");

    let lock = sandbox.posixage(["lock", "--", "sh", command]);
    lock.env("POSIXAGE_PASSWORD", PASSWORD).run().succeeds();
    seen("the command under a lock");
}

/// `strace` in front of a program: these calls, with all of their arguments, go to `trace`.
fn strace(calls: &str, trace: &Path) -> [std::ffi::OsString; 9] {
    let strace = tools::need("strace", "strace");
    let calls = format!("trace={calls}");
    let options = ["-f", "-v", "-s", "100000", "-e", &calls, "-o"].map(Into::into);
    let [f, v, s, length, e, calls, o] = options;
    [strace.into(), f, v, s, length, e, calls, o, trace.into()]
}

#[test]
fn a_trace_of_everything_that_is_executed_shows_no_secret() {
    if !tools::may_trace() {
        tools::left_out("a trace of what is executed: only root may look into posixage's memory");
        return;
    }
    let store = store();
    let trace = store.sandbox.path().join("trace");
    let mut executed = String::new();
    for program in store.every_command() {
        let program = program.env_remove("POSIXAGE_PASSWORD_FILE");
        let program = program.env("POSIXAGE_PASSWORD", PASSWORD);
        program.behind(strace("execve,execveat", &trace)).run();
        let text = fs::read_to_string(&trace).unwrap();
        // The arguments of the first are the person's own.
        let (first, later) = text.split_once('\n').unwrap();
        assert!(first.contains("posixage"), "{text}");
        assert_clean("what is executed", later.as_bytes(), &store.canaries);
        executed.push_str(later);
    }
    // The command under the lock.
    assert!(executed.contains("[\"true\"]"), "{executed}");
}

#[test]
fn nothing_is_written_in_the_clear_anywhere() {
    let store = store();
    let sandbox = &store.sandbox;
    let trace = sandbox.path().join("trace");
    let set = sandbox.posixage(["set", "x"]).input(VALUE);
    let mut set = set.env("POSIXAGE_PASSWORD_FILE", &store.password_file);
    if tools::may_trace() {
        let calls =
            "write,pwrite64,writev,sendto,sendmsg,openat,mkdirat,renameat2,linkat,memfd_create";
        set = set.behind(strace(calls, &trace));
    } else {
        tools::left_out("a trace of what is written: only root may look into posixage's memory");
    }
    set.run().succeeds();
    if tools::may_trace() {
        let text = fs::read(&trace).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("age-encryption.org/v1"));
        assert_clean("what is written", &text, &store.canaries);
    }
    let tree = Snapshot::of(&sandbox.store());
    assert!(tree.contains(b"age-encryption.org/v1"));
    assert!(!tree.contains(VALUE.as_bytes()) && !tree.contains(PASSWORD.as_bytes()));
}

#[test]
fn a_prompt_shows_nothing_of_what_is_typed() {
    let store = store();
    let sandbox = &store.sandbox;
    let mut terminal = Terminal::start(sandbox.posixage(["-v", "set", "x"]));
    terminal.answers("password", PASSWORD);
    terminal.answers("again", PASSWORD);
    terminal.answers("value of x", VALUE);
    terminal.answers("again", VALUE);
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
fn no_other_process_of_the_same_user_may_look_into_its_memory() {
    // What holds for a core dump, too: the kernel gives the files of such a process to root.
    use std::os::unix::fs::MetadataExt;

    let sandbox = Sandbox::ordinary().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    let memory = format!("/proc/{}/mem", terminal.id());
    assert_eq!(fs::metadata(memory).unwrap().uid(), 0);
    terminal.interrupts();
    terminal.wait();
}

#[test]
fn debug_output_of_the_library_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let identity = Identity::generate();
    let secret_key = identity.to_age_secret_key().unwrap();
    let canaries = canaries(&[VALUE, PASSWORD, secret_key.expose_secret()]);
    let password = Password::new(PASSWORD).unwrap();
    let config = Config::new([identity.to_recipient().unwrap()])
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
    let update = store.update(&id, |_| Err("no".into())).unwrap_err();
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
fn a_value_given_as_a_second_argument_is_not_repeated_in_the_error() {
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
