//! `posixage docker`

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use posixage_tests::{
    Output, Program, Sandbox, binary, golden, shape, strace, tools, tree::Snapshot,
};
use serde_json::{Value, json};

const HELPER: &str = "docker-credential-posixage";

/// As docker 28 writes it, with what it does not know of in between.
/// The passwords: zoe:canary-1, bob:canary-2:with:colons, AWS:canary-3, and the token canary-4.
const CONFIG: &str = r#"{
	"auths": {
		"127.0.0.1:5000": {
			"auth": "em9lOmNhbmFyeS0x"
		},
		"elsewhere.example.com": {},
		"https://index.docker.io/v1/": {
			"auth": "Ym9iOmNhbmFyeS0yOndpdGg6Y29sb25z",
			"email": "bob@example.com"
		},
		"ecr.example.com": {
			"username": "AWS",
			"password": "canary-3"
		},
		"azure.example.com": {
			"auth": "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==",
			"identitytoken": "canary-4"
		},
		"gcr.example.com": {
			"auth": "b3duOmNhbmFyeS1vd24="
		}
	},
	"HttpHeaders": {
		"X-Meta": "<&> \u003ckept\u003e"
	},
	"zz-unknown": [1.50e3, null, {"a":1}],
	"credHelpers": {
		"gcr.example.com": "gcloud"
	},
	"detachKeys": "ctrl-e,e"
}"#;

const SECRETS: [&str; 6] = [
    "canary-1",
    "canary-2",
    "canary-3",
    "canary-4",
    "em9lOmNhbmFyeS0x",
    "Ym9iOmNhbmFyeS0y",
];

fn docker(sandbox: &Sandbox, args: &[&str]) -> Program {
    sandbox.client(binary::posixage()).arg("docker").args(args)
}

fn with_config(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("home/.docker/config.json", text);
    sandbox
}

#[track_caller]
fn setup(sandbox: &Sandbox) -> Output {
    docker(sandbox, &["setup"]).run().succeeds()
}

#[track_caller]
fn undo(sandbox: &Sandbox) -> Output {
    docker(sandbox, &["setup", "--undo"])
        .run()
        .succeeds_silently()
}

/// What the helper answers docker.
#[track_caller]
fn get(sandbox: &Sandbox, url: &str) -> Option<(String, String)> {
    let output = sandbox.helper(HELPER).arg("get").input(url).run();
    if output.out() == "credentials not found in native keychain\n" {
        return None;
    }
    let answer: Value = serde_json::from_slice(&output.succeeds_silently().stdout).expect("JSON");
    let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
    Some((text("Username"), text("Secret")))
}

fn store(sandbox: &Sandbox, url: &str, username: &str, secret: &str) {
    let request = json!({"ServerURL": url, "Username": username, "Secret": secret});
    let store = sandbox.helper(HELPER).arg("store");
    store.input(request.to_string()).run().succeeds();
}

fn pair(username: &str, secret: &str) -> Option<(String, String)> {
    Some((username.into(), secret.into()))
}

/// Nothing of the credentials that were moved is in the clear anywhere in the home.
#[track_caller]
fn assert_encrypted(sandbox: &Sandbox) {
    let home = Snapshot::of(&sandbox.home());
    for secret in SECRETS {
        assert!(
            !home.contains(secret.as_bytes()),
            "{secret} is in the clear"
        );
    }
}

