//! Claim: Skopeo, and with it Podman and Buildah, which read the same files, keep their credentials in the
//! store.

use std::{collections::BTreeMap, fs};

use posixage_tests::{
    Program, Sandbox, binary,
    docker_helper::list,
    golden,
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

/// Pushes an image, looks at it, logs in as another user and out.
fn works(sandbox: &Sandbox) {
    let registry = Registry::start(sandbox, &[ZOE, BOB]);
    let address = registry.address.as_str();
    let image = registry::image(sandbox);
    let there = format!("docker://{address}/team/image:1");
    let inspect = || skopeo(sandbox, &["inspect", "--tls-verify=false", &there]).run();
    let refused = inspect();
    assert!(!refused.status.success(), "the control: {refused:?}");

    login(sandbox, address, ZOE).run().succeeds();
    assert_eq!(
        list(sandbox),
        BTreeMap::from([(address.into(), "zoe".into())])
    );
    assert_nothing_in_the_clear(sandbox);
    push(sandbox, &image, &there);
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
    assert_eq!(
        list(sandbox),
        BTreeMap::from([(address.into(), "bob".into())])
    );
    inspect().succeeds();
    skopeo(sandbox, &["logout", "--tls-verify=false", address])
        .run()
        .succeeds();
    assert_eq!(list(sandbox), BTreeMap::new());
    assert!(!inspect().status.success());
    assert_nothing_in_the_clear(sandbox);
}

/// Copies an image from a directory to a registry.
fn push(sandbox: &Sandbox, image: &str, there: &str) {
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
        image,
        there,
    ];
    skopeo(sandbox, &copy).run().succeeds();
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
    assert_eq!(
        list(&sandbox),
        BTreeMap::from([(address.into(), "zoe".into())])
    );
    assert_nothing_in_the_clear(&sandbox);
    let who = skopeo(&sandbox, &["login", "--get-login", address]).run();
    assert_eq!(who.succeeds().out(), "zoe\n");
    let elsewhere = skopeo(&sandbox, &["login", "--get-login", address, "--authfile"]);
    let elsewhere = elsewhere.arg(sandbox.file("other.json", "{}")).run();
    assert!(!elsewhere.status.success(), "the control: {elsewhere:?}");
    skopeo(&sandbox, &["logout", address]).run().succeeds();
    assert_eq!(list(&sandbox), BTreeMap::new());
    assert!(file.is_file());
}

fn setup(sandbox: &Sandbox, args: &[&str]) -> Program {
    let setup = sandbox.client(binary::posixage()).args(["docker", "setup"]);
    setup.args(args)
}

#[test]
fn setup_moves_skopeos_plaintext_and_undo_restores_it() {
    let sandbox = Sandbox::new();
    let registries = [ZOE, BOB].map(|user| (Registry::start(&sandbox, &[user]), user));
    for (registry, user) in &registries {
        login(&sandbox, &registry.address, *user).run().succeeds();
    }
    let file = sandbox.path().join("runtime/containers/auth.json");
    let file = file.to_str().unwrap();
    let before = fs::read_to_string(file).unwrap();
    assert!(
        before.contains("em9lOmNhbmFyeS1vZi"),
        "the control: {before}"
    );
    let out = setup(&sandbox, &["--auth-file", file])
        .run()
        .succeeds()
        .out();
    assert_eq!(out.matches("moved").count(), 2, "{out}");
    assert_nothing_in_the_clear(&sandbox);
    let who = |address: &str| {
        let who = skopeo(&sandbox, &["login", "--get-login", address]).run();
        who.succeeds().out()
    };
    for (registry, (username, _)) in &registries {
        assert_eq!(who(&registry.address), format!("{username}\n"));
    }
    let image = registry::image(&sandbox);
    let there = format!("docker://{}/team/image:1", registries[0].0.address);
    push(&sandbox, &image, &there);
    setup(&sandbox, &["--undo", "--auth-file", file])
        .run()
        .succeeds_silently();
    assert_eq!(fs::read_to_string(file).unwrap(), before);
    assert_eq!(list(&sandbox), BTreeMap::new());
    assert_eq!(who(&registries[0].0.address), "zoe\n");
}

#[test]
fn of_an_auth_file_everything_else_stays_as_it_is() {
    // zoe:canary-of-zoe
    let auth = r#"{"auth":"em9lOmNhbmFyeS1vZi16b2U="}"#;
    let text = format!(
        r#"{{"auths":{{"a":{auth},"quay.io/part":{auth},"own":{auth},"ours":{auth}}},"credsStore":"x","credHelpers":{{ "own":"pass", "ours":"posixage" }}}}"#
    );
    let sandbox = Sandbox::new();
    let file = sandbox.file("auth.json", &text);
    let path = file.to_str().unwrap();
    let out = setup(&sandbox, &["--auth-file", path])
        .run()
        .succeeds()
        .out();
    for line in [
        "moved       a (zoe)",
        "moved       ours (zoe)",
        "stays       quay.io/part: is for a part of a registry",
        "stays       own: has a helper of its own, pass",
    ] {
        assert!(out.contains(line), "{out}");
    }
    let expected = text
        .replace(&format!(r#""a":{auth}"#), r#""a":{}"#)
        .replace(&format!(r#""ours":{auth}"#), r#""ours":{}"#)
        .replace(r#""posixage" }"#, r#""posixage", "a":"posixage" }"#);
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    setup(&sandbox, &["--auth-file", path, "--undo"])
        .run()
        .succeeds();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let missing = setup(&sandbox, &["--auth-file", "/no/such/auth.json"]).run();
    missing.fails(1).says(["there is no /no/such/auth.json"]);
}
