//! Claim: a record of a setup that was planted in the store has `docker setup --undo` write nothing but
//! what a setup can have found.

use std::fs;

use posixage_tests::{
    Sandbox,
    docker::{docker, setup, with_config},
    docker_helper::{get, pair, store},
};
use serde_json::{Value, json};

/// zoe:canary-1
const CONFIG: &str = r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"}},"psFormat":"x"}"#;

/// What a planted record may try to bring into `config.json`.
const EVIL: [&str; 8] = [
    "evil",
    "cliPluginsExtraDirs",
    "plugins",
    "proxies",
    "HttpHeaders",
    "identitytoken",
    "registrytoken",
    "credHelpers",
];

fn record(sandbox: &Sandbox) -> (String, Value) {
    let id = sandbox.run(["list", "docker-setup/**"]).out();
    let id = id.trim().to_owned();
    let record = serde_json::from_slice(&sandbox.get(&id)).expect("JSON");
    (id, record)
}

/// Runs `--undo` over a planted record, and asserts that nothing of it is in `config.json`.
#[track_caller]
fn undo_of(change: impl Fn(&mut Value) -> Option<String>) {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let (id, mut planted) = record(&sandbox);
    let text = change(&mut planted).unwrap_or_else(|| planted.to_string());
    sandbox.set(&id, text.as_str());
    let before: Value = serde_json::from_str(&sandbox.docker_config_text()).expect("JSON");
    for args in [&["setup", "--undo", "--dry-run"][..], &["setup", "--undo"]] {
        let output = docker(&sandbox, args).run();
        assert!(
            matches!(output.status.code(), Some(0 | 7)),
            "{text}: {output:?}"
        );
    }
    let after = sandbox.docker_config_text();
    for evil in EVIL {
        assert!(!after.contains(evil), "{text}: {after}");
    }
    // What is there is what was there, less the helper; the login is in the file or in the store.
    let after: Value = serde_json::from_str(&after).expect("JSON");
    let names: Vec<_> = after.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["auths", "psFormat"], "{text}");
    assert_eq!(after["psFormat"], before["psFormat"]);
    let is_in_the_file = after["auths"]["h"] == json!({"auth": "em9lOmNhbmFyeS0x"});
    let hosts: Vec<_> = after["auths"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(hosts, ["h"], "{text}");
    assert!(
        is_in_the_file || get(&sandbox, "h") == pair("zoe", "canary-1"),
        "{text}: {after}"
    );
}

#[test]
fn the_text_of_another_member_is_not_spliced_in() {
    for member in [
        r#""evil","cliPluginsExtraDirs":["/shared/plugins"]"#,
        r#""x","plugins":{"-x-cli-hooks":{"hooks":"evil"}}"#,
        r#""x","proxies":{"default":{"httpsProxy":"http://evil:3128"}}"#,
        r#"null,"HttpHeaders":{"X-Evil":"1"}"#,
        r#""x"}, "plugins": {"a": {"b": "c"}"#,
        r#"{"plugins":{}}"#,
        r#"["evil"]"#,
        "7",
        "true",
        "",
        "\"",
        r#""../../shared/evil""#,
        r#""/shared/evil""#,
        r#""evil\u0000""#,
        r#""evil\u002fx""#,
    ] {
        undo_of(|record| {
            record["creds_store"] = json!(member);
            None
        });
    }
}

