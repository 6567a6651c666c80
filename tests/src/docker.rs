//! Docker's `config.json`, and what `posixage docker` does to it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{Output, Program, Sandbox, binary, docker_helper::HELPER, tree::Snapshot};

/// As docker 28 writes it, with unknown members in between.
/// The passwords: zoe:canary-1, bob:canary-2:with:colons, AWS:canary-3, and the token canary-4.
pub const CONFIG: &str = r#"{
	"auths": {
		"127.0.0.1:5000": {
			"auth": "em9lOmNhbmFyeS0x"
		},
		"elsewhere.example.com": {},
		"https://index.docker.io/v1/": {
			"auth": "Ym9iOmNhbmFyeS0yOndpdGg6Y29sb25z",
			"email": "bob@example.com"
		},
		"ecr.example.com": {
			"username": "AWS",
			"password": "canary-3"
		},
		"azure.example.com": {
			"auth": "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==",
			"identitytoken": "canary-4"
		},
		"gcr.example.com": {
			"auth": "b3duOmNhbmFyeS1vd24="
		}
	},
	"HttpHeaders": {
		"X-Meta": "<&> \u003ckept\u003e"
	},
	"zz-unknown": [1.50e3, null, {"a":1}],
	"credHelpers": {
		"gcr.example.com": "gcloud"
	},
	"detachKeys": "ctrl-e,e"
}"#;

/// What would show if the credentials in [`CONFIG`] were in the clear.
pub const SECRETS: [&str; 6] = [
    "canary-1",
    "canary-2",
    "canary-3",
    "canary-4",
    "em9lOmNhbmFyeS0x",
    "Ym9iOmNhbmFyeS0y",
];

/// `posixage docker` with these arguments, where the helper is in `PATH`.
pub fn docker(sandbox: &Sandbox, args: &[&str]) -> Program {
    sandbox.client(binary::posixage()).arg("docker").args(args)
}

/// A home with this `config.json`.
#[must_use]
pub fn with_config(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("home/.docker/config.json", text);
    sandbox
}

/// Asserts that `posixage docker` says of this `config.json` that it is damaged, quotes nothing of it,
/// and changes nothing.
#[track_caller]
pub fn assert_damaged(text: &str) {
    let sandbox = with_config(text);
    let before = Snapshot::of(&sandbox.home());
    for args in [&["setup"][..], &["setup", "--dry-run"], &["status"]] {
        let output = docker(&sandbox, args).run().fails(7).says(["config.json"]);
        assert!(!output.err().contains("canary"), "{output:?}");
    }
    assert_eq!(Snapshot::of(&sandbox.home()), before, "{text:?}");
}

/// Runs `posixage docker setup`.
#[track_caller]
pub fn setup(sandbox: &Sandbox) -> Output {
    docker(sandbox, &["setup"]).run().succeeds()
}

/// Runs `posixage docker setup --undo`.
#[track_caller]
pub fn undo(sandbox: &Sandbox) -> Output {
    docker(sandbox, &["setup", "--undo"])
        .run()
        .succeeds_silently()
}

/// Nothing of the credentials that were moved is in the clear anywhere in the home.
///
/// # Panics
/// Something is.
#[track_caller]
pub fn assert_encrypted(sandbox: &Sandbox) {
    let home = Snapshot::of(&sandbox.home());
    for secret in SECRETS {
        assert!(
            !home.contains(secret.as_bytes()),
            "{secret} is in the clear"
        );
    }
}

/// The directory of a custom `docker-credential-posixage`.
///
/// # Panics
/// It cannot be written.
#[must_use]
pub fn wrapper(sandbox: &Sandbox, script: &str) -> PathBuf {
    let directory = sandbox.directory("wrapper");
    // Written by a process of its own: whatever another thread starts while this one has it open for
    // writing would keep it open, and it could not be executed.
    let write = Program::new("sh").args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]);
    let write = write.arg(directory.join(HELPER));
    let script = format!("#!/bin/sh\n{script}\n");
    write.input(script).run().succeeds();
    directory
}

/// The program with that directory first in `PATH`.
pub fn with_wrapper(program: Program, directory: &Path) -> Program {
    program.env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
}

impl Sandbox {
    /// `~/.docker/config.json`.
    #[must_use]
    pub fn docker_config(&self) -> PathBuf {
        self.home().join(".docker/config.json")
    }

    /// Its text.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn docker_config_text(&self) -> String {
        fs::read_to_string(self.docker_config()).expect("config.json")
    }

    /// The mode of a file, permission bits only.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn mode(&self, path: &Path) -> u32 {
        let stat = fs::symlink_metadata(path).expect("stat");
        stat.permissions().mode() & 0o777
    }
}
