//! Claim: the library's examples do what they say, as processes.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use posixage::{
    KeyFile, Metadata, Secret, Store, StoreConfig,
    lock::{Mode, Wait},
};
use posixage_tests::{LIMIT, Output, Program, Sandbox, binary, tree::Snapshot};
use rustix::{
    fs::{CWD, FileType},
    process::Signal,
};

/// A store with its key, as the examples find them.
struct Keyed {
    sandbox: Sandbox,
    root: PathBuf,
    key: PathBuf,
}

impl Keyed {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let (root, key) = (sandbox.path().join("store"), sandbox.path().join("key"));
        KeyFile::create(&key).expect("make a key");
        let recipients = KeyFile::new(&key).identities().expect("the key");
        let recipients = recipients.recipients().expect("its public half");
        Store::init(&root, &StoreConfig::new(recipients)).expect("make a store");
        Self { sandbox, root, key }
    }

    fn store(&self) -> Store {
        let identities = KeyFile::new(&self.key).identities().expect("the key");
        let builder = Store::builder(&self.root).identity(identities);
        builder.lock_wait(Wait::Try).open().expect("the store")
    }

    /// Waits until so many processes wait for the lock.
    fn wait_for_waiters(&self, count: usize) {
        let store = self.store();
        let begun = Instant::now();
        while store.lock_status().expect("the lock").waiters.len() < count {
            assert!(begun.elapsed() < LIMIT, "no process waits");
            thread::yield_now();
        }
    }
}

/// What a program said that failed without a result.
#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    output.err()
}

fn helper(sandbox: &Sandbox, action: &str, input: &str) -> Output {
    let helper = sandbox.program(binary::example("credential_helper"));
    helper.arg(action).input(input).run()
}

fn credentials(server: &str, user: &str, secret: &str) -> String {
    let json = serde_json::json!({"ServerURL": server, "Username": user, "Secret": secret});
    json.to_string()
}

#[test]
fn a_credential_helper_stores_gets_lists_and_erases() {
    let sandbox = Sandbox::new();
    let server = "registry.example.com:5000/team";
    for (user, secret) in [("bob", "old"), ("zoe", "p\"\\\n☕")] {
        helper(&sandbox, "store", &credentials(server, user, secret)).succeeds_silently();
    }
    let got = helper(&sandbox, "get", &format!("{server}\n")).succeeds_silently();
    let got: serde_json::Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!(got.to_string(), {
        let expected: serde_json::Value =
            serde_json::from_str(&credentials(server, "zoe", "p\"\\\n☕")).unwrap();
        expected.to_string()
    });
    let list = helper(&sandbox, "list", "unused").succeeds_silently();
    assert_eq!(list.out(), format!("{{\"{server}\":\"zoe\"}}\n"));
    helper(&sandbox, "erase", server).succeeds_silently();
    helper(&sandbox, "erase", server).succeeds_silently();
    let none = helper(&sandbox, "get", server);
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(none.out(), "credentials not found\n");
    let bad = helper(&sandbox, "get", "no spaces");
    assert_eq!(bad.status.code(), Some(1));
    assert!(bad.out().contains("not allowed in an id"), "{bad:?}");
}

#[test]
fn first_runs_of_a_credential_helper_at_once_share_one_store() {
    let sandbox = Sandbox::new();
    let servers: Vec<String> = (0..8).map(|n| format!("server-{n}.example.com")).collect();
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let request = credentials(server, "zoe", server);
                helper(&sandbox, "store", &request).succeeds_silently();
            });
        }
    });
    for server in &servers {
        let got = helper(&sandbox, "get", server).succeeds_silently();
        let got: serde_json::Value = serde_json::from_slice(&got.stdout).unwrap();
        assert_eq!(got["Secret"], server.as_str());
    }
}

/// A place with an expired token, and a token endpoint that answers when it is told to.
struct Login {
    place: Keyed,
    log: PathBuf,
    go: PathBuf,
}

