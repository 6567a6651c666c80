//! `posixage docker status`

use std::fs;

use posixage_tests::{
    Program, Sandbox, binary,
    docker::{CONFIG, docker, setup, with_config},
    docker_helper::{HELPER, get, pair, store},
    golden,
    tree::Snapshot,
};
use serde_json::{Value, json};

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
    let wrong = wrong.env("DOCKER_AUTH_CONFIG", "{}").run().complains(1);
    let status: Value = serde_json::from_slice(&wrong.stdout).unwrap();
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
    let status = status.complains(1).says(["not in PATH"]);
    assert!(
        status.out().contains("helper      not in PATH"),
        "{status:?}"
    );
}

#[test]
fn status_fails_where_a_pull_would_and_nowhere_else() {
    let status = |sandbox: &Sandbox| docker(sandbox, &["status"]).run();
    // What docker keeps in plaintext it finds; a helper of one registry is named.
    let plain = with_config(r#"{"auths":{},"credHelpers":{"h":"no-such-helper"}}"#);
    let out = status(&plain).succeeds().out();
    let missing = "missing     docker-credential-no-such-helper is not in PATH";
    assert!(out.contains(missing), "{out}");
    let pass = with_config(r#"{"credsStore":"no-such-helper"}"#);
    drop(
        status(&pass)
            .complains(1)
            .says(["docker-credential-no-such-helper"]),
    );

    let sandbox = with_config(r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"}}}"#);
    setup(&sandbox);
    store(&sandbox, "other", "zoe", "secret");
    status(&sandbox).succeeds_silently();
    // `posixage set --force --metadata x=y` over a login: no credential any more.
    let id: posixage::Id = "docker/other".parse().unwrap();
    let directory = sandbox.store().join(id.directory_name());
    fs::write(directory.join("metadata.json"), "null").unwrap();
    let none = status(&sandbox).complains(7);
    assert!(none.out().contains("unusable    docker/other"), "{none:?}");
    assert!(none.hint().contains("posixage rm docker/other"), "{none:?}");
    // One that is damaged.
    store(&sandbox, "other", "zoe", "secret");
    status(&sandbox).succeeds_silently();
    fs::write(directory.join("secretage"), "").unwrap();
    let damaged = status(&sandbox).complains(7);
    assert!(
        damaged.out().contains("unusable    docker/other"),
        "{damaged:?}"
    );
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    let args = ["status", "--json"];
    let json = docker(&sandbox, &args).run().complains(7);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["unusable"], json!(["docker/other"]));
}
