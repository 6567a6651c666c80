//! `docker-credential-posixage`: the protocol, line by line.

use std::{collections::BTreeMap, fs};

use posixage_tests::{
    Sandbox,
    docker_helper::{
        HELPER, NOT_FOUND, answer_line, answers, get, helper, list, pair, refuses, request, store,
    },
    shape,
    tree::Snapshot,
};

const HUB: &str = "https://index.docker.io/v1/";
const REFRESH: &str = "https://index.docker.io/v1/refresh-token";

#[test]
fn what_needs_no_store_is_answered_without_one() {
    let sandbox = Sandbox::new();
    let usage = format!("Usage: {HELPER} <store|get|erase|list|version>\n");
    let version = |out: &str| {
        let number = out
            .strip_prefix(&format!("{HELPER} (posixage-cli) "))
            .unwrap();
        assert_eq!(number.split('.').count(), 3, "{out}");
    };
    for args in [&[][..], &["get", "x"], &["store", ""], &["a", "b", "c"]] {
        let output = sandbox.helper(HELPER).args(args).run();
        assert_eq!(
            (output.status.code(), output.out()),
            (Some(1), usage.clone())
        );
        assert_eq!(output.err(), "");
    }
    for arg in ["--help", "-h"] {
        let output = sandbox.helper(HELPER).arg(arg).run();
        assert_eq!(output.succeeds_silently().out(), usage);
    }
    for arg in ["version", "--version", "-v"] {
        let output = sandbox.helper(HELPER).arg(arg).run();
        version(&output.succeeds_silently().out());
    }
    for verb in ["", "GET", "gett", "--store", "unlock"] {
        let output = sandbox.helper(HELPER).arg(verb).run();
        answers(&output, &format!("{HELPER}: unknown action: {verb}\n"));
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
fn the_first_store_makes_store_and_key_and_says_so() {
    let sandbox = Sandbox::new();
    let output = helper(&sandbox, "store", request("host", "zoe", "secret")).run();
    let output = output.succeeds();
    assert_eq!(output.out(), "");
    let places = [sandbox.store(), sandbox.identity()].map(|p| p.display().to_string());
    drop(output.says(places.iter().map(String::as_str)));
    assert_eq!(get(&sandbox, "host"), pair("zoe", "secret"));
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
        assert!(get(&sandbox, url) == pair(username, secret), "{url}");
        // As docker asks, with a newline behind.
        assert!(
            get(&sandbox, &format!(" {url}\n")) == pair(username, secret),
            "{url}"
        );
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
    assert_eq!(get(&sandbox, "h"), pair("<token>", "&\0😀"));
}

#[test]
fn the_last_login_wins() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "host", "zoe", "zoe's");
    store(&sandbox, "host", "bob", "bob's");
    assert_eq!(get(&sandbox, "host"), pair("bob", "bob's"));
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
    assert_eq!(get(&sandbox, "host"), pair("zoe", "secret"));
}

#[test]
fn twenty_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    let url = |n: usize| format!("127.0.0.1:{}", 5000 + n);
    let start = |n: usize| {
        let mut store = sandbox.helper(HELPER).arg("store").start();
        store.write(request(&url(n), "zoe", &format!("secret {n}")).as_bytes());
        store
    };
    // The first ones, which make the store as well.
    let running: Vec<_> = (0..20).map(start).collect();
    for store in running {
        store.wait().succeeds();
    }
    let start = |n: usize| {
        let mut get = sandbox.helper(HELPER).arg("get").start();
        get.write(url(n).as_bytes());
        (get, start(n))
    };
    let running: Vec<_> = (0..20).map(start).collect();
    for (n, (get, store)) in running.into_iter().enumerate() {
        let answer = get.wait().succeeds_silently().out();
        assert_eq!(answer, answer_line(&url(n), "zoe", &format!("secret {n}")));
        store.wait().succeeds_silently();
    }
    assert_eq!(list(&sandbox).len(), 20);
}