#[test]
fn a_record_of_any_other_shape_is_none() {
    for (name, value) in [
        ("creds_store", json!(7)),
        ("creds_store", json!({"evil": 1})),
        ("creds_store", json!(["\"evil\""])),
        ("cred_helpers", json!(7)),
        ("cred_helpers", json!(r#"{"h":"evil"}, "plugins": {}"#)),
        ("cred_helpers", json!(r#"{"h":{"plugins":1}}"#)),
        ("origin", json!("plugins")),
        ("origin", json!({"object": 1})),
        ("moved", json!([])),
        ("moved", json!({"h": {}})),
        ("moved", json!({"h": 1})),
        ("evil", json!("plugins")),
    ] {
        undo_of(|record| {
            record[name] = value.clone();
            None
        });
    }
    for text in ["", "null", "[]", "{}", "{", "7", "\"evil\"", "\0"] {
        undo_of(|_| Some(text.into()));
    }
    undo_of(|_| Some("[".repeat(200_000)));
    undo_of(|_| Some("{\"origin\":".repeat(200_000)));
}

#[test]
fn a_name_that_appears_twice_in_a_record_is_none() {
    let moved =
        r#"{"server_url":"h","template":"{\"auth\":\"\"}","was_there":false,"had_helper":false}"#;
    let evil =
        r#"{"server_url":"h","template":"{\"evil\":1}","was_there":false,"had_helper":false}"#;
    for text in [
        format!(
            r#"{{"origin":"object","creds_store":null,"creds_store":"\"evil\"","cred_helpers":null,"moved":{{"h":{moved}}}}}"#
        ),
        format!(
            r#"{{"origin":"object","creds_store":null,"cred_helpers":null,"moved":{{"h":{moved},"h":{evil}}}}}"#
        ),
        format!(
            r#"{{"origin":"object","creds_store":null,"cred_helpers":null,"moved":{{"h":{evil}}},"moved":{{"h":{moved}}}}}"#
        ),
    ] {
        undo_of(|_| Some(text.clone()));
    }
}

#[test]
fn the_template_of_an_entry_brings_nothing_in() {
    for template in [
        r#"{"auth":"ZXZpbDpldmls"}"#,
        r#"{"auth":"","evil":{"a":[1]}}"#,
        r#"{"auth":"","registrytoken":"evil"}"#,
        r#"{"identitytoken":"evil"}"#,
        r#"{"auth":"","serveraddress":"evil.example.com"}"#,
        r#"{"auth":""}},"plugins":{"a":{"b":"c"}"#,
        r#"{"auth":"","auth":""}"#,
        r#"{"Auth":"ZXZpbDpldmls"}"#,
        "[]",
        "null",
        "",
        "evil",
    ] {
        undo_of(|record| {
            record["moved"]["h"]["template"] = json!(template);
            None
        });
    }
}

#[test]
fn a_credential_does_not_go_to_another_host() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    store(&sandbox, "bank", "zoe", "canary-5");
    let (id, original) = record(&sandbox);
    for (host, server_url) in [
        ("thief", "bank"),
        ("https://thief/v1/", "bank"),
        ("bank@thief", "bank"),
        ("https://bank@thief/v1/", "bank"),
        ("thief/bank", "bank"),
    ] {
        let mut planted = original.clone();
        planted["moved"][host] = planted["moved"]["h"].clone();
        planted["moved"][host]["server_url"] = json!(server_url);
        sandbox.set(&id, planted.to_string());
        let output = docker(&sandbox, &["setup", "--undo"]).run();
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let text = sandbox.docker_config_text();
        assert!(!text.contains("thief"), "{host}: {text}");
        assert_eq!(get(&sandbox, "bank"), pair("zoe", "canary-5"));
    }
}

#[test]
fn helpers_of_an_auth_file_are_not_brought_in() {
    for cred_helpers in [
        json!(r#"{"h":"evil","bank":"evil"}"#),
        json!(r#"{"h":"evil"},"plugins":{"a":{"b":"c"}}"#),
        json!("{}, \"plugins\": {}"),
    ] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("auth.json", CONFIG);
        let run = |args: &[&str]| {
            let program = docker(&sandbox, &["setup", "--auth-file"]);
            program.arg(&file).args(args).run()
        };
        run(&[]).succeeds();
        let (id, mut planted) = record(&sandbox);
        planted["cred_helpers"] = cred_helpers.clone();
        sandbox.set(&id, planted.to_string());
        let output = run(&["--undo"]);
        assert!(matches!(output.status.code(), Some(0 | 7)), "{output:?}");
        let text = fs::read_to_string(&file).unwrap();
        for evil in ["evil", "plugins", "bank"] {
            assert!(!text.contains(evil), "{cred_helpers}: {text}");
        }
        assert!(!text.contains("posixage"), "{text}");
    }
}

#[test]
fn a_record_that_would_fill_the_disk_is_refused() {
    let sandbox = with_config(CONFIG);
    setup(&sandbox);
    let (id, mut planted) = record(&sandbox);
    let template = format!("{{\"auth\":{}\"\"}}", " ".repeat(17 << 20));
    planted["moved"]["h"]["template"] = json!(template);
    sandbox.set(&id, planted.to_string());
    docker(&sandbox, &["setup", "--undo"]).run().complains(7);
    assert!(sandbox.docker_config_text().len() < 1000);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
}
