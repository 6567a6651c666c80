//! `docker-credential-posixage`: the protocol, line by line.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use posixage_tests::{Output, Program, Sandbox, Terminal, golden, keys, shape, tree::Snapshot};
use serde_json::{Value, json};

const NAME: &str = "docker-credential-posixage";
const NOT_FOUND: &str = "credentials not found in native keychain\n";
const HUB: &str = "https://index.docker.io/v1/";
const REFRESH: &str = "https://index.docker.io/v1/refresh-token";

fn helper(sandbox: &Sandbox, action: &str, input: impl Into<Vec<u8>>) -> Program {
    sandbox.helper(NAME).arg(action).input(input)
}

fn request(url: &str, username: &str, secret: &str) -> String {
    json!({"ServerURL": url, "Username": username, "Secret": secret}).to_string()
}

#[track_caller]
fn store(sandbox: &Sandbox, url: &str, username: &str, secret: &str) {
    let output = helper(sandbox, "store", request(url, username, secret)).run();
    assert_eq!(output.succeeds_silently().out(), "");
}

#[track_caller]
fn get(sandbox: &Sandbox, url: &str) -> (String, String) {
    let output = helper(sandbox, "get", url).run().succeeds_silently();
    assert!(output.stdout.ends_with(b"}\n"), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
    assert_eq!(answer["ServerURL"], url.trim());
    assert_eq!(answer.as_object().expect("an answer").len(), 3);
    let text = |key: &str| answer[key].as_str().expect("an answer").to_owned();
    (text("Username"), text("Secret"))
}

#[track_caller]
fn list(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let output = helper(sandbox, "list", "unused").run().succeeds_silently();
    serde_json::from_slice(&output.stdout).expect("an answer")
}

/// It exited with 1 and one of the protocol's own answers.
#[track_caller]
fn answers(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((output.out().as_str(), output.err().as_str()), (text, ""));
}

/// It exited with 1 and said why on standard output, as clients want it, and on standard error, where a
/// person sees it although the client says nothing.
#[track_caller]
fn refuses(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.out().starts_with("posixage: "), "{output:?}");
    assert!(output.out().contains(text), "{output:?}");
    assert_eq!(output.out(), output.err());
}

#[test]
fn what_needs_no_store_is_answered_without_one() {
    let sandbox = Sandbox::new();
    let usage = format!("Usage: {NAME} <store|get|erase|list|version>\n");
    let version = |out: &str| {
        let number = out
            .strip_prefix(&format!("{NAME} (posixage-cli) "))
            .unwrap();
        assert_eq!(number.split('.').count(), 3, "{out}");
    };
    for args in [&[][..], &["get", "x"], &["store", ""], &["a", "b", "c"]] {
        let output = sandbox.helper(NAME).args(args).run();
        assert_eq!(
            (output.status.code(), output.out()),
            (Some(1), usage.clone())
        );
        assert_eq!(output.err(), "");
    }
    for arg in ["--help", "-h"] {
        let output = sandbox.helper(NAME).arg(arg).run();
        assert_eq!(output.succeeds_silently().out(), usage);
    }
    for arg in ["version", "--version", "-v"] {
        let output = sandbox.helper(NAME).arg(arg).run();
        version(&output.succeeds_silently().out());
    }
    for verb in ["", "GET", "gett", "--store", "unlock"] {
        let output = sandbox.helper(NAME).arg(verb).run();
        answers(&output, &format!("{NAME}: unknown action: {verb}\n"));
    }
    for (action, input, answer) in [
        ("get", "host", NOT_FOUND),
        ("get", "", "no credentials server URL\n"),
        ("get", " \t\r\n", "no credentials server URL\n"),
        ("erase", "\n", "no credentials server URL\n"),
        ("store", "{}", "no credentials server URL\n"),
        (
            "store",
            &request("", "zoe", "s"),
            "no credentials server URL\n",
        ),
        (
            "store",
            &request("host", "", "s"),
            "no credentials username\n",
        ),
        (
            "store",
            r#"{"ServerURL":"host","Secret":"s"}"#,
            "no credentials username\n",
        ),
    ] {
        let output = helper(&sandbox, action, input).run();
        answers(&output, answer);
    }
    for (action, answer) in [("erase", ""), ("list", "{}\n")] {
        let output = helper(&sandbox, action, "host").run().succeeds_silently();
        assert_eq!(output.out(), answer);
    }
    // Nothing of all that made anything.
    assert_eq!(fs::read_dir(sandbox.home()).unwrap().count(), 0);
}

