//! Claim: with a real daemon docker logs in, pushes, pulls and builds by credentials from the store.

use std::fs;

use posixage_tests::{
    Output, Program, Sandbox, binary,
    docker::{with_wrapper, wrapper},
    docker_daemon::DockerDaemon,
    docker_helper::{list, store},
    registry::Registry,
    tree::Snapshot,
};

const ZOE: (&str, &str) = ("zoe", "canary-of-zoe");

/// A daemon, a registry, and a home that is logged in to it.
struct Ground {
    daemon: DockerDaemon,
    registry: Registry,
    sandbox: Sandbox,
}

impl Ground {
    /// `None` where there is no daemon.
    fn new() -> Option<Self> {
        let sandbox = Sandbox::new();
        let daemon = DockerDaemon::start(&sandbox)?;
        let registry = Registry::start(&sandbox, &[ZOE]);
        let ground = Self {
            daemon,
            registry,
            sandbox,
        };
        let setup = ground.sandbox.client(binary::posixage());
        setup.args(["docker", "setup"]).run().succeeds();
        let login = ["login", "--username", ZOE.0, "--password-stdin"];
        let login = ground.docker(&login).arg(&ground.registry.address);
        login.input(ZOE.1).run().succeeds();
        Some(ground)
    }

    fn docker(&self, args: &[&str]) -> Program {
        self.daemon.docker(&self.sandbox, args)
    }

    /// The name of an image in the registry.
    fn image(&self, tag: &str) -> String {
        format!("{}/team/image:{tag}", self.registry.address)
    }

    /// Makes an image of one file; the daemon has it, the registry does not.
    #[track_caller]
    fn import(&self, tag: &str) {
        let file = self.sandbox.file("layer/file", tag);
        let tar = Program::new("tar").args(["--create", "--directory"]);
        let tar = tar.arg(file.parent().expect("a directory")).arg("file");
        let archive = tar.run().succeeds().stdout;
        let import = self.docker(&["import", "-", &self.image(tag)]);
        import.input(archive).run().succeeds();
    }

    /// Makes an image that only the registry has.
    #[track_caller]
    fn pushed(&self, tag: &str) -> String {
        self.import(tag);
        let image = self.image(tag);
        self.docker(&["push", &image]).run().succeeds();
        self.docker(&["rmi", &image]).run().succeeds();
        image
    }

    #[track_caller]
    fn assert_nothing_in_the_clear(&self) {
        let home = Snapshot::of(&self.sandbox.home());
        // zoe:canary in base64, too.
        for secret in ["canary", "em9lOmNhbmFyeS1vZi"] {
            assert!(
                !home.contains(secret.as_bytes()),
                "{secret} is in the clear"
            );
        }
    }
}

#[track_caller]
fn is_refused(output: &Output) {
    assert!(!output.status.success(), "{output:?}");
    assert!(output.err().contains("auth"), "{output:?}");
}

#[test]
fn login_push_pull_and_logout() {
    let Some(ground) = Ground::new() else {
        return;
    };
    let image = ground.pushed("one");
    ground.docker(&["pull", &image]).run().succeeds();
    ground.assert_nothing_in_the_clear();

    let address = ground.registry.address.as_str();
    let logout = ground.docker(&["logout", address]).run().succeeds();
    assert!(!logout.err().contains("WARNING"), "{logout:?}");
    assert!(list(&ground.sandbox).is_empty());
    ground.docker(&["rmi", &image]).run().succeeds();
    is_refused(&ground.docker(&["pull", &image]).run());
}

#[test]
fn sixteen_pulls_at_once_all_succeed() {
    let Some(ground) = Ground::new() else {
        return;
    };
    let images = (0..16).map(|n: u8| ground.pushed(&n.to_string()));
    let images: Vec<String> = images.collect();
    let pulls: Vec<_> = (images.iter())
        .map(|image| ground.docker(&["pull", image]).start())
        .collect();
    for pull in pulls {
        pull.wait().succeeds();
    }
}

#[test]
fn a_classic_build_asks_for_every_entry_and_pulls_its_base() {
    let Some(ground) = Ground::new() else {
        return;
    };
    let image = ground.pushed("base");
    // Further logins, of which a build sends the daemon all.
    let sandbox = &ground.sandbox;
    for url in ["https://index.docker.io/v1/", "registry.example.com"] {
        store(sandbox, url, "bob", "canary-of-bob");
    }
    sandbox.file(
        "context/Dockerfile",
        format!("FROM {image}\nCOPY Dockerfile /\n"),
    );
    let context = sandbox.path().join("context").display().to_string();
    let build = || {
        let build = ground.docker(&["build", "--pull", &context]);
        build.env("DOCKER_BUILDKIT", "0")
    };

    let calls = sandbox.path().join("calls");
    let helper = binary::directory().join("docker-credential-posixage");
    let script = format!(
        "echo \"$1\" >>'{}'; exec '{}' \"$@\"",
        calls.display(),
        helper.display()
    );
    let directory = wrapper(sandbox, &script);
    with_wrapper(build(), &directory).run().succeeds();
    let calls = fs::read_to_string(calls).expect("what was called");
    assert_eq!(calls, "list\nget\nget\nget\n");
    ground.assert_nothing_in_the_clear();

    let address = ground.registry.address.as_str();
    ground.docker(&["logout", address]).run().succeeds();
    ground.docker(&["rmi", &image]).run().succeeds();
    is_refused(&build().run());
}
