//! The stores that the reference wrote, and what is in them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Sandbox, binary, tree};

/// One secret of one store.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// The store's name.
    pub store: String,
    /// The secret's id.
    pub id: String,
    /// The SHA-256 of its value, in hexadecimal.
    pub sha256: String,
    /// The length of its value.
    pub bytes: usize,
    /// Its metadata; `null` and `{}` differ.
    pub metadata: Option<BTreeMap<String, String>>,
}

impl Expected {
    /// Asserts that this is the value.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn assert_value(&self, value: &[u8]) {
        assert_eq!(
            value.len(),
            self.bytes,
            "length of {} {}",
            self.store,
            self.id
        );
        assert_eq!(sha256(value), self.sha256, "{} {}", self.store, self.id);
    }
}

/// The stores by name, with the keys of `fixtures/golden/keys` that fit.
pub const STORES: [(&str, &[&str]); 7] = [
    ("age", &["age-1.txt"]),
    ("age-two-recipients", &["age-1.txt", "age-2.txt"]),
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ssh-rsa", &["ssh-rsa"]),
    ("password-logn10", &["password.txt"]),
    ("password-default", &["password.txt"]),
    ("all-three", &["age-1.txt", "ssh-ed25519", "password.txt"]),
];

/// All of the secrets, in every store.
///
/// # Panics
/// The list cannot be read.
#[must_use]
pub fn expected() -> Vec<Expected> {
    let json = fs::read(fixtures().join("expected.json")).expect("fixtures/golden/expected.json");
    serde_json::from_slice(&json).expect("expected.json")
}

/// The secrets of one store.
#[must_use]
pub fn expected_in(store: &str) -> Vec<Expected> {
    let mut all = expected();
    all.retain(|e| e.store == store);
    assert!(!all.is_empty(), "no golden store {store}");
    all
}

/// The modes of a secret's directory and of a file: as set here, as the reference leaves them at
/// umask 022, and as cp or tar may have loosened both.
pub const MODES: [(u32, u32); 3] = [(0o700, 0o600), (0o700, 0o644), (0o755, 0o664)];

/// A copy of the store with these modes below its root, `NAME` in the sandbox.
///
/// # Panics
/// A mode cannot be set.
#[must_use]
pub fn store_with(sandbox: &Sandbox, name: &str, (directory, file): (u32, u32)) -> PathBuf {
    let root = store(sandbox, name);
    for path in tree::walk(&root).into_iter().skip(1) {
        let mode = if path.is_dir() { directory } else { file };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
    root
}

/// A copy of the store, `NAME` in the sandbox.
#[must_use]
pub fn store(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.copy(&fixtures().join("stores").join(name), name)
}

/// A copy of a key file, which only its owner may read.
///
/// # Panics
/// There is no such key.
#[must_use]
pub fn key(sandbox: &Sandbox, name: &str) -> PathBuf {
    let bytes = fs::read(fixtures().join("keys").join(name)).expect("a golden key");
    sandbox.file(Path::new("keys").join(name), bytes)
}

/// In hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn fixtures() -> PathBuf {
    binary::workspace().join("fixtures/golden")
}