#[test]
fn passwords_and_tokens_go_into_the_store_and_everything_else_stays_as_it_is() {
    let sandbox = with_config(CONFIG);
    fs::set_permissions(sandbox.docker_config(), fs::Permissions::from_mode(0o644)).unwrap();
    let home = Snapshot::of(&sandbox.home());
    assert!(home.contains(SECRETS[2].as_bytes()) && home.contains(SECRETS[4].as_bytes()));
    let output = setup(&sandbox).says(["made a store at", "made its key at"]);
    let out = output.out();
    for line in [
        "127.0.0.1:5000 (zoe)",
        "https://index.docker.io/v1/ (bob)",
        "ecr.example.com (AWS)",
        "azure.example.com (<token>)",
        "gcr.example.com: has a helper of its own, gcloud",
        "credsStore  posixage",
    ] {
        assert!(out.contains(line), "{line} in {output:?}");
    }
    let expected = CONFIG
        .replace("{\n\t\t\t\"auth\": \"em9lOmNhbmFyeS0x\"\n\t\t}", "{}")
        .replace("\n\t\t\t\"auth\": \"Ym9iOmNhbmFyeS0yOndpdGg6Y29sb25z\",", "")
        .replace("{\n\t\t\t\"username\": \"AWS\",\n\t\t\t\"password\": \"canary-3\"\n\t\t}", "{}")
        .replace(
            "{\n\t\t\t\"auth\": \"MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==\",\n\t\t\t\"identitytoken\": \"canary-4\"\n\t\t}",
            "{}",
        )
        .replace("ctrl-e,e\"\n}", "ctrl-e,e\",\n\t\"credsStore\": \"posixage\"\n}");
    assert_eq!(sandbox.docker_config_text(), expected);
    assert_eq!(sandbox.mode(&sandbox.docker_config()), 0o600);
    assert_encrypted(&sandbox);
    for (url, expected) in [
        ("127.0.0.1:5000", pair("zoe", "canary-1")),
        (
            "https://index.docker.io/v1/",
            pair("bob", "canary-2:with:colons"),
        ),
        ("ecr.example.com", pair("AWS", "canary-3")),
        ("azure.example.com", pair("<token>", "canary-4")),
        ("gcr.example.com", None),
        ("elsewhere.example.com", None),
    ] {
        assert_eq!(get(&sandbox, url), expected, "{url}");
    }
    // Nothing but the config lies there.
    assert_eq!(
        fs::read_dir(sandbox.home().join(".docker"))
            .unwrap()
            .count(),
        1
    );

    // Once more: there is nothing to do.
    let before = Snapshot::of(&sandbox.home());
    let again = setup(&sandbox);
    assert!(!again.out().contains("moved"), "{again:?}");
    assert_eq!(again.err(), "");
    assert_eq!(sandbox.docker_config_text(), expected);
    assert_eq!(
        before.paths().collect::<Vec<_>>(),
        Snapshot::of(&sandbox.home()).paths().collect::<Vec<_>>()
    );

    // And back, byte for byte.
    let out = undo(&sandbox).out();
    assert_eq!(out.matches("restored").count(), 4, "{out}");
    assert_eq!(sandbox.docker_config_text(), CONFIG);
    assert_eq!(sandbox.mode(&sandbox.docker_config()), 0o600);
    shape::assert_store(&sandbox.store(), []);
    docker(&sandbox, &["setup", "--undo"])
        .run()
        .fails(3)
        .says(["no setup of"]);
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let sandbox = with_config(CONFIG);
    let before = Snapshot::of(&sandbox.home());
    let dry = docker(&sandbox, &["setup", "--dry-run"])
        .run()
        .succeeds_silently();
    assert_eq!(Snapshot::of(&sandbox.home()), before);
    let out = dry.out();
    assert!(out.contains("would move  127.0.0.1:5000 (zoe)"), "{out}");
    assert!(out.contains("would set   credsStore posixage"), "{out}");
    assert_eq!(setup(&sandbox).out().lines().count(), out.lines().count());

    let before = Snapshot::of(&sandbox.home());
    let args = ["setup", "--undo", "--dry-run"];
    let dry = docker(&sandbox, &args).run().succeeds_silently();
    assert_eq!(Snapshot::of(&sandbox.home()), before);
    assert_eq!(dry.out().matches("would restore").count(), 4, "{dry:?}");
}

