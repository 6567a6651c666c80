//! Claim: what the pages in cli/docs say to paste works as it stands there.
//!
//! `registry.example.com` is a real registry on loopback, and directories of root's are the sandbox's.
//! systemd itself does not run here: a service gets what it would get from systemd.

use std::{fs, os::unix::fs::PermissionsExt};

use posixage_tests::{
    Output, Program, Sandbox,
    docker_helper::list,
    golden, page,
    registry::{self, Registry},
    tools,
    tree::Snapshot,
};

const ZOE: (&str, &str) = ("zoe", "canary-of-zoe");

/// The blocks of a page in that language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    page::blocks(&format!("cli/docs/{page}"), language)
}

/// A shell in the sandbox, with the variables that the pages use.
fn shell(sandbox: &Sandbox, script: &str) -> Program {
    let shell = sandbox.client("sh").args(["-euc", script]);
    shell
        .env("REGISTRY_USER", ZOE.0)
        .env("REGISTRY_PASSWORD", ZOE.1)
        .env("XDG_RUNTIME_DIR", sandbox.directory("runtime"))
        .env("DOCKER_HOST", "unix:///nonexistent")
}

/// Runs a block against a registry.
#[track_caller]
fn paste(sandbox: &Sandbox, block: &str, registry: &Registry) -> Output {
    let script = block.replace("registry.example.com", &registry.address);
    shell(sandbox, &script).run().succeeds()
}

/// Who is logged in.
fn who(sandbox: &Sandbox) -> Vec<String> {
    list(sandbox).into_values().collect()
}

#[track_caller]
fn assert_nothing_in_the_clear(sandbox: &Sandbox) {
    let home = Snapshot::of(&sandbox.home());
    for canary in ["canary", "em9lOmNhbmFyeS1vZi"] {
        assert!(
            !home.contains(canary.as_bytes()),
            "{canary} is in the clear"
        );
    }
}

#[test]
fn docker() {
    let sandbox = Sandbox::new();
    let registry = Registry::start(&sandbox, &[ZOE]);
    let blocks = blocks("docker.md", "sh");
    let [setup, login, status, own_key] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    paste(&sandbox, setup, &registry);
    let (login, logout) = login.split_once('\n').expect("two commands");
    paste(&sandbox, login, &registry);
    assert_eq!(who(&sandbox), ["zoe"]);
    assert_nothing_in_the_clear(&sandbox);
    let said = paste(&sandbox, status, &registry).out();
    assert!(said.contains("decrypts    yes"), "{said}");
    paste(&sandbox, logout, &registry);
    assert_eq!(who(&sandbox), [""; 0]);

    let key = fs::read(golden::key(&sandbox, "ssh-ed25519")).unwrap();
    sandbox.file("home/.ssh/id_ed25519", key);
    paste(&sandbox, own_key, &registry);
    paste(&sandbox, login, &registry);
    assert_eq!(who(&sandbox), ["zoe"]);
    let store = sandbox.home().join(".local/share/registries");
    assert!(Snapshot::of(&store).contains(b"ServerURL"));
    let said = paste(&sandbox, status, &registry).out();
    assert!(said.contains("decrypts    yes"), "{said}");
}

