//! Claim: `posixage docker setup --undo` gives back what was moved, and a crash in either loses nothing.

use std::fs;

use posixage_tests::{
    Sandbox,
    docker::{CONFIG, assert_encrypted, docker, setup, undo, with_config},
    docker_helper::{HELPER, get, pair, store},
    golden, shape, strace, tools,
    tree::Snapshot,
};
use serde_json::{Value, json};

#[test]
fn undo_puts_back_current_values_and_leaves_later_logins() {
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
fn undo_leaves_later_changes_alone() {
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
fn undo_without_the_key_takes_the_helper_away_and_a_later_one_ends_the_work() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let before = Snapshot::of(&sandbox.store());
    let config = sandbox.docker_config_text();
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let stranger = stranger.to_str().unwrap();
    // The path of a file that does not exist may be a key, put there by mistake.
    for (key, named) in [(stranger, stranger), ("/no/such/key", "POSIXAGE_IDENTITY")] {
        fs::write(sandbox.docker_config(), &config).unwrap();
        let args = ["setup", "--undo", "--dry-run"];
        let dry = docker(&sandbox, &args).env("POSIXAGE_IDENTITY", key).run();
        drop(dry.says(["cannot be read"]));
        assert_eq!(sandbox.docker_config_text(), config);
        let undo = docker(&sandbox, &["setup", "--undo"]).env("POSIXAGE_IDENTITY", key);
        let output = undo.run();
        assert!(!output.status.success(), "{output:?}");
        assert!(output.out().contains("credsStore  not set"), "{output:?}");
        drop(output.says(["cannot be read", named]));
        assert!(!sandbox.docker_config_text().contains("credsStore"));
        assert_eq!(Snapshot::of(&sandbox.store()), before);
    }
    undo(&sandbox);
    let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
    let expected: Value = serde_json::from_str(CONFIG).unwrap();
    assert_eq!(config, expected);
}

#[track_caller]
fn remove_all(sandbox: &Sandbox) {
    let ids = sandbox.run(["list"]).out();
    sandbox
        .run(["rm"].into_iter().chain(ids.lines()))
        .succeeds();
}

#[test]
fn undo_without_a_record_takes_the_helper_away_and_says_what_it_left() {
    for named in [false, true] {
        let sandbox = with_config(CONFIG);
        setup(&sandbox);
        let undo = docker(&sandbox, &["setup", "--undo"]);
        let undo = if named {
            undo.env("POSIXAGE_STORE", "/no/such/store")
        } else {
            remove_all(&sandbox);
            undo
        };
        let output = undo.clone().run();
        assert_eq!(output.status.success(), !named, "{output:?}");
        assert!(output.out().contains("credsStore  not set"), "{output:?}");
        assert!(output.err().contains("stays"), "{output:?}");
        let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
        assert_eq!(config.get("credsStore"), None);
        assert_eq!(config["credHelpers"]["gcr.example.com"], "gcloud");
        // Once more: there is nothing to do.
        let again = undo.run();
        assert!(
            !again.status.success() && again.stdout.is_empty(),
            "{again:?}"
        );
    }
}

#[test]
fn undo_of_an_auth_file_without_a_record_takes_the_helper_away() {
    let sandbox = Sandbox::new();
    let text = r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"}},"credHelpers":{"g":"gcloud"}}"#;
    let file = sandbox.file("auth.json", text);
    let run = |args: &[&str]| {
        let program = docker(&sandbox, &["setup", "--auth-file"]);
        program.arg(&file).args(args).run()
    };
    run(&[]).succeeds();
    remove_all(&sandbox);
    let out = run(&["--undo"]).succeeds().out();
    assert!(out.contains("h: none"), "{out}");
    let expected = r#"{"auths":{"h":{}},"credHelpers":{"g":"gcloud"}}"#;
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
}

#[test]
fn one_damaged_credential_does_not_keep_the_others_from_going_back() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let id: posixage::Id = "docker/127.0.0.1:5000".parse().unwrap();
    let file = sandbox.store().join(id.directory_name()).join("secretage");
    fs::write(&file, "damaged").unwrap();
    let output = docker(&sandbox, &["setup", "--undo"]).run().complains(7);
    assert!(
        output.out().contains("restored    ecr.example.com"),
        "{output:?}"
    );
    let config: Value = serde_json::from_str(&sandbox.docker_config_text()).unwrap();
    assert_eq!(config["auths"]["ecr.example.com"]["password"], "canary-3");
    assert_eq!(fs::read(&file).unwrap(), b"damaged");
}

#[test]
fn a_damaged_record_of_another_file_hides_no_other() {
    let sandbox = with_config(CONFIG);
    let other = sandbox.file("auth.json", CONFIG);
    setup(&sandbox);
    let setup_other = docker(&sandbox, &["setup", "--auth-file"]).arg(other);
    setup_other.run().succeeds();
    let ids = sandbox.run(["list", "docker-setup/**"]).out();
    let damaged = ids.lines().find(|id| id.ends_with("auth.json")).unwrap();
    sandbox.set(damaged, "canary");
    let output = docker(&sandbox, &["setup", "--undo"]).run().succeeds();
    let output = output.says([damaged, "no record of a setup"]);
    assert!(!output.err().contains("canary"), "{output:?}");
    assert_eq!(sandbox.docker_config_text(), CONFIG);
    // The other file may need it.
    assert!(
        output.out().contains("kept        ecr.example.com"),
        "{output:?}"
    );
    assert_eq!(get(&sandbox, "ecr.example.com"), pair("AWS", "canary-3"));
    // A setup is not kept from its work either.
    setup(&sandbox);
    assert_encrypted(&sandbox);
}

#[test]
fn a_second_run_finishes_a_setup_killed_at_any_step() {
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