#[test]
fn a_config_that_is_missing_or_empty_or_of_another_shape_comes_back_as_it_was() {
    let sandbox = Sandbox::new();
    setup(&sandbox);
    assert_eq!(
        sandbox.docker_config_text(),
        "{\n\t\"credsStore\": \"posixage\"\n}"
    );
    assert_eq!(sandbox.mode(&sandbox.docker_config()), 0o600);
    assert_eq!(sandbox.mode(&sandbox.home().join(".docker")), 0o700);
    undo(&sandbox);
    assert!(!sandbox.docker_config().exists());

    for text in [
        "",
        "{}",
        "{\"auths\":{}}",
        "{\"auths\":null,\"x\":1}\n",
        "{\"credsStore\":\"pass\"}",
        "{\n  \"credsStore\" : \"pass\",\n  \"auths\" : { \"h\" : {\"auth\":\"em9lOmNhbmFyeS0x\"} }\n}\n",
        "{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"}},\"credsStore\":\"\"}",
    ] {
        let sandbox = with_config(text);
        let output = setup(&sandbox);
        let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
        assert_eq!(config["credsStore"], "posixage", "{text:?}");
        assert_encrypted(&sandbox);
        if text.contains("pass") {
            assert!(output.err().contains("pass stays there"), "{output:?}");
        }
        if text.contains("auth\"") {
            assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
        }
        undo(&sandbox);
        assert_eq!(sandbox.docker_config_text(), text);
    }
}

#[test]
fn an_invalid_config_is_an_error_and_untouched() {
    for text in [
        "{",
        "[]",
        "null",
        "canary",
        "{\"auths\": {\"h\": {\"auth\": \"em9lOmNhbmFyeS0x\"}}",
        "{\"auths\": []}",
        "{\"credHelpers\": 1}",
        "{\"credHelpers\": {\"h\": 1}}",
        "{\"credsStore\": {}}",
        "{\"auths\": {}, \"auths\": {}}",
        "{\"auths\":{}} x",
        "\u{feff}{}",
        "\0",
    ] {
        let sandbox = with_config(text);
        let before = Snapshot::of(&sandbox.home());
        for args in [&["setup"][..], &["setup", "--dry-run"], &["status"]] {
            let output = docker(&sandbox, args).run().fails(7).says(["config.json"]);
            assert!(!output.err().contains("canary"), "{output:?}");
        }
        assert_eq!(Snapshot::of(&sandbox.home()), before, "{text:?}");
    }
    let sandbox = with_config("{}");
    fs::write(sandbox.docker_config(), b"{\"a\":\"\xff\"}").unwrap();
    docker(&sandbox, &["setup"]).run().fails(1).says(["UTF-8"]);
    fs::remove_file(sandbox.docker_config()).unwrap();
    sandbox.directory("home/.docker/config.json");
    docker(&sandbox, &["setup"])
        .run()
        .fails(1)
        .says(["not a regular file"]);
    assert!(!sandbox.store().exists());
}

