//! Claim: `cargo login`, what reads the token, and `cargo logout` work with
//! `cargo-credential-posixage`, and the token is nowhere in the clear.

use std::{fs, path::Path};

use posixage_tests::{
    Output, Program, Sandbox, Terminal, binary,
    cargo_registry::{CargoRegistry, cargo_home},
    golden, page,
    tree::Snapshot,
};

const TOKEN: &str = "canary-of-the-token";

const OURS: &str = "cargo-credential-posixage";

/// A home, and a registry that takes the token.
struct Home {
    sandbox: Sandbox,
    registry: CargoRegistry,
}

impl Home {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
            registry: CargoRegistry::start(&[TOKEN]),
        }
    }

    fn cargo(&self, args: &[&str]) -> Program {
        let cargo = self.registry.cargo(&self.sandbox, &[OURS]);
        cargo.args(args).args(["--registry", "test"])
    }

    fn login(&self, token: &str) -> Output {
        self.cargo(&["login"]).input(format!("{token}\n")).run()
    }

    /// The id of the entry.
    fn id(&self) -> String {
        // sparse+http://HOST:PORT/index/
        let index = self
            .registry
            .index()
            .replace('+', "_2b")
            .replace("//", "/_/");
        format!("cargo/{}/_", index.trim_end_matches('/'))
    }

    fn ids(&self) -> String {
        self.sandbox.run(["list"]).succeeds_silently().out()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert!(!Snapshot::of(&self.sandbox.home()).contains(TOKEN.as_bytes()));
    }
}

#[track_caller]
fn assert_silent(output: &Output) {
    assert!(
        !output.err().contains("canary") && !output.out().contains("canary"),
        "{output:?}"
    );
}

#[test]
fn login_commands_that_read_the_token_and_logout() {
    let home = Home::new();
    // Nothing stored: nothing sent, and cargo says what to do.
    let owners = ["owner", "--list", "demo"];
    let output = home.cargo(&owners).run();
    assert!(!output.status.success(), "{output:?}");
    output.says(["no token found"]);
    assert!(
        home.registry
            .seen()
            .iter()
            .all(|(_, token)| token.is_none())
    );
    assert!(!home.sandbox.store().exists());

    assert_silent(&home.login(TOKEN).succeeds());
    assert_eq!(home.ids(), format!("{}\n", home.id()));
    home.assert_clean();
    let metadata = home
        .sandbox
        .run(["get", "--metadata", &home.id()])
        .succeeds_silently()
        .out();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let expected = serde_json::json!({ "index_url": home.registry.index(), "name": "test" });
    assert_eq!(metadata, expected);
    assert_eq!(home.sandbox.get(&home.id()), TOKEN.as_bytes());

    for (args, asked) in [
        (&owners[..], "GET /api/v1/crates/demo/owners"),
        (&["search", "demo"], "GET /api/v1/crates"),
        (
            &["yank", "demo@1.0.0"],
            "DELETE /api/v1/crates/demo/1.0.0/yank",
        ),
        (&["info", "demo"], "GET /index/de/mo/demo"),
    ] {
        drop(home.registry.seen());
        let output = home.cargo(args).run();
        assert_silent(&output);
        let seen = home.registry.seen();
        let sent = (asked.to_owned(), Some(TOKEN.to_owned()));
        assert!(seen.contains(&sent), "{args:?}: {seen:?}: {output:?}");
        // `info` wants more than this registry has.
        assert!(output.status.success() || args[0] == "info", "{output:?}");
    }
    home.assert_clean();

    home.cargo(&["logout"]).run().succeeds();
    assert_eq!(home.ids(), "");
    assert!(!home.cargo(&owners).run().status.success());
    // Once more: there is nothing, and cargo says so as it does without us.
    let again = home.cargo(&["logout"]).run();
    let plain = home.registry.cargo(&home.sandbox, &["cargo:token"]);
    let plain = plain.args(["logout", "--registry", "test"]).run();
    assert_eq!(again.status, plain.status, "{again:?}");
}

#[test]
fn the_last_login_wins() {
    let home = Home::new();
    home.login("canary-of-an-old-token").succeeds();
    home.login(TOKEN).succeeds();
    home.cargo(&["search", "demo"]).run().succeeds();
    assert_eq!(home.sandbox.get(&home.id()), TOKEN.as_bytes());
}