#[test]
fn garbage_is_an_error_that_does_not_quote_it() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for input in [
        &b""[..],
        b"canary",
        b"[1]",
        b"\"canary\"",
        b"{\"ServerURL\":\"canary\"",
        b"{\"ServerURL\":1,\"Username\":\"canary\",\"Secret\":\"canary\"}",
        b"{\"ServerURL\":\"host\",\"Username\":\"zoe\",\"Secret\":\"canary\xff\"}",
        b"{\"ServerURL\":\"host\",\"Username\":\"zoe\",\"Secret\":\"canary\"}{}",
        b"\0\0\0",
    ] {
        let output = helper(&sandbox, "store", input).run();
        refuses(&output, "posixage: standard input");
        assert!(!output.out().contains("canary"), "{output:?}");
    }
    for action in ["get", "erase"] {
        refuses(&helper(&sandbox, action, b"\xff\xfe").run(), "UTF-8");
    }
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn the_first_store_makes_store_and_key_and_says_so_on_standard_error() {
    let sandbox = Sandbox::new();
    let output = helper(&sandbox, "store", request("host", "zoe", "secret")).run();
    let output = output.succeeds();
    assert_eq!(output.out(), "");
    let places = [sandbox.store(), sandbox.identity()].map(|p| p.display().to_string());
    drop(output.says(places.iter().map(String::as_str)));
    assert_eq!(get(&sandbox, "host"), ("zoe".into(), "secret".into()));
    shape::assert_store(&sandbox.store(), ["docker/host"]);
}

#[test]
fn every_text_comes_back_byte_for_byte() {
    let sandbox = Sandbox::new().initialised();
    let long_url = format!("https://host/{}", "path/".repeat(820));
    let large = "0123456789abcdef".repeat(1 << 16);
    let cases = [
        ("host", "zoe", "secret"),
        (HUB, "<token>", "identity-token"),
        ("host:5000", "AWS", "a\nb\n"),
        ("host/", "domain/user", "trailing newline\n"),
        ("HOST", "new\nline", "nul \0 and tab \t"),
        ("http://host", "\0", ""),
        ("https://host", " spaces ", " both sides "),
        ("https://host/", "ünï☕", "\"\\/<>&\u{2028}\u{7f}\u{80}"),
        ("https://host:443/", "u", "\u{10ffff}"),
        ("https://host/v1/access-token", "very secret", "access"),
        (REFRESH, "canary in the user name\n", "refresh\0"),
        (&long_url, "long", "url"),
        ("large", "large", &large),
    ];
    for (url, username, secret) in cases {
        store(&sandbox, url, username, secret);
    }
    for (url, username, secret) in cases {
        assert!(
            get(&sandbox, url) == (username.into(), secret.into()),
            "{url}"
        );
        // As docker asks, with a newline behind.
        assert!(get(&sandbox, &format!(" {url}\n")).1 == secret, "{url}");
    }
    let expected: BTreeMap<String, String> = cases
        .iter()
        .map(|(url, username, _)| {
            let hidden = url.ends_with("-token");
            let shown = if hidden { "" } else { username };
            ((*url).to_owned(), shown.to_owned())
        })
        .collect();
    assert_eq!(list(&sandbox), expected);
    // Neither value nor the user name of a token entry is in the clear.
    let on_disk = Snapshot::of(&sandbox.store());
    for canary in [
        "identity-token",
        "canary in",
        "very secret",
        "0123456789abcdef",
    ] {
        assert!(!on_disk.contains(canary.as_bytes()), "{canary}");
    }
    assert!(on_disk.contains(b"domain/user"), "the control");
    for (url, ..) in cases {
        let output = helper(&sandbox, "erase", format!("{url}\n")).run();
        assert_eq!(output.succeeds_silently().out(), "");
        assert_eq!(helper(&sandbox, "get", url).run().out(), NOT_FOUND);
    }
    assert_eq!(list(&sandbox), BTreeMap::new());
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn what_go_escapes_is_what_was_meant() {
    let sandbox = Sandbox::new().initialised();
    let input = r#"{"ServerURL":"h","Username":"\u003ctoken\u003e","Secret":"\u0026\u0000\ud83d\ude00","More":[1]}
"#;
    helper(&sandbox, "store", input).run().succeeds_silently();
    assert_eq!(get(&sandbox, "h"), ("<token>".into(), "&\0😀".into()));
}

#[test]
fn the_last_login_wins_whoever_it_is() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "zoe's");
    store(&sandbox, "host", "bob", "bob's");
    assert_eq!(get(&sandbox, "host"), ("bob".into(), "bob's".into()));
    assert_eq!(
        list(&sandbox),
        BTreeMap::from([("host".into(), "bob".into())])
    );
}

