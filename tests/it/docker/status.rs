//! `posixage docker status`

use posixage_tests::{
    Program, binary,
    docker::{CONFIG, docker, setup, with_config},
    docker_helper::HELPER,
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
