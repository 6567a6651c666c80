//! Claim: the real docker client sends a registry the same credential before `posixage docker setup`,
//! after it, and after `--undo`, in whatever form the file has it.

use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_URL_SAFE};
use posixage_tests::{
    Sandbox,
    docker::{setup, undo, with_config},
    http::{Request, Response, Server},
    tools,
};
use serde_json::{Value, json};

/// A daemon that takes down what it is sent, and fetches nothing.
struct Daemon {
    server: Server,
    sent: Arc<Mutex<Option<Value>>>,
}

impl Daemon {
    fn start() -> Self {
        let sent = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&sent);
        let server = Server::start(move |request: &Request| {
            if request.method == "POST" {
                let auth = request.header("X-Registry-Auth").unwrap_or_default();
                let json = BASE64_URL_SAFE.decode(auth).expect("base64");
                let json = serde_json::from_slice(&json).expect("JSON");
                *seen.lock().expect("the only writer") = Some(json);
                return Response::new(500, r#"{"message":"no"}"#);
            }
            Response::new(200, "{}").header("Api-Version", "1.45")
        });
        Self { server, sent }
    }

    /// What `docker pull` sends for an image: user name, password and tokens.
    fn credential(&self, sandbox: &Sandbox, image: &str) -> [Value; 4] {
        let docker = sandbox.client(tools::need("docker", "docker.io"));
        let host = format!("tcp://{}", self.server.host());
        let output = docker.args(["pull", image]).env("DOCKER_HOST", host).run();
        let sent = self.sent.lock().expect("the only reader").take();
        let sent = sent.unwrap_or_else(|| panic!("nothing was sent: {output:?}"));
        ["username", "password", "identitytoken", "registrytoken"].map(|name| sent[name].clone())
    }
}

#[test]
fn docker_sends_the_same_before_and_after_setup_and_after_undo() {
    const ZOE: &str = r#"{"auth":"em9lOm9uZQ=="}"#;
    let zoe = [json!("zoe"), json!("one"), Value::Null, Value::Null];
    let daemon = Daemon::start();
    let registry = "r.example.com/team/image";
    let token = [Value::Null, Value::Null, json!("t"), Value::Null];
    let registry_token = [Value::Null, Value::Null, Value::Null, json!("t")];
    for (image, auths, more, expected) in [
        (registry, format!(r#""r.example.com":{ZOE}"#), "", &zoe),
        (registry, format!(r#""r.example.com/":{ZOE}"#), "", &zoe),
        (registry, format!(r#""r.example.com/v1/":{ZOE}"#), "", &zoe),
        (registry, format!(r#""r.example.com/team":{ZOE}"#), "", &zoe),
        (
            registry,
            format!(r#""https://r.example.com/v1/":{ZOE}"#),
            "",
            &zoe,
        ),
        (
            "busybox",
            format!(r#""https://index.docker.io/v1/":{ZOE}"#),
            "",
            &zoe,
        ),
        (
            registry,
            r#""r.example.com":{"auth":"em9l\nOm9u\r\nZQ=="}"#.into(),
            "",
            &zoe,
        ),
        (
            registry,
            format!(r#""https://r.example.com/v1/":{ZOE}"#),
            r#","credHelpers":{"r.example.com":""}"#,
            &zoe,
        ),
        (
            registry,
            r#""r.example.com":{"identitytoken":"t"}"#.into(),
            "",
            &token,
        ),
        (
            registry,
            r#""r.example.com":{"registrytoken":"t"}"#.into(),
            "",
            &registry_token,
        ),
    ] {
        let config = format!(r#"{{"auths":{{{auths}}}{more}}}"#);
        let sandbox = with_config(&config);
        assert_eq!(&daemon.credential(&sandbox, image), expected, "{config}");
        setup(&sandbox);
        assert_eq!(&daemon.credential(&sandbox, image), expected, "{config}");
        undo(&sandbox);
        assert_eq!(&daemon.credential(&sandbox, image), expected, "{config}");
    }
}