impl Login {
    fn new() -> Self {
        let place = Keyed::new();
        let expired: Metadata = [("expires", "1")].into_iter().collect();
        let tokens = r#"{"access_token":"old","refresh_token":"once"}"#;
        let secret = Secret::new(tokens).with_metadata(expired);
        let id = "oauth/token".parse().expect("an id");
        place.store().create(&id, &secret).expect("log in");
        let log = place.sandbox.file("log", "");
        let go = place.sandbox.path().join("go");
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(CWD, &go, FileType::Fifo, mode, 0).expect("mkfifo");
        Self { place, log, go }
    }

    fn oauth(&self) -> Program {
        let (log, go) = (self.log.display(), self.go.display());
        let endpoint = format!(
            "printf '%s\\n' \"$(cat)\" >>'{log}'; cat '{go}'; \
             echo '{{\"access_token\":\"new\",\"refresh_token\":\"next\",\"expires_in\":3600}}'"
        );
        let place = &self.place;
        let oauth = place.sandbox.program(binary::example("oauth"));
        oauth
            .args([&place.root, &place.key])
            .args(["oauth/token", "--", "sh", "-c", &endpoint])
    }

    /// Waits until the endpoint was asked.
    fn wait_for_request(&self) {
        let begun = Instant::now();
        while self.requests().is_empty() {
            assert!(begun.elapsed() < LIMIT, "the endpoint is not asked");
            thread::yield_now();
        }
    }

    fn requests(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }
}

#[test]
fn of_two_processes_with_an_expired_token_one_refreshes_it() {
    let login = Login::new();
    let first = login.oauth().start();
    login.wait_for_request();
    let second = login.oauth().start();
    // It has found the token expired, too, or it would not want the lock.
    login.place.wait_for_waiters(1);
    fs::write(&login.go, "").expect("let the endpoint answer");
    assert_eq!(first.wait().succeeds_silently().out(), "new\n");
    assert_eq!(second.wait().succeeds_silently().out(), "new\n");
    assert_eq!(
        login.requests(),
        "once\n",
        "one request, with the old token"
    );
    let third = login.oauth().run().succeeds_silently();
    assert_eq!(third.out(), "new\n");
    assert_eq!(login.requests(), "once\n");
}

#[test]
fn a_killed_or_failed_refresh_leaves_the_token_to_the_next() {
    let login = Login::new();
    let before = Snapshot::of(&login.place.root);
    let killed = login.oauth().start();
    login.wait_for_request();
    killed.signal_all(Signal::KILL);
    assert_eq!(killed.wait().signal(), Some(9));
    let fails = login.place.sandbox.program(binary::example("oauth"));
    let fails = fails
        .args([&login.place.root, &login.place.key])
        .args(["oauth/token", "--", "false"])
        .run();
    let fails = refused(&fails);
    assert!(fails.contains("cannot refresh the token"), "{fails}");
    assert_eq!(Snapshot::of(&login.place.root), before);
    let next = login.oauth().start();
    fs::write(&login.go, "").expect("let the endpoint answer");
    assert_eq!(next.wait().succeeds_silently().out(), "new\n");
    assert_eq!(login.requests(), "once\nonce\n");
}

fn service(place: &Keyed, credentials: Option<&Path>, id: &str) -> Output {
    let service = place.sandbox.program(binary::example("service"));
    let service = service.arg(&place.root).arg(id);
    match credentials {
        Some(directory) => service.env("CREDENTIALS_DIRECTORY", directory).run(),
        None => service.run(),
    }
}

