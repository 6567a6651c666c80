//! Docker's `config.json`.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::Sandbox;

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
    pub fn mode(&self, path: &std::path::Path) -> u32 {
        let stat = fs::symlink_metadata(path).expect("stat");
        stat.permissions().mode() & 0o777
    }
}