#[test]
fn erasing_what_is_not_there_is_silent() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    for url in ["other", "http://host", "https://host", "host:443"] {
        let output = helper(&sandbox, "erase", url).run();
        assert_eq!(output.succeeds_silently().out(), "");
    }
    assert_eq!(get(&sandbox, "host").1, "secret");
}

#[test]
fn listing_and_erasing_take_no_key() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    store(&sandbox, REFRESH, "hidden", "secret");
    fs::remove_file(sandbox.identity()).unwrap();
    let expected = [("host", "zoe"), (REFRESH, "")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(list(&sandbox), BTreeMap::from(expected));
    helper(&sandbox, "erase", "host").run().succeeds_silently();
    assert_eq!(list(&sandbox).len(), 1);
}

#[test]
fn a_key_that_does_not_fit_is_said_to_and_never_not_found() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let get = || helper(&sandbox, "get", "host");
    let wrong = get().env("POSIXAGE_IDENTITY", &stranger).run();
    refuses(&wrong, "age-stranger.txt (not a recipient)");
    assert!(wrong.out().contains("docker/host") && wrong.out().contains("hint: "));
    let missing = get().env("POSIXAGE_IDENTITY", "/no/such/key").run();
    refuses(&missing, "/no/such/key");
    fs::remove_file(sandbox.identity()).unwrap();
    let none = get().run();
    refuses(&none, "no key fits secret docker/host");
    for place in [
        "POSIXAGE_IDENTITY",
        "$CREDENTIALS_DIRECTORY",
        sandbox.identity().to_str().unwrap(),
    ] {
        refuses(&none, place);
    }
    for output in [wrong, missing, none] {
        assert!(!output.out().contains("not found"), "{output:?}");
    }
    // What needs no credential is not kept from going on.
    for identity in [stranger.to_str().unwrap(), "/no/such/key"] {
        let other = helper(&sandbox, "get", "other").env("POSIXAGE_IDENTITY", identity);
        assert_eq!(other.run().out(), NOT_FOUND);
    }
}

#[test]
fn without_a_terminal_a_locked_key_is_an_error_at_once() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    store(&sandbox, "host", "zoe", "secret");
    let key = keys::locked(&sandbox, "age-locked");
    let password = Sandbox::new();
    password.run(["init", "--password"]).succeeds();
    let with = helper(&password, "store", request("host", "zoe", "secret"));
    with.env("POSIXAGE_PASSWORD", "canary").run().succeeds();

    let begin = Instant::now();
    let get = helper(&sandbox, "get", "host").env("POSIXAGE_IDENTITY", &key);
    refuses(&get.run(), "age-locked is locked, and there is no terminal");
    let places = "POSIXAGE_PASSWORD_FILE, POSIXAGE_PASSWORD";
    refuses(&helper(&password, "get", "host").run(), places);
    // It takes milliseconds; this is for a machine that is busy with something else.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn with_a_person_at_the_terminal_it_asks_there_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    store(&sandbox, "host", "zoe", "secret");
    let key = keys::locked(&sandbox, "age-locked");
    let get = helper(&sandbox, "get", "").env("POSIXAGE_IDENTITY", &key);
    // As docker runs it: the request and the answer in pipes.
    let get = get.in_shell("echo host | \"$@\" >answer 2>errors");
    let mut terminal = Terminal::start(get);
    terminal.answers("passphrase", &keys::passphrase());
    terminal.wait().exits(0);
    let answer = fs::read_to_string(sandbox.home().join("answer")).unwrap();
    assert_eq!(answer, request_in_order("host", "zoe", "secret"));
    assert_eq!(fs::read(sandbox.home().join("errors")).unwrap(), b"");
}

fn request_in_order(url: &str, username: &str, secret: &str) -> String {
    format!("{{\"ServerURL\":\"{url}\",\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}\n")
}

#[test]
fn twenty_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    let url = |n: usize| format!("127.0.0.1:{}", 5000 + n);
    let start = |n: usize| {
        let mut store = sandbox.helper(NAME).arg("store").start();
        store.write(request(&url(n), "zoe", &format!("secret {n}")).as_bytes());
        store
    };
    // The first ones, which make the store as well.
    let running: Vec<_> = (0..20).map(start).collect();
    for store in running {
        store.wait().succeeds();
    }
    let start = |n: usize| {
        let mut get = sandbox.helper(NAME).arg("get").start();
        get.write(url(n).as_bytes());
        (get, start(n))
    };
    let running: Vec<_> = (0..20).map(start).collect();
    for (n, (get, store)) in running.into_iter().enumerate() {
        let answer = get.wait().succeeds_silently().out();
        assert_eq!(
            answer,
            request_in_order(&url(n), "zoe", &format!("secret {n}"))
        );
        store.wait().succeeds_silently();
    }
    assert_eq!(list(&sandbox).len(), 20);
}

