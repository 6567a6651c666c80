//! Claim: Podman and Buildah, root's and an ordinary user's, log in, push, pull and build by credentials
//! from the store.

use posixage_tests::{
    Program, Sandbox, binary, namespace, process::ORDINARY_USER, registry::Registry, tools,
    tree::Snapshot,
};

const ZOE: (&str, &str) = ("zoe", "canary-of-zoe");

/// Logs in, and fails to before that; `$1` is podman or buildah, `$2` the registry.
const LOGIN: &str = r#"
set -eux
client=$1 registry=$2 image=$2/team/image:1
if "$client" pull --tls-verify=false "$image"; then exit 10; fi
"$client" login --tls-verify=false --username zoe --password-stdin "$registry" <password
test "$(docker-credential-posixage list)" = "{\"$registry\":\"zoe\"}"
"#;

const PODMAN: &str = r#"
tar c --owner=0 --group=0 context | podman import - "$image"
podman push --tls-verify=false "$image"
podman rmi "$image"
podman pull --tls-verify=false "$image"
podman rmi "$image"
"#;

const BUILDAH: &str = r#"
printf 'FROM scratch\nCOPY Dockerfile /\n' >context/Dockerfile
buildah build --isolation=chroot --tag "$image" context
buildah push --tls-verify=false "$image"
buildah rmi "$image"
printf "FROM $image\nCOPY Dockerfile /\n" >context/Dockerfile
buildah build --isolation=chroot --tls-verify=false --tag new context
buildah rmi new "$image"
"#;

const LOGOUT: &str = r#"
"$client" logout "$registry"
test "$(docker-credential-posixage list)" = "{}"
if "$client" pull --tls-verify=false "$image"; then exit 11; fi
"#;

/// Runs the client's script in a home of its own, with root's powers or without.
fn works(sandbox: &Sandbox, client: &str, script: &str) {
    let hidden = ["/run", "/dev/shm", "/var/lib/containers"];
    let alone = tools::is_root().then(|| namespace::hiding(&hidden));
    let Some(alone) = alone.flatten() else {
        tools::left_out("podman and buildah, whose files root hides from the machine");
        return;
    };
    let path = tools::need(client, client);
    for name in ["posixage", "docker-credential-posixage"] {
        // By a process of its own: a copy that this one has open for writing cannot be executed.
        let cp = Program::new(tools::need("cp", "coreutils"));
        let cp = cp.arg(binary::directory().join(name));
        cp.arg(sandbox.directory("bin").join(name)).run().succeeds();
    }
    let file = |name, content: &str| sandbox.file(format!("home/{name}"), content);
    file("password", ZOE.1);
    file("context/Dockerfile", "");
    file(
        ".config/containers/registries.conf.d/posixage.conf",
        "credential-helpers = [\"posixage\"]\n",
    );
    file(
        ".config/containers/policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    let root = sandbox.path().display();
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}/images\"\nrunroot = \"{root}/state\"\n"
    );
    let storage = file("storage.conf", &storage);
    for name in ["images", "state", "runtime", "temporary"] {
        sandbox.directory(name);
    }
    let registry = Registry::start(sandbox, &[ZOE]);
    let bin = sandbox.path().join("bin").display().to_string();
    let path_of_client = path.parent().expect("a directory").display();
    alone
        .args(user(sandbox))
        .args([
            "sh",
            "-c",
            &format!("{LOGIN}{script}rm password{LOGOUT}"),
            "sh",
        ])
        .arg(client)
        .arg(&registry.address)
        .env(
            "PATH",
            format!("{bin}:{path_of_client}:/usr/sbin:/usr/bin:/sbin:/bin"),
        )
        .env("HOME", sandbox.home())
        .env("XDG_RUNTIME_DIR", sandbox.path().join("runtime"))
        .env("TMPDIR", sandbox.path().join("temporary"))
        .env("CONTAINERS_STORAGE_CONF", storage)
        .current_dir(sandbox.home())
        .run()
        .succeeds();
    for place in ["home", "runtime", "temporary"] {
        let place = Snapshot::of(&sandbox.path().join(place));
        // zoe:canary in base64, too.
        for secret in ["canary", "em9lOmNhbmFyeS1vZi"] {
            assert!(
                !place.contains(secret.as_bytes()),
                "{secret} is in the clear"
            );
        }
    }
}

/// What makes the rest of a command line run as the sandbox's user.
fn user(sandbox: &Sandbox) -> Vec<String> {
    if !sandbox.is_ordinary() {
        return Vec::new();
    }
    let setpriv = tools::need("setpriv", "util-linux").display().to_string();
    let id = ORDINARY_USER;
    let mut words = vec![setpriv, "--clear-groups".into()];
    words.extend([format!("--reuid={id}"), format!("--regid={id}")]);
    words
}

#[test]
fn podman_as_root() {
    works(&Sandbox::new(), "podman", PODMAN);
}

#[test]
fn podman_as_an_ordinary_user() {
    works(&Sandbox::ordinary(), "podman", PODMAN);
}

#[test]
fn buildah_as_root() {
    works(&Sandbox::new(), "buildah", BUILDAH);
}

#[test]
fn buildah_as_an_ordinary_user() {
    works(&Sandbox::ordinary(), "buildah", BUILDAH);
}