#[test]
fn a_token_is_typed_unseen() {
    let home = Home::new();
    let mut terminal = Terminal::start(home.cargo(&["login"]));
    terminal.answers("token", TOKEN);
    let end = terminal.wait().exits(0);
    assert!(!end.screen.contains("canary"), "{end:?}");
    assert_eq!(home.sandbox.get(&home.id()), TOKEN.as_bytes());

    let mut terminal = Terminal::start(home.cargo(&["login"]));
    terminal.answers("token", "  ");
    let end = terminal.wait();
    assert!(
        !end.status.success() && end.screen.contains("empty"),
        "{end:?}"
    );
    assert_eq!(home.sandbox.get(&home.id()), TOKEN.as_bytes());
}

#[test]
fn cargo_asks_the_next_provider_only_without_a_token() {
    let home = Home::new();
    let credentials = format!("[registries.test]\ntoken = \"{TOKEN}\"\n");
    home.sandbox
        .file(cargo_home().join("credentials.toml"), credentials);
    // The later one comes first.
    let both = |args: &[&str]| {
        let cargo = home.registry.cargo(&home.sandbox, &["cargo:token", OURS]);
        cargo.args(args).args(["--registry", "test"])
    };
    both(&["search", "demo"]).run().succeeds();
    let login = both(&["login"]).input("canary-of-another\n").run();
    login.succeeds();
    let refused = both(&["search", "demo"]).run();
    assert!(!refused.status.success(), "{refused:?}");
    // One that cannot be read is no missing one.
    fs::remove_file(home.sandbox.identity()).unwrap();
    drop(home.registry.seen());
    let unreadable = both(&["search", "demo"]).run();
    assert!(!unreadable.status.success(), "{unreadable:?}");
    assert_silent(&unreadable);
    unreadable.says(["no key fits", &home.id(), "hint: "]);
    assert!(
        home.registry
            .seen()
            .iter()
            .all(|(_, token)| token.is_none())
    );
    // To log out takes no key.
    both(&["logout"]).run().succeeds();
    both(&["search", "demo"]).run().succeeds();
}

#[test]
fn what_is_wrong_is_shown_by_cargo_at_once() {
    let home = Home::new();
    home.login(TOKEN).succeeds();
    let search = || home.cargo(&["search", "demo"]);
    let fails = |cargo: Program, texts: &[&str]| {
        let output = cargo.run();
        assert_eq!(output.status.code(), Some(101), "{output:?}");
        assert_silent(&output);
        output.says(texts.iter().copied());
    };
    let stranger = golden::key(&home.sandbox, "age-stranger.txt");
    fails(
        search().env("POSIXAGE_IDENTITY", &stranger),
        &["no key fits", "age-stranger.txt"],
    );
    fails(
        search().env("POSIXAGE_STORE", "/nowhere"),
        &["no store at /nowhere", "hint: "],
    );
    let mut holder = home
        .sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let pid = holder.id().to_string();
    for args in [&["search", "demo"][..], &["login"], &["logout"]] {
        let cargo = home
            .cargo(args)
            .input("canary\n")
            .env("POSIXAGE_LOCK_TIMEOUT", "100ms");
        fails(cargo, &[&pid]);
    }
    holder.write(b"done");
    holder.wait().succeeds();
    search().run().succeeds();
}

