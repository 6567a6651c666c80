//! Claim: Skopeo, and with it Podman and Buildah, which read the same files, keep their credentials in the
//! store.

use posixage_tests::{
    Program, Sandbox, golden,
    registry::{self, Registry},
    tools,
    tree::Snapshot,
};

const ZOE: (&str, &str) = ("zoe", "canary-of-zoe");
const BOB: (&str, &str) = ("bob", "canary-of-bob");

fn skopeo(sandbox: &Sandbox, args: &[&str]) -> Program {
    let skopeo = sandbox.client(tools::need("skopeo", "skopeo"));
    // Where auth.json is unless told otherwise.
    let runtime = sandbox.directory("runtime");
    skopeo.args(args).env("XDG_RUNTIME_DIR", runtime)
}

fn login(sandbox: &Sandbox, address: &str, (username, password): (&str, &str)) -> Program {
    let args = [
        "login",
        "--tls-verify=false",
        "--password-stdin",
        "--username",
        username,
    ];
    skopeo(sandbox, &args).arg(address).input(password)
}

fn list(sandbox: &Sandbox) -> String {
    let list = sandbox.helper("docker-credential-posixage").arg("list");
    list.run().succeeds_silently().out()
}

#[track_caller]
fn assert_nothing_in_the_clear(sandbox: &Sandbox) {
    // canary, and zoe:canary-of, bob:canary-of in base64.
    for canary in ["canary", "em9lOmNhbmFyeS1vZi", "Ym9iOmNhbmFyeS1vZi"] {
        for place in [sandbox.home(), sandbox.path().join("runtime")] {
            let place = Snapshot::of(&place);
            assert!(
                !place.contains(canary.as_bytes()),
                "{canary} is in the clear"
            );
        }
    }
}

/// Pushes an image, looks at it, logs in as somebody else and out.
fn works(sandbox: &Sandbox) {
    let registry = Registry::start(sandbox, &[ZOE, BOB]);
    let address = registry.address.as_str();
    let image = registry::image(sandbox);
    let there = format!("docker://{address}/team/image:1");
    let inspect = || skopeo(sandbox, &["inspect", "--tls-verify=false", &there]).run();
    let refused = inspect();
    assert!(!refused.status.success(), "the control: {refused:?}");

    login(sandbox, address, ZOE).run().succeeds();
    assert_eq!(list(sandbox), format!("{{\"{address}\":\"zoe\"}}\n"));
    assert_nothing_in_the_clear(sandbox);
    let policy = sandbox.file(
        "policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    let policy = policy.display().to_string();
    let copy = [
        "--policy",
        &policy,
        "copy",
        "--dest-tls-verify=false",
        &image,
        &there,
    ];
    skopeo(sandbox, &copy).run().succeeds();
    let inspected = inspect().succeeds().out();
    assert!(
        inspected.contains(&format!("\"Name\": \"{address}/team/image\"")),
        "{inspected}"
    );

    let stranger = golden::key(sandbox, "age-stranger.txt");
    let wrong = skopeo(sandbox, &["inspect", "--tls-verify=false", &there]);
    let wrong = wrong.env("POSIXAGE_IDENTITY", stranger).run();
    assert!(!wrong.status.success(), "{wrong:?}");
    drop(wrong.says(["no key fits secret docker/127.0.0.1"]));

    login(sandbox, address, BOB).run().succeeds();
    assert_eq!(list(sandbox), format!("{{\"{address}\":\"bob\"}}\n"));
    inspect().succeeds();
    skopeo(sandbox, &["logout", "--tls-verify=false", address])
        .run()
        .succeeds();
    assert_eq!(list(sandbox), "{}\n");
    assert!(!inspect().status.success());
    assert_nothing_in_the_clear(sandbox);
}

#[test]
fn with_credential_helpers_in_registries_conf() {
    let sandbox = Sandbox::new();
    let name = "home/.config/containers/registries.conf.d/posixage.conf";
    sandbox.file(name, "credential-helpers = [\"posixage\"]\n");
    works(&sandbox);
}

#[test]
fn what_docker_has_in_the_store_skopeo_finds() {
    let sandbox = Sandbox::new();
    let name = "home/.config/containers/registries.conf.d/posixage.conf";
    sandbox.file(name, "credential-helpers = [\"posixage\"]\n");
    let registry = Registry::start(&sandbox, &[ZOE]);
    sandbox.file("home/.docker/config.json", "{\"credsStore\":\"posixage\"}");
    let docker = sandbox.client(tools::need("docker", "docker.io"));
    let args = [
        "login",
        "--username",
        "zoe",
        "--password-stdin",
        &registry.address,
    ];
    docker.args(args).input(ZOE.1).run().succeeds();
    let address = registry.address.as_str();
    // Who is logged in.
    let who = skopeo(&sandbox, &["login", "--get-login", address]).run();
    assert_eq!(who.succeeds().out(), "zoe\n");
}

#[test]
fn with_cred_helpers_in_auth_json() {
    let sandbox = Sandbox::new();
    let registry = Registry::start(&sandbox, &[ZOE]);
    let address = registry.address.as_str();
    let auth = format!("{{\"credHelpers\":{{\"{address}\":\"posixage\"}}}}");
    let file = sandbox.file("runtime/containers/auth.json", auth);
    login(&sandbox, address, ZOE).run().succeeds();
    assert_eq!(list(&sandbox), format!("{{\"{address}\":\"zoe\"}}\n"));
    assert_nothing_in_the_clear(&sandbox);
    let who = skopeo(&sandbox, &["login", "--get-login", address]).run();
    assert_eq!(who.succeeds().out(), "zoe\n");
    let elsewhere = skopeo(&sandbox, &["login", "--get-login", address, "--authfile"]);
    let elsewhere = elsewhere.arg(sandbox.file("other.json", "{}")).run();
    assert!(!elsewhere.status.success(), "the control: {elsewhere:?}");
    skopeo(&sandbox, &["logout", address]).run().succeeds();
    assert_eq!(list(&sandbox), "{}\n");
    assert!(file.is_file());
}
