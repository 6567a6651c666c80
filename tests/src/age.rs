//! Debian's `age`, which shares no code with us.

use std::{fs, path::Path};

use posixage::{Id, KeyType};

use crate::{Program, Terminal, tools};

/// What `age -d -i KEY FILE` prints.
///
/// # Panics
/// It fails.
#[track_caller]
#[must_use]
pub fn decrypt(key: &Path, file: &Path) -> Vec<u8> {
    let age = Program::new(tools::need("age", "age"))
        .args(["-d", "-i"])
        .args([key, file]);
    age.run().succeeds().stdout
}

/// What `age -d FILE` writes to `output` when the password is typed at its prompt.
///
/// # Panics
/// It fails.
#[track_caller]
#[must_use]
pub fn decrypt_with_password(password: &str, file: &Path, output: &Path) -> Vec<u8> {
    let age = Program::new(tools::need("age", "age"))
        .args(["-d", "-o"])
        .args([output, file]);
    let mut terminal = Terminal::start(age);
    terminal.answers("Enter passphrase", password);
    let end = terminal.wait();
    assert!(end.status.success(), "{end:?}");
    fs::read(output).expect("what age wrote")
}

/// The file that holds a secret for one type of key.
#[must_use]
pub fn ciphertext(store: &Path, id: &str, key_type: KeyType) -> std::path::PathBuf {
    let id: Id = id.parse().expect("an id");
    store.join(id.directory_name()).join(key_type.file_name())
}

/// The stanzas of an age file, as their words.
///
/// # Panics
/// It is not a binary age file.
#[track_caller]
#[must_use]
pub fn stanzas(file: &Path) -> Vec<Vec<String>> {
    let bytes = fs::read(file).expect("an age file");
    assert!(
        bytes.starts_with(b"age-encryption.org/v1\n"),
        "not a binary age file"
    );
    let header = bytes
        .split(|b| *b == b'\n')
        .take_while(|line| !line.starts_with(b"---"));
    let words = |line: &[u8]| {
        let line = std::str::from_utf8(line).expect("a header in ASCII");
        let stanza = line.strip_prefix("-> ")?;
        Some(stanza.split(' ').map(String::from).collect())
    };
    header.filter_map(words).collect()
}