#[test]
fn a_link_stays_a_link_and_its_target_is_changed() {
    let sandbox = Sandbox::new();
    let target = sandbox.file("home/dotfiles/docker.json", CONFIG);
    sandbox.directory("home/.docker");
    symlink("../dotfiles/link.json", sandbox.docker_config()).unwrap();
    symlink("docker.json", sandbox.home().join("dotfiles/link.json")).unwrap();
    setup(&sandbox);
    assert_encrypted(&sandbox);
    assert!(
        fs::symlink_metadata(sandbox.docker_config())
            .unwrap()
            .is_symlink()
    );
    assert!(fs::symlink_metadata(&target).unwrap().is_file());
    assert!(fs::read_to_string(&target).unwrap().contains("credsStore"));
    undo(&sandbox);
    assert_eq!(fs::read_to_string(&target).unwrap(), CONFIG);
    // One that leads nowhere: docker makes the file there, too.
    fs::remove_file(&target).unwrap();
    setup(&sandbox);
    assert!(fs::read_to_string(&target).unwrap().contains("credsStore"));
    undo(&sandbox);
    assert!(!target.exists());
    assert!(
        fs::symlink_metadata(sandbox.docker_config())
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn a_config_that_may_not_be_written_is_an_error_before_anything_is_done() {
    let sandbox = with_config(CONFIG);
    let config = sandbox.docker_config();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o400)).unwrap();
    let before = Snapshot::of(&sandbox.home());
    let output = docker(&sandbox, &["setup"])
        .run()
        .fails(1)
        .says(["read-only"]);
    assert!(output.hint().starts_with("chmod u+w "), "{output:?}");
    assert_eq!(Snapshot::of(&sandbox.home()), before);

    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let script = "mount --bind \"$HOME/.docker\" \"$HOME/.docker\"; \
        mount -o remount,ro,bind \"$HOME/.docker\"; \"$@\"";
    if !tools::may_mount() {
        tools::left_out("a read-only file system, which takes root to mount");
        return;
    }
    let unshare = tools::need("unshare", "util-linux");
    let read_only = docker(&sandbox, &["setup"])
        .in_shell(script)
        .behind([unshare.as_os_str(), "-m".as_ref()]);
    read_only.run().fails(1).says(["config.json", "read-only"]);
    let after = Snapshot::of(&sandbox.home());
    assert_eq!(after.paths().count(), before.paths().count());
    assert_eq!(sandbox.docker_config_text(), CONFIG);
}

#[test]
fn docker_config_names_the_directory() {
    let sandbox = Sandbox::new();
    let config = sandbox.file("elsewhere/config.json", CONFIG);
    let run = |args: &[&str]| {
        docker(&sandbox, args)
            .env("DOCKER_CONFIG", config.parent().unwrap())
            .run()
            .succeeds()
    };
    run(&["setup"]);
    assert!(
        fs::read_to_string(&config)
            .unwrap()
            .contains("\"credsStore\": \"posixage\"")
    );
    assert!(!sandbox.docker_config().exists());
    // Each file has a record of its own.
    docker(&sandbox, &["setup", "--undo"]).run().fails(3);
    run(&["setup", "--undo"]);
    assert_eq!(fs::read_to_string(&config).unwrap(), CONFIG);
}

#[test]
fn without_the_helper_in_path_nothing_is_done_and_the_hint_says_where_it_is() {
    let sandbox = with_config(CONFIG);
    let before = Snapshot::of(&sandbox.home());
    let setup = sandbox
        .posixage(["docker", "setup"])
        .env("PATH", "/usr/bin:/bin");
    let output = setup.run().fails(1).says([HELPER, "not in PATH"]);
    let hint = output.hint();
    let helper = binary::directory().join(HELPER);
    assert!(hint.contains(helper.to_str().unwrap()), "{hint}");
    assert_eq!(Snapshot::of(&sandbox.home()), before);
}