#[test]
fn an_entry_written_by_hand_is_read_or_says_what_it_lacks() {
    let sandbox = Sandbox::new().initialised();
    let set = |args: &[&str], value: &[u8]| {
        let set = sandbox.posixage(["set", "--raw", "--force"]).args(args);
        set.input(value).run().succeeds();
    };
    set(&["docker/host", "--metadata", "Username=zoe"], b"by hand");
    assert_eq!(get(&sandbox, "host"), pair("zoe", "by hand"));
    set(&["docker/nameless"], b"x");
    refuses(
        &helper(&sandbox, "get", "nameless").run(),
        "docker/nameless has no Username",
    );
    set(&["docker/binary", "--metadata", "Username=zoe"], b"\xff");
    refuses(&helper(&sandbox, "get", "binary").run(), "not UTF-8");
    let json = ["--metadata", "Encoding=json"];
    set(
        &[&["docker/pair"][..], &json].concat(),
        br#"{"Username":"u","Secret":"s"}"#,
    );
    assert_eq!(get(&sandbox, "pair"), pair("u", "s"));
    set(&[&["docker/garbage"][..], &json].concat(), b"canary");
    let garbage = helper(&sandbox, "get", "garbage").run();
    refuses(&garbage, "docker/garbage is not the JSON object");
    assert!(!garbage.out().contains("canary"));
    set(&["docker/later", "--metadata", "Encoding=cbor"], b"x");
    refuses(&helper(&sandbox, "get", "later").run(), "does not know");
    // Other secrets are none of Docker's business.
    set(&["github/token", "--metadata", "Username=zoe"], b"x");
    // One that cannot be had is left out: docker would give up the others, too.
    let listed = helper(&sandbox, "list", "unused").run().succeeds();
    assert_eq!(listed.out(), "{\"host\":\"zoe\",\"pair\":\"\"}\n");
    drop(listed.says([
        "docker/nameless has no Username",
        "docker/binary has a value that is not UTF-8",
        "docker/garbage is not the JSON object",
        "docker/later has no Username",
    ]));
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
fn the_hub_has_one_entry_for_all_its_names() {
    let sandbox = Sandbox::new().initialised();
    let names = [
        HUB,
        "docker.io",
        "index.docker.io",
        "https://registry-1.docker.io/v2/",
    ];
    for stored in names {
        store(&sandbox, stored, "zoe", stored);
        for asked in names {
            assert_eq!(get(&sandbox, asked), pair("zoe", stored), "{asked}");
        }
        let listed: Vec<_> = list(&sandbox).into_keys().collect();
        assert_eq!(listed, [HUB]);
    }
    for erased in names {
        store(&sandbox, HUB, "zoe", "secret");
        helper(&sandbox, "erase", erased).run().succeeds_silently();
        for asked in names {
            assert_eq!(get(&sandbox, asked), None, "{asked} after {erased}");
        }
    }
    // An earlier version had an entry for each.
    let set = |id: &str| {
        let args = ["set", "--force", id, "--metadata", "Username=zoe"];
        sandbox.posixage(args).input("earlier").run().succeeds();
    };
    set("docker/docker.io");
    assert_eq!(get(&sandbox, HUB), pair("zoe", "earlier"));
    store(&sandbox, HUB, "zoe", "new");
    assert_eq!(get(&sandbox, "docker.io"), pair("zoe", "new"));
    set("docker/docker.io");
    helper(&sandbox, "erase", HUB).run().succeeds_silently();
    shape::assert_store(&sandbox.store(), []);
    // Its other URLs are entries of their own.
    store(&sandbox, REFRESH, "zoe", "token");
    assert_eq!(get(&sandbox, HUB), None);
}

#[test]
fn a_user_name_that_may_be_a_token_is_not_in_the_clear() {
    let sandbox = Sandbox::new().initialised();
    for (host, username, secret) in [
        ("digitalocean", "dop_v1_canary", "dop_v1_canary"),
        ("same", "canary", "canary"),
        ("oauth", "canary-of-mine", "x-oauth-basic"),
        ("none", "canary", ""),
        ("prefix", "ghp_canary0123", "something else"),
        ("random", "k7Qp2mXv9ZtR4bNs-canary", "something else"),
        ("https://canary:x@url/", "zoe", "secret"),
    ] {
        let output = helper(&sandbox, "store", request(host, username, secret)).run();
        output.succeeds_silently();
        assert_eq!(get(&sandbox, host), pair(username, secret), "{host}");
    }
    let listed = sandbox.run(["--verbose", "list", "--long"]);
    let listed = listed.out() + &format!("{:?}", list(&sandbox));
    assert!(!listed.contains("canary"), "{listed}");
    assert!(!Snapshot::of(&sandbox.store()).contains(b"canary"));
    helper(&sandbox, "erase", "https://canary:x@url/")
        .run()
        .succeeds_silently();
    assert_eq!(list(&sandbox).len(), 6);
}
