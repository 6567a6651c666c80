//! A file that holds a key: age identities, armored or not, an SSH key, a password.

use std::path::Path;

use posixage::{KeyError, KeyFile};

use crate::place::{Place, write};

thread_local! {
    static PLACE: Place = Place::in_memory();
}

/// The input is the file.
pub fn run(input: &[u8]) {
    PLACE.with(|place| {
        let path = place.dir().join("key");
        write(&path, 0o600, input);
        match KeyFile::new(&path).identities() {
            Ok(source) => match source.recipients() {
                Ok(recipients) => {
                    for recipient in recipients {
                        let text = recipient.to_string();
                        assert_eq!(text.parse().as_ref(), Ok(&recipient));
                    }
                }
                Err(error) => check(&error, &path, input),
            },
            Err(error) => check(&error, &path, input),
        }
        match KeyFile::new(&path).password() {
            Ok(password) => drop(password),
            Err(error) => check(&error, &path, input),
        }
    });
}

/// An error does not quote the file: no text that is not a plain word.
fn check(error: &KeyError, path: &Path, input: &[u8]) {
    let text = error.to_string().replace(&*path.to_string_lossy(), "");
    for word in input
        .split(u8::is_ascii_whitespace)
        .filter(|word| word.len() > 24)
    {
        let quoted = text.as_bytes().windows(word.len()).any(|part| part == word);
        assert!(!quoted, "{text}");
    }
}