/// A `docker-credential-posixage` of somebody's own, first in `PATH`.
fn wrapper(sandbox: &Sandbox, script: &str) -> PathBuf {
    let path = sandbox.file(
        format!("wrapper/{HELPER}"),
        format!("#!/bin/sh\n{script}\n"),
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.parent().unwrap().to_path_buf()
}

fn with_wrapper(program: Program, directory: &Path) -> Program {
    program.env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
}

#[test]
fn a_helper_that_does_not_do_its_work_is_found_out_before_anything_is_moved() {
    for (script, said) in [
        ("exit 1", "store:"),
        ("echo broken; exit 1", "broken"),
        ("cat >/dev/null", "another store"),
        (
            "POSIXAGE_STORE=$HOME/other exec \"$REAL\" \"$@\"",
            "another store",
        ),
        (
            "[ $1 = get ] && { echo '{}'; exit; }; exec \"$REAL\" \"$@\"",
            "did not give back",
        ),
        ("[ $1 = get ] && exit 1; exec \"$REAL\" \"$@\"", "get:"),
        (
            "[ $1 = erase ] && exit 0; exec \"$REAL\" \"$@\"",
            "still there",
        ),
    ] {
        let sandbox = with_config(CONFIG).initialised();
        sandbox.run(["init", "--store", "other"]).succeeds();
        let directory = wrapper(&sandbox, script);
        let setup = sandbox.posixage(["docker", "setup"]);
        let setup = with_wrapper(setup, &directory).env("REAL", binary::directory().join(HELPER));
        setup.run().fails(1).says([said]);
        assert_eq!(sandbox.docker_config_text(), CONFIG, "{script}");
        assert!(get(&sandbox, "127.0.0.1:5000").is_none(), "{script}");
    }
    // A wrapper that works is as good as the helper itself.
    let sandbox = with_config(CONFIG);
    let directory = wrapper(&sandbox, "exec \"$REAL\" \"$@\"");
    let setup = sandbox.posixage(["docker", "setup"]);
    let setup = with_wrapper(setup, &directory).env("REAL", binary::directory().join(HELPER));
    let output = setup.run().succeeds();
    assert!(
        output.out().contains(directory.to_str().unwrap()),
        "{output:?}"
    );
    assert_encrypted(&sandbox);
}

#[test]
fn options_that_the_helper_will_not_get_are_found_out() {
    let sandbox = with_config(CONFIG);
    sandbox.run(["init", "--store", "other"]).succeeds();
    let output = docker(&sandbox, &["setup", "--store", "other"])
        .run()
        .fails(1);
    assert!(output.hint().contains("POSIXAGE_STORE"), "{output:?}");
    assert_eq!(sandbox.docker_config_text(), CONFIG);
    let named = docker(&sandbox, &["setup"]).env("POSIXAGE_STORE", "other");
    named.run().succeeds_silently();
    assert_encrypted(&sandbox);
}

#[test]
fn undo_puts_back_what_is_in_the_store_now_and_leaves_what_came_since() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    // As docker does it: bob logs in over zoe, the Hub is logged out, a new registry is logged in.
    store(&sandbox, "127.0.0.1:5000", "bob", "newer");
    let hub = "https://index.docker.io/v1/";
    sandbox
        .helper(HELPER)
        .arg("erase")
        .input(hub)
        .run()
        .succeeds();
    store(&sandbox, "new.example.com", "zoe", "since");
    let mut config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
    config["auths"].as_object_mut().unwrap().remove(hub);
    config["auths"]["new.example.com"] = json!({});
    config["psFormat"] = json!("set since");
    fs::write(sandbox.docker_config(), config.to_string()).unwrap();

    let out = undo(&sandbox).out();
    assert!(out.contains(&format!("left        {hub}")), "{out}");
    let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
    // bob:newer
    assert_eq!(
        config["auths"]["127.0.0.1:5000"],
        json!({"auth": "Ym9iOm5ld2Vy"})
    );
    assert_eq!(
        config["auths"]["azure.example.com"]["identitytoken"],
        "canary-4"
    );
    assert_eq!(config["auths"][hub], Value::Null);
    assert_eq!(config["auths"]["new.example.com"], json!({}));
    assert_eq!(config["psFormat"], "set since");
    assert_eq!(config.get("credsStore"), None);
    assert_eq!(get(&sandbox, "new.example.com"), pair("zoe", "since"));
    shape::assert_store(&sandbox.store(), ["docker/new.example.com"]);
}

#[test]
fn undo_leaves_alone_what_somebody_has_set_since() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let other = sandbox
        .docker_config_text()
        .replace("\"credsStore\": \"posixage\"", "\"credsStore\": \"pass\"");
    fs::write(sandbox.docker_config(), &other).unwrap();
    assert!(undo(&sandbox).out().contains("credsStore  pass\n"));
    let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
    assert_eq!(config["credsStore"], "pass");
    assert_eq!(config["auths"]["ecr.example.com"]["password"], "canary-3");
}