#[test]
fn podman_skopeo_buildah() {
    let sandbox = Sandbox::new();
    let registry = Registry::start(&sandbox, &[ZOE]);
    let address = &registry.address;
    // It speaks plain HTTP; real ones do not.
    let name = "home/.config/containers/registries.conf.d/insecure.conf";
    let insecure = format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n");
    let insecure = sandbox.file(name, insecure);
    let image = registry::image(&sandbox);
    let policy = sandbox.file(
        "policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    let push = sandbox.client(tools::need("skopeo", "skopeo"));
    push.arg("--policy")
        .arg(policy)
        .args([
            "copy",
            "--dest-creds",
            &format!("{}:{}", ZOE.0, ZOE.1),
            &image,
        ])
        .arg(format!("docker://{address}/team/image:1"))
        .run()
        .succeeds();

    let blocks = blocks("podman.md", "sh");
    let [helpers, use_it, move_it, one_registry] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    paste(&sandbox, helpers, &registry);
    let (login, rest) = use_it.split_once('\n').expect("three commands");
    paste(&sandbox, login, &registry);
    assert_eq!(who(&sandbox), ["zoe"]);
    assert_nothing_in_the_clear(&sandbox);
    let inspected = paste(&sandbox, rest, &registry).out();
    assert!(inspected.contains("\"1\""), "{inspected}");
    assert_eq!(who(&sandbox), [""; 0]);

    fs::remove_file(insecure.with_file_name("posixage.conf")).unwrap();
    paste(&sandbox, login, &registry);
    assert_eq!(who(&sandbox), [""; 0], "the control");
    let said = paste(&sandbox, move_it, &registry).out();
    assert!(said.contains("moved "), "{said}");
    assert_eq!(who(&sandbox), ["zoe"]);
    paste(&sandbox, rest, &registry);
    assert_eq!(who(&sandbox), [""; 0]);

    paste(&sandbox, one_registry, &registry);
    paste(&sandbox, login, &registry);
    assert_eq!(who(&sandbox), ["zoe"]);
    assert_nothing_in_the_clear(&sandbox);
}

#[test]
fn ci() {
    let sandbox = Sandbox::new();
    let registry = Registry::start(&sandbox, &[ZOE]);
    let blocks = blocks("ci.md", "sh");
    let [one_job, prepare, start] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    paste(&sandbox, one_job, &registry);
    assert_eq!(who(&sandbox), ["zoe"]);
    assert_nothing_in_the_clear(&sandbox);

    // The person's machine, as it comes; and a repository.
    let sandbox = Sandbox::new();
    sandbox.file("home/repository/token.txt", "the token\n");
    let git = |args: &str| format!("git -c user.name=zoe -c user.email=zoe@example.com {args}");
    let script = format!(
        "cd repository; git init -q; {prepare}; {}; {}",
        git("commit -qm secrets"),
        git("clone -q . ../checkout"),
    );
    shell(&sandbox, &script).run().succeeds();
    let key = fs::read_to_string(sandbox.home().join("ci.key")).unwrap();
    let key = key
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
        .unwrap();

    // The runner's, which has nothing but the checkout and the variable.
    let runner = Sandbox::new();
    let checkout = sandbox.home().join("checkout");
    let job = |script: &str| {
        let job = shell(&runner, script).current_dir(&checkout);
        job.env("POSIXAGE_KEY", key).run()
    };
    let without_chmod = start.replace("chmod -R go= secrets\n", "");
    assert_ne!(without_chmod, *start);
    let modes = "chmod -R u=rwX,go=rX secrets;";
    let refused = job(&format!("{modes} {without_chmod}"));
    refused.fails(8).says(["open to others"]);
    let allowed = "export POSIXAGE_ALLOW_INSECURE_PERMISSIONS=1;";
    assert_eq!(
        job(&format!("{allowed} {without_chmod}"))
            .succeeds_silently()
            .out(),
        "the token"
    );
    assert_eq!(job(start).succeeds_silently().out(), "the token");
}

#[test]
fn systemd() {
    let sandbox = Sandbox::new();
    let etc = sandbox.directory("etc");
    let state = sandbox.directory("state");
    let here = |text: &str| {
        text.replace("/etc/posixage", etc.to_str().unwrap())
            .replace("%S", state.to_str().unwrap())
    };
    let [prepare] = blocks("systemd.md", "sh").try_into().expect("one block");
    shell(&sandbox, &here(&prepare)).run().succeeds();
    let [unit] = blocks("systemd.md", "ini").try_into().expect("one unit");
    let unit = here(&unit);
    let value = |name: &str| {
        let prefix = format!("{name}=");
        let mut values = unit.lines().filter_map(|line| line.strip_prefix(&prefix));
        values
            .next()
            .unwrap_or_else(|| panic!("no {name} in {unit}"))
    };
    // What systemd does with it.
    let (name, file) = value("LoadCredential").split_once(':').unwrap();
    let credential = sandbox.file(format!("credentials/{name}"), fs::read(file).unwrap());
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
    sandbox.directory(format!("state/{}", value("StateDirectory")));
    let service = |script: &str| {
        let mut service = shell(&sandbox, script).env_remove("HOME");
        for pair in value("Environment").split(' ') {
            let (name, value) = pair.split_once('=').unwrap();
            service = service.env(name, value);
        }
        service
            .env("CREDENTIALS_DIRECTORY", credential.parent().unwrap())
            .run()
            .succeeds()
    };
    service("echo secret | posixage set database/password");
    assert_eq!(service("posixage get database/password").out(), "secret");
    assert!(state.join("app/posixage/.posixage.toml").is_file());
    assert_eq!(
        Snapshot::of(&sandbox.home()).paths().count(),
        1,
        "nothing in the home"
    );

    let registry = Registry::start(&sandbox, &[ZOE]);
    let login = format!(
        "mkdir -p \"$DOCKER_CONFIG\"; echo '{{\"credsStore\":\"posixage\"}}' >\"$DOCKER_CONFIG/config.json\"; \
         echo \"$REGISTRY_PASSWORD\" | docker login --username zoe --password-stdin {}; \
         docker-credential-posixage list",
        registry.address
    );
    assert!(service(&login).out().contains("\"zoe\""));
    assert!(!Snapshot::of(&state).contains(b"canary"));
}
