//! A real registry on loopback, Debian's docker-registry, for which one has to log in.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Program, Running, Sandbox, tools};

/// A registry that runs until this is dropped.
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    running: Running,
}

impl Registry {
    /// Starts one that knows these users and passwords.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(sandbox: &Sandbox, users: &[(&str, &str)]) -> Self {
        let htpasswd = tools::need("htpasswd", "apache2-utils");
        let lines = users.iter().map(|(username, password)| {
            // -B is bcrypt, the only one that the registry takes; at the least cost.
            let line = Program::new(&htpasswd).args(["-inBC", "5", username]);
            line.input(*password).run().succeeds().out()
        });
        let lines: String = lines.collect();
        let dir = tempfile::tempdir_in(sandbox.path()).expect("a temporary directory");
        let dir = dir.keep();
        fs::write(dir.join("htpasswd"), lines).expect("write htpasswd");
        let dir_text = dir.display();
        let config = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": format!("{dir_text}/data")}},
            // It says which port it has got.
            "http": {"addr": "127.0.0.1:0", "secret": "not one"},
            "auth": {"htpasswd": {"realm": "test", "path": format!("{dir_text}/htpasswd")}},
        });
        let config_path = dir.join("config.yml");
        // JSON is YAML.
        fs::write(&config_path, config.to_string()).expect("write config.yml");
        let registry = Program::new(tools::need("docker-registry", "docker-registry"));
        let running = registry.arg("serve").arg(config_path).start();
        let front = "listening on ";
        let behind = running.find_in_stderr(front, 0);
        let end = behind.and_then(|behind| running.find_in_stderr("\"", behind));
        let said = running.stderr_so_far();
        let (Some(begin), Some(end)) = (behind, end) else {
            panic!("no registry: {said}");
        };
        let address = said[begin..end - 1].to_owned();
        Self { address, running }
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.stderr_so_far()
    }
}

/// Makes an image of one empty layer, as a directory in the OCI layout; where it is.
///
/// # Panics
/// It cannot be written.
#[must_use]
pub fn image(sandbox: &Sandbox) -> String {
    let blob = |content: &[u8], media_type: &str| -> Value {
        let digest = format!("{:x}", Sha256::digest(content));
        sandbox.file(format!("image/blobs/sha256/{digest}"), content);
        json!({
            "mediaType": format!("application/vnd.oci.image.{media_type}"),
            "digest": format!("sha256:{digest}"),
            "size": content.len(),
        })
    };
    // The end of a tar archive.
    let layer = blob(&[0; 1024], "layer.v1.tar");
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = blob(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let manifest = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    sandbox.file("image/index.json", index.to_string());
    sandbox.file("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    format!("oci:{}", sandbox.path().join("image").display())
}