#[test]
fn undo_without_the_key_changes_nothing() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let before = Snapshot::of(&sandbox.home());
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let undo = docker(&sandbox, &["setup", "--undo"]).env("POSIXAGE_IDENTITY", stranger);
    undo.run().fails(5);
    assert_eq!(Snapshot::of(&sandbox.home()), before);
}

#[test]
fn of_two_that_differ_the_one_counts_that_docker_uses() {
    // Docker reads the file so far.
    let config = "{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"}}}";
    let sandbox = with_config(config);
    store(&sandbox, "h", "zoe", "older");
    setup(&sandbox);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    // Docker asks the helper already; what is in the file is a leftover, and nobody knows of what.
    let config = "{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"}},\"credsStore\":\"posixage\"}";
    let sandbox = with_config(config);
    store(&sandbox, "h", "zoe", "in use");
    let output = setup(&sandbox);
    assert!(
        output.out().contains("stays       h: differs"),
        "{output:?}"
    );
    assert_eq!(get(&sandbox, "h"), pair("zoe", "in use"));
    assert_eq!(sandbox.docker_config_text(), config);
    // The same in both: it leaves the file, and undo leaves it in the store.
    store(&sandbox, "h", "zoe", "canary-1");
    setup(&sandbox);
    assert_encrypted(&sandbox);
    undo(&sandbox);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
}

#[test]
fn what_a_helper_cannot_keep_stays_and_is_named() {
    let config = r#"{"auths":{"both":{"auth":"em9lOmNhbmFyeS0x","registrytoken":"r"},"r":{"registrytoken":"r"},"b":{"auth":"!"}}}"#;
    let sandbox = with_config(config);
    let out = setup(&sandbox).out();
    assert!(out.contains("moved       both (zoe)"), "{out}");
    assert!(
        out.contains("stays       both: has a registry token"),
        "{out}"
    );
    assert!(out.contains("stays       r: has a registry token"), "{out}");
    assert!(
        out.contains("stays       b: has an auth that is not base64"),
        "{out}"
    );
    let text = sandbox.docker_config_text();
    assert!(
        text.contains(r#""both":{"registrytoken":"r"},"r":{"registrytoken":"r"},"b":{"auth":"!"}"#)
    );
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), config);
}

#[test]
fn the_urls_of_old_files_are_kept_under_what_docker_asks_for() {
    let auth = "{\"auth\":\"em9lOmNhbmFyeS0x\"}";
    let config = format!(
        "{{\"auths\":{{\"https://old:5000/v1/\":{auth},\"http://both/v2/\":{auth},\"both\":{auth},\
         \"https://twice/\":{auth},\"http://twice/\":{auth},\"host/path\":{auth}}}}}"
    );
    let sandbox = with_config(&config);
    setup(&sandbox);
    for url in [
        "old:5000",
        "both",
        "http://both/v2/",
        "twice",
        "http://twice/",
        "host/path",
    ] {
        assert_eq!(get(&sandbox, url), pair("zoe", "canary-1"), "{url}");
    }
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), config);
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn two_at_once_move_everything_once() {
    let sandbox = with_config(CONFIG);
    let running: Vec<_> = (0..4)
        .map(|_| docker(&sandbox, &["setup"]).start())
        .collect();
    for setup in running {
        setup.wait().succeeds();
    }
    assert_encrypted(&sandbox);
    assert_eq!(
        get(&sandbox, "azure.example.com"),
        pair("<token>", "canary-4")
    );
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), CONFIG);
}