#[test]
fn a_store_locked_for_longer_than_the_deadline_is_an_error_that_names_the_holder() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    let holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let pid = holder.id().to_string();
    for (action, input) in [
        ("get", "host".to_owned()),
        ("list", String::new()),
        ("erase", "host".to_owned()),
        ("store", request("host", "bob", "new")),
    ] {
        let output = helper(&sandbox, action, input)
            .env("POSIXAGE_LOCK_TIMEOUT", "50ms")
            .run();
        refuses(&output, &pid);
        assert!(!output.out().contains("not found"), "{output:?}");
    }
    holder.wait().succeeds();
    assert_eq!(get(&sandbox, "host"), ("zoe".into(), "secret".into()));
}

#[test]
fn an_entry_written_by_hand_is_read_or_says_what_it_lacks() {
    let sandbox = Sandbox::new().initialised();
    let set = |args: &[&str], value: &[u8]| {
        let set = sandbox.posixage(["set", "--raw", "--force"]).args(args);
        set.input(value).run().succeeds();
    };
    set(&["docker/host", "--metadata", "Username=zoe"], b"by hand");
    assert_eq!(get(&sandbox, "host"), ("zoe".into(), "by hand".into()));
    set(&["docker/nobody"], b"x");
    refuses(
        &helper(&sandbox, "get", "nobody").run(),
        "docker/nobody has no Username",
    );
    set(&["docker/binary", "--metadata", "Username=zoe"], b"\xff");
    refuses(&helper(&sandbox, "get", "binary").run(), "not UTF-8");
    let json = ["--metadata", "Encoding=json"];
    set(
        &[&["docker/pair"][..], &json].concat(),
        br#"{"Username":"u","Secret":"s"}"#,
    );
    assert_eq!(get(&sandbox, "pair"), ("u".into(), "s".into()));
    set(&[&["docker/garbage"][..], &json].concat(), b"canary");
    let garbage = helper(&sandbox, "get", "garbage").run();
    refuses(&garbage, "docker/garbage is not the JSON object");
    assert!(!garbage.out().contains("canary"));
    set(&["docker/later", "--metadata", "Encoding=cbor"], b"x");
    refuses(&helper(&sandbox, "get", "later").run(), "does not know");
    // Other secrets are none of Docker's business.
    set(&["github/token", "--metadata", "Username=zoe"], b"x");
    let listed = list(&sandbox);
    assert_eq!(listed["host"], "zoe");
    assert!(!listed.contains_key("nobody") && !listed.keys().any(|k| k.contains("github")));
}

#[test]
fn metadata_of_another_server_is_not_believed() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    let metadata = sandbox.store().join("ZG9ja2VyL2hvc3Q=/metadata.json");
    let text = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, text.replace("\"host\"", "\"evil.example.com\"")).unwrap();
    assert_eq!(list(&sandbox).into_keys().collect::<Vec<_>>(), ["host"]);
    assert_eq!(
        helper(&sandbox, "get", "evil.example.com").run().out(),
        NOT_FOUND
    );
}

#[test]
fn one_damaged_entry_does_not_hide_the_others() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "secret");
    store(&sandbox, "other", "zoe", "secret");
    let metadata = sandbox.store().join("ZG9ja2VyL2hvc3Q=/metadata.json");
    fs::write(&metadata, "{").unwrap();
    let output = helper(&sandbox, "list", "").run().succeeds();
    assert_eq!(output.out(), "{\"other\":\"zoe\"}\n");
    drop(output.says(["docker/host", "damaged"]));
    refuses(&helper(&sandbox, "get", "host").run(), "damaged");
    assert_eq!(get(&sandbox, "other").1, "secret");
}

#[test]
fn a_named_store_that_is_not_there_is_an_error_that_says_how_to_make_it() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.home().join("nowhere");
    for (action, input) in [
        ("get", "host".to_owned()),
        ("list", String::new()),
        ("erase", "host".to_owned()),
        ("store", request("host", "zoe", "secret")),
    ] {
        let helper = helper(&sandbox, action, input).env("POSIXAGE_STORE", &nowhere);
        let output = helper.run();
        refuses(&output, "no store at");
        assert!(
            output.out().contains("hint: make one: posixage --store"),
            "{output:?}"
        );
    }
    assert!(!nowhere.exists());
}

#[test]
fn what_cannot_be_said_on_standard_output_is_said_on_standard_error() {
    let sandbox = Sandbox::new();
    let full = helper(&sandbox, "get", "host")
        .in_shell("\"$@\" >/dev/full")
        .run();
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(full.err(), NOT_FOUND);
}