/// The provider alone: the answer to one request.
fn answer(sandbox: &Sandbox, request: serde_json::Value) -> serde_json::Value {
    let mut request = request;
    request["v"] = 1.into();
    request["registry"] = serde_json::json!({ "index-url": "sparse+https://example.com/" });
    let provider = sandbox.helper(OURS).arg("--cargo-plugin");
    let output = provider.input(format!("{request}\n")).run().succeeds();
    let out = output.out();
    let (hello, answer) = out.split_once('\n').expect("two lines");
    assert_eq!(hello, r#"{"v":[1]}"#);
    serde_json::from_str(answer).expect("JSON")
}

#[test]
fn the_protocol_word_for_word() {
    let sandbox = Sandbox::new();
    let get = serde_json::json!({ "kind": "get", "operation": "read" });
    let not_found = serde_json::json!({ "Err": { "kind": "not-found" } });
    let logout = serde_json::json!({ "kind": "logout" });
    assert_eq!(answer(&sandbox, get.clone()), not_found);
    assert_eq!(answer(&sandbox, logout.clone()), not_found);
    assert!(!sandbox.store().exists());
    let login = |token: &str| serde_json::json!({ "kind": "login", "token": token });
    let logged_in = serde_json::json!({ "Ok": { "kind": "login" } });
    assert_eq!(answer(&sandbox, login("tökên")), logged_in);
    let publish = serde_json::json!({
        "kind": "get", "operation": "publish", "name": "demo", "vers": "1.0.0", "cksum": "0",
    });
    let got = serde_json::json!({ "Ok": {
        "kind": "get", "token": "tökên", "cache": "session", "operation_independent": true,
    } });
    for operation in [get.clone(), publish] {
        assert_eq!(answer(&sandbox, operation), got);
    }
    assert_eq!(answer(&sandbox, login(""))["Err"]["kind"], "other");
    // No terminal: an error, and no empty token.
    assert_eq!(
        answer(&sandbox, serde_json::json!({ "kind": "login" }))["Err"]["kind"],
        "other"
    );
    assert_eq!(answer(&sandbox, get.clone()), got);
    let unknown = serde_json::json!({ "Err": { "kind": "operation-not-supported" } });
    assert_eq!(
        answer(&sandbox, serde_json::json!({ "kind": "future" })),
        unknown
    );
    let logged_out = serde_json::json!({ "Ok": { "kind": "logout" } });
    assert_eq!(answer(&sandbox, logout), logged_out);
    assert_eq!(answer(&sandbox, get), not_found);
}

#[test]
fn the_page_does_what_it_says_word_for_word() {
    let home = Home::new();
    let cargo = Path::new(env!("CARGO")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let ours = binary::directory().display();
    let sh = |script: &str| {
        let sh = home.sandbox.program("sh").args(["-euc", script]);
        sh.env("PATH", format!("{ours}:{}:{path}", cargo.display()))
            // Not crates.io, which is unavailable here.
            .env("CARGO_REGISTRIES_TEST_INDEX", home.registry.index())
            .env("CARGO_REGISTRY_DEFAULT", "test")
            .env("CARGO_NET_RETRY", "0")
    };
    let [set_up, move_old, look] = page::blocks("cli/docs/cargo.md", "sh").try_into().unwrap();
    sh(&set_up).input(TOKEN).run().succeeds();
    let listed = sh(&look).run().succeeds_silently().out();
    assert!(
        listed.starts_with(&home.id()) && listed.contains(&home.registry.index()),
        "{listed}"
    );
    sh("cargo search demo").run().succeeds();
    sh("cargo logout").run().succeeds();
    assert_eq!(home.ids(), "");

    // That of crates.io is unavailable here, too.
    let crates_io = "cargo login --registry crates-io";
    assert!(move_old.contains(crates_io));
    let move_old = move_old.replace(crates_io, "cargo login");
    let write = |text: &str| {
        let old = cargo_home().join("credentials.toml");
        home.sandbox.file(old, text)
    };
    let crates_io = format!("[registry]\ntoken = \"{TOKEN}\"\n");
    let work = "[registries.work]\ntoken = \"another\"\n";
    // The token of another registry is not sent to this one.
    let old = write(work);
    let other = sh(&move_old).run();
    assert!(!other.status.success(), "{other:?}");
    assert_eq!(fs::read_to_string(&old).unwrap(), work);
    // What could not be kept stays where it is.
    let third = "\n[registries.home]\ntoken = \"third\"\n";
    let all = format!("{work}{crates_io}{third}");
    write(&all);
    let failed = sh(&move_old).env("POSIXAGE_STORE", "/nowhere").run();
    assert!(!failed.status.success(), "{failed:?}");
    assert_eq!(fs::read_to_string(&old).unwrap(), all);
    assert_eq!(home.ids(), "");
    sh(&move_old).run().succeeds();
    assert_eq!(
        fs::read_to_string(&old).unwrap(),
        format!("{work}[registry]\n{third}")
    );
    assert_eq!(home.sandbox.get(&home.id()), TOKEN.as_bytes());
    sh("cargo search demo").run().succeeds();
    home.assert_clean();
}

#[test]
fn help_and_usage() {
    let sandbox = Sandbox::new();
    let provider = |args: &[&str]| sandbox.helper(OURS).args(args).run();
    let help = provider(&["--help"]).succeeds_silently().out();
    assert!(
        help.starts_with("Usage: cargo-credential-posixage"),
        "{help}"
    );
    let version = provider(&["--version"]).succeeds_silently().out();
    assert!(
        version.starts_with("cargo-credential-posixage 0."),
        "{version}"
    );
    for args in [&[][..], &["get"]] {
        provider(args).fails(2).says(["cargo", "hint: "]);
    }
}

#[test]
fn a_token_is_kept_as_cargos_own_provider_keeps_it() {
    let sandbox = Sandbox::new();
    let login = |token: &str| serde_json::json!({ "kind": "login", "token": token });
    let get = serde_json::json!({ "kind": "get", "operation": "read" });
    for (given, kept) in [
        ("a\"b", "a\"b"),
        (r"a\b", r"a\b"),
        ("a\tb", "a\tb"),
        ("cargo login canary", "canary"),
        ("  canary\r\n", "canary"),
        (
            "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
            "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        ),
    ] {
        let stored = answer(&sandbox, login(given));
        assert_eq!(
            stored,
            serde_json::json!({ "Ok": { "kind": "login" } }),
            "{given}"
        );
        assert_eq!(
            answer(&sandbox, get.clone())["Ok"]["token"],
            kept,
            "{given}"
        );
    }
    let last = answer(&sandbox, get.clone());
    for bad in [
        "can\u{16}ary",
        "can\0ary",
        "can\nary",
        "can\u{7f}ary",
        " ",
        "cargo login",
    ] {
        let refused = answer(&sandbox, login(bad));
        assert_eq!(refused["Err"]["kind"], "other", "{bad:?}");
        assert!(!refused.to_string().contains("ary"), "{refused}");
        assert_eq!(answer(&sandbox, get.clone()), last);
    }
}

#[test]
fn an_escape_in_a_token_reaches_the_registry() {
    const ODD: &str = "canary \"of\\the\ttoken";
    let sandbox = Sandbox::new();
    let home = Home {
        sandbox,
        registry: CargoRegistry::start(&[ODD]),
    };
    let login = home.login(ODD);
    assert_silent(&login);
    login.succeeds();
    let owners = home.cargo(&["owner", "--list", "demo"]).run().succeeds();
    assert_silent(&owners);
    let stored = home.sandbox.get(&home.id());
    assert_eq!(String::from_utf8(stored).expect("UTF-8"), ODD);
}

#[test]
fn no_error_quotes_a_request() {
    let sandbox = Sandbox::new().initialised();
    let registry = r#""registry":{"index-url":"sparse+https://example.com/"}"#;
    for request in [
        "canary\n".to_owned(),
        "{\"canary\":\n".into(),
        format!("{{\"v\":1,{registry},\"kind\":\"login\",\"token\":[\"canary\"]}}\n"),
        format!("{{\"v\":1,{registry},\"kind\":\"login\",\"token\":\"canary\\u12\"}}\n"),
        format!("{{\"v\":1,{registry},\"kind\":[\"canary\"]}}\n"),
        format!("{{\"v\":\"canary\",{registry},\"kind\":\"login\"}}\n"),
        format!("{{\"v\":2,{registry},\"kind\":\"login\",\"token\":\"canary\"}}\n"),
        format!("{{\"v\":1,{registry},\"kind\":\"canary\"}}\n"),
        format!(
            "{{\"v\":1,{registry},\"kind\":\"login\",\"token\":\"canary{}\"}}\n",
            "x".repeat(2 << 20)
        ),
    ] {
        let provider = sandbox
            .helper(OURS)
            .arg("--cargo-plugin")
            .input(request.as_str());
        let output = provider.run().succeeds();
        assert_silent(&output);
        assert!(output.out().contains("\"Err\""), "{output:?}");
    }
    assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "");
}

#[test]
fn a_user_name_in_the_url_of_an_index_is_not_in_the_clear() {
    let sandbox = Sandbox::new().initialised();
    let registry = serde_json::json!({ "index-url": "https://canary:x@example.com/index" });
    let ask = |mut request: serde_json::Value| {
        request["v"] = 1.into();
        request["registry"] = registry.clone();
        let provider = sandbox.helper(OURS).arg("--cargo-plugin");
        provider
            .input(format!("{request}\n"))
            .run()
            .succeeds()
            .out()
    };
    ask(serde_json::json!({ "kind": "login", "token": "secret" }));
    assert!(ask(serde_json::json!({ "kind": "get", "operation": "read" })).contains("\"secret\""));
    let listed = sandbox.run(["list", "--long"]).succeeds_silently().out();
    assert!(
        listed.starts_with("cargo/https:/_/example.com/index "),
        "{listed}"
    );
    assert!(!listed.contains("canary"), "{listed}");
}