#[test]
fn a_login_in_plaintext_while_it_works_is_not_lost() {
    let sandbox = with_config("{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"}}}");
    // Docker writes while the helper is being tried, after the file was read.
    let script = "[ $1 = get ] && [ ! -e \"$HOME/done\" ] && touch \"$HOME/done\" && \
        sed -i 's/{\"h\"/{\"new\":{\"auth\":\"Ym9iOmNhbmFyeS0yOndpdGg6Y29sb25z\"},\"h\"/' \"$HOME/.docker/config.json\"
        exec \"$REAL\" \"$@\"";
    let directory = wrapper(&sandbox, script);
    let setup = with_wrapper(sandbox.posixage(["docker", "setup"]), &directory);
    let setup = setup.env("REAL", binary::directory().join(HELPER));
    let out = setup.run().succeeds().out();
    assert!(out.contains("moved       new (bob)"), "{out}");
    assert_encrypted(&sandbox);
    assert_eq!(get(&sandbox, "new"), pair("bob", "canary-2:with:colons"));
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
}

#[test]
fn killed_at_any_step_it_loses_no_credential_and_a_second_run_ends_the_work() {
    if !tools::may_trace() {
        tools::left_out("kills before single system calls, which take root to trace");
        return;
    }
    let config = "{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"},\"t\":{\"identitytoken\":\"canary-4\"}}}";
    let credentials = [("h", "zoe", "canary-1"), ("t", "<token>", "canary-4")];
    let anywhere = |sandbox: &Sandbox| {
        let text = sandbox.docker_config_text();
        for (host, username, secret) in credentials {
            let plain = text.contains(&format!("\"{host}\":{{\""));
            let kept = get(sandbox, host) == pair(username, secret);
            assert!(plain || kept, "{host} is gone: {text}");
        }
    };
    let mut deaths = 0;
    for args in [&["setup"][..], &["setup", "--undo"]] {
        for call in ["fsync", "rename", "renameat2", "unlink", "unlinkat"] {
            for nth in 1.. {
                let sandbox = with_config(config).initialised();
                if args.len() > 1 {
                    setup(&sandbox);
                }
                let expression = format!("inject={call}:signal=KILL:when={nth}");
                let program = docker(&sandbox, args);
                let (output, _) = strace::tampered(&sandbox, program, &[expression]);
                anywhere(&sandbox);
                if output.status.success() {
                    break;
                }
                deaths += 1;
                if args.len() == 1 {
                    setup(&sandbox);
                    let entries = sandbox.run(["list", "docker/**"]).out();
                    assert_eq!(entries, "docker/h\ndocker/t\n", "{call} {nth}");
                    for (host, username, secret) in credentials {
                        assert_eq!(get(&sandbox, host), pair(username, secret), "{call} {nth}");
                    }
                    assert_encrypted(&sandbox);
                }
                // The record goes last.
                let undo = docker(&sandbox, &["setup", "--undo"]).run();
                assert!(matches!(undo.status.code(), Some(0 | 3)), "{undo:?}");
                assert_eq!(sandbox.docker_config_text(), config, "{call} {nth}");
                // What a removal that was killed left waits for the next write.
                assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "");
            }
        }
    }
    assert!(deaths > 20, "{deaths}");
}

