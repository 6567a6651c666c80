//! `posixage docker setup`

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use posixage_tests::{
    Sandbox, binary,
    docker::{
        CONFIG, SECRETS, assert_encrypted, docker, setup, undo, with_config, with_wrapper, wrapper,
    },
    docker_helper::{HELPER, get, pair, store},
    shape, tools,
    tree::Snapshot,
};
use serde_json::Value;

#[test]
fn only_passwords_and_tokens_move_into_the_store() {
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
fn undo_restores_a_missing_empty_or_odd_config() {
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
fn a_leftover_in_the_file_does_not_replace_what_docker_uses() {
    // Docker asks the helper already; what is in the file is a leftover of unknown origin.
    let config = "{\"auths\":{\"h\":{\"auth\":\"em9lOmNhbmFyeS0x\"}},\"credsStore\":\"posixage\"}";
    let sandbox = with_config(config).initialised();
    store(&sandbox, "h", "zoe", "in use");
    let output = setup(&sandbox);
    assert!(
        output
            .out()
            .contains("stays       h: the store has another credential (zoe)"),
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
    let config = r#"{"auths":{"both":{"auth":"em9lOmNhbmFyeS0x","registrytoken":"r"},"r":{"registrytoken":"r"}}}"#;
    let sandbox = with_config(config);
    let out = setup(&sandbox).out();
    assert!(out.contains("moved       both (zoe)"), "{out}");
    assert!(
        out.contains("stays       both: has a registry token"),
        "{out}"
    );
    assert!(out.contains("stays       r: has a registry token"), "{out}");
    let text = sandbox.docker_config_text();
    assert!(text.contains(r#""both":{"registrytoken":"r"},"r":{"registrytoken":"r"}"#));
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), config);
}

#[test]
fn the_urls_of_old_files_are_kept_under_what_docker_asks_for() {
    let auth = "{\"auth\":\"em9lOmNhbmFyeS0x\"}";
    let config = format!(
        "{{\"auths\":{{\"https://old:5000/v1/\":{auth},\"HTTP://upper/v2/\":{auth},\
         \"https://zoe@user/\":{auth},\"oci://port:1\":{auth},\"host/path\":{auth},\"slash/\":{auth},\"v1/v1/\":{auth}}}}}"
    );
    let sandbox = with_config(&config);
    setup(&sandbox);
    for url in ["old:5000", "upper", "user", "port:1", "host", "slash", "v1"] {
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