#[test]
fn a_service_reads_its_secret_with_the_key_from_systemd() {
    use std::os::unix::fs::PermissionsExt;

    let place = Keyed::new();
    let password = Secret::new("hunter2");
    let id = "db/password".parse().unwrap();
    place.store().create(&id, &password).unwrap();
    let credentials = place.sandbox.directory("credentials");
    let key = credentials.join("key");
    fs::copy(&place.key, &key).unwrap();
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o400);
    let output = service(&place, Some(&credentials), "db/password").succeeds_silently();
    assert_eq!(output.out(), "ready, with a password of 7 bytes\n");

    let said = |credentials, id, texts: &[&str]| {
        let said = refused(&service(&place, credentials, id));
        assert!(texts.iter().all(|text| said.contains(text)), "{said}");
    };
    said(None, "db/password", &["CREDENTIALS_DIRECTORY is not set"]);
    said(Some(&credentials), "db/user", &["no secret db/user"]);
    mode(0o644);
    said(
        Some(&credentials),
        "db/password",
        &["is open to others (mode 0644)", "\nhint: chmod 600"],
    );
    fs::remove_file(&key).unwrap();
    KeyFile::create(&key).unwrap();
    said(
        Some(&credentials),
        "db/password",
        &["no key fits secret db/password"],
    );
    fs::remove_file(&key).unwrap();
    said(
        Some(&credentials),
        "db/password",
        &["cannot read key file", "no such file"],
    );
}

fn backup(place: &Keyed, archive: &Path) -> Program {
    let script = binary::workspace().join("store/examples/backup.sh");
    let path = std::env::var("PATH").unwrap_or_default();
    let bin = binary::posixage()
        .parent()
        .expect("its directory")
        .display();
    place
        .sandbox
        .program(script)
        .env("PATH", format!("{bin}:{path}"))
        .args([&place.root, archive])
}

#[test]
fn a_backup_script_shares_the_lock() {
    let place = Keyed::new();
    let id = "x".parse().unwrap();
    place.store().create(&id, &Secret::new("value")).unwrap();
    let archive = place.sandbox.path().join("archive.tar");

    // Beside readers, not beside a writer.
    let reader = place.store().lock(Mode::Shared).unwrap();
    backup(&place, &archive).run().succeeds();
    drop(reader);
    fs::remove_file(&archive).unwrap();
    let writer = place.store().lock(Mode::Exclusive).unwrap();
    let waiting = backup(&place, &archive).start();
    place.wait_for_waiters(1);
    assert!(!archive.exists() && !place.sandbox.path().join("archive.tar.new").exists());
    drop(writer);
    waiting.wait().succeeds();

    let restored = Keyed {
        root: place.sandbox.directory("restored"),
        key: place.key.clone(),
        sandbox: place.sandbox,
    };
    let tar = Program::new("tar")
        .arg("-C")
        .arg(&restored.root)
        .arg("-xpf");
    tar.arg(&archive).run().succeeds();
    assert_eq!(restored.store().get(&id).unwrap().expose(), b"value");
}

#[test]
fn backups_beside_a_busy_writer_are_whole() {
    let place = Keyed::new();
    let id = "x".parse().unwrap();
    let store = place
        .store()
        .with_lock_wait(Wait::For(Duration::from_secs(60)));
    store.create(&id, &Secret::new("0")).unwrap();
    for number in 0..5 {
        let archive = place.sandbox.path().join(format!("{number}.tar"));
        let running = backup(&place, &archive).start();
        let mut written = 0_u32;
        while !archive.exists() {
            written += 1;
            assert!(written < 100_000, "the backup does not end");
            store
                .set(&id, &Secret::new(format!("{number} {written}")))
                .unwrap();
        }
        running.wait().succeeds();
        let root = place.sandbox.directory(format!("restored-{number}"));
        let tar = Program::new("tar").arg("-C").arg(&root).arg("-xpf");
        tar.arg(&archive).run().succeeds();
        let verify = place.sandbox.program(binary::posixage());
        let verify = verify.arg("--store").arg(&root).arg("-i").arg(&place.key);
        verify
            .args(["verify", "--decrypt"])
            .run()
            .succeeds_silently();
    }
}