#[test]
fn no_secret_is_said_or_handed_to_a_child_in_its_arguments() {
    if !tools::may_trace() {
        tools::left_out("a trace of what is executed, which takes root");
        return;
    }
    let sandbox = with_config(CONFIG);
    let trace = sandbox.path().join("trace");
    for args in [
        &["setup", "--dry-run"][..],
        &["setup"],
        &["status"],
        &["setup", "--undo"],
    ] {
        let strace = tools::need("strace", "strace").display().to_string();
        let options = ["-f", "-v", "-s", "65536", "-e", "trace=execve", "-o"].map(String::from);
        let front = [&[strace], &options[..], &[trace.display().to_string()]].concat();
        let output = docker(&sandbox, &[&["--verbose"], args].concat())
            .behind(front)
            .run();
        let output = output.succeeds();
        let executed = fs::read_to_string(&trace).unwrap();
        assert_eq!(
            executed.contains(HELPER),
            !args.contains(&"--undo") && !args.contains(&"--dry-run")
        );
        for secret in SECRETS {
            let said = [output.out(), output.err(), executed.clone()].concat();
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
}

#[test]
fn a_disk_that_is_full_leaves_everything_where_it_is() {
    if !tools::may_mount() {
        tools::left_out("a full disk, which takes root to mount one that is small");
        return;
    }
    let sandbox = with_config(CONFIG).initialised();
    let script = "set -e; mount -t tmpfs -o size=64k,mode=700 posixage-test \"$HOME/.docker\"; \
        cat >\"$HOME/.docker/config.json\"; cp \"$HOME/.docker/config.json\" /tmp/posixage-before.$$; \
        head -c 1000000 /dev/zero >\"$HOME/.docker/fill\" 2>/dev/null || true; \
        if \"$@\"; then exit 90; fi; \
        cmp \"$HOME/.docker/config.json\" /tmp/posixage-before.$$; rm /tmp/posixage-before.$$; \
        rm \"$HOME/.docker/fill\"; ls -A \"$HOME/.docker\"; \"$@\"";
    let script = script.replace("/tmp/posixage-before.$$", "\"$HOME/before\"");
    let unshare = tools::need("unshare", "util-linux");
    let output = docker(&sandbox, &["setup"])
        .input(CONFIG)
        .in_shell(&script)
        .behind([unshare.as_os_str(), "-m".as_ref()])
        .run()
        .succeeds();
    assert!(output.err().contains("no space left"), "{output:?}");
    assert!(output.out().starts_with("config.json\n"), "{output:?}");
    assert!(output.out().contains("moved"), "{output:?}");
}

#[test]
fn status_tells_what_is_configured_and_whether_it_works() {
    let sandbox = with_config(CONFIG);
    let json = |program: Program| -> Value {
        let output = program.run().succeeds_silently();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let before = Snapshot::of(&sandbox.home());
    let status = json(docker(&sandbox, &["status", "--json"]));
    assert_eq!(Snapshot::of(&sandbox.home()), before);
    assert_eq!(status["config"], sandbox.docker_config().to_str().unwrap());
    assert_eq!(status["creds_store"], Value::Null);
    assert_eq!(status["cred_helpers"], json!({"gcr.example.com": "gcloud"}));
    assert_eq!(status["plaintext"].as_array().unwrap().len(), 5);
    assert_eq!(
        status["helper"],
        binary::directory().join(HELPER).to_str().unwrap()
    );
    assert_eq!(
        (&status["credentials"], &status["decrypts"]),
        (&json!(0), &Value::Null)
    );
    let text = docker(&sandbox, &["status"])
        .run()
        .succeeds()
        .says(["posixage docker setup"]);
    assert!(
        text.out().contains("plaintext   127.0.0.1:5000"),
        "{text:?}"
    );

    setup(&sandbox);
    let status = json(docker(&sandbox, &["status", "--json"]));
    assert_eq!(status["creds_store"], "posixage");
    assert_eq!(status["plaintext"], json!(["gcr.example.com"]));
    assert_eq!(
        (&status["credentials"], &status["decrypts"]),
        (&json!(4), &json!(true))
    );
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let wrong = docker(&sandbox, &["status", "--json"]).env("POSIXAGE_IDENTITY", stranger);
    let status = json(wrong.env("DOCKER_AUTH_CONFIG", "{}"));
    assert_eq!(
        (&status["decrypts"], &status["overridden"]),
        (&json!(false), &json!(true))
    );
    assert!(
        status["problem"].as_str().unwrap().contains("no key fits"),
        "{status}"
    );
    let status = sandbox
        .posixage(["docker", "status"])
        .env("PATH", "/usr/bin:/bin")
        .run();
    let status = status.succeeds().says(["not in PATH"]);
    assert!(
        status.out().contains("helper      not in PATH"),
        "{status:?}"
    );
}
