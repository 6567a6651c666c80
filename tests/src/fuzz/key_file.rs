//! A file that holds a key: age identities, armored or not, an SSH key, a password.

use posixage::{KeyError, KeyFile};

use super::place::{Place, write};

thread_local! {
    static PLACE: Place = Place::new();
}

/// The input is the file.
pub fn run(input: &[u8]) {
    PLACE.with(|place| {
        let path = place.dir.path().join("key");
        write(&path, 0o600, input);
        let file = KeyFile::new(&path).passphrase(|_| Ok("passphrase".into()));
        match file.identities() {
            Ok(source) => match source.recipients() {
                Ok(recipients) => {
                    for recipient in recipients {
                        let text = recipient.to_string();
                        assert_eq!(text.parse().as_ref(), Ok(&recipient));
                    }
                }
                Err(error) => check(&error, input),
            },
            Err(error) => check(&error, input),
        }
        match KeyFile::new(&path).password() {
            Ok(password) => drop(password),
            Err(error) => check(&error, input),
        }
    });
}

/// An error does not quote the file.
fn check(error: &KeyError, input: &[u8]) {
    let text = error.to_string();
    let lines = input.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| line.len() > 24) {
        let quoted = text.as_bytes().windows(line.len()).any(|part| part == line);
        assert!(!quoted, "{text}");
    }
}
