//! Keys behind a passphrase, and their passphrase.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Sandbox, binary};

/// The files of `fixtures/keys`, each with its public half.
pub const LOCKED: [(&str, &str); 4] = [
    ("age-locked", "age-locked.pub"),
    ("age-locked-armored", "age-locked.pub"),
    ("ssh-ed25519-locked", "ssh-ed25519-locked.pub"),
    ("ssh-rsa-locked", "ssh-rsa-locked.pub"),
];

/// A copy of such a file, which only its owner may read.
#[must_use]
pub fn locked(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.file(Path::new("keys").join(name), read(name))
}

/// A recipient, as text.
#[must_use]
pub fn recipient(name: &str) -> String {
    String::from_utf8(read(name)).expect("text").trim().into()
}

/// The passphrase of all of them.
#[must_use]
pub fn passphrase() -> String {
    recipient("passphrase.txt")
}

fn read(name: &str) -> Vec<u8> {
    let path = binary::workspace().join("fixtures/keys").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}
