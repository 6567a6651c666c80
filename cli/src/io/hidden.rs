//! Keys kept out of messages, whatever they were mistaken for.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// What stands in a message instead.
const HIDDEN: &str = "(a private key, not shown)";

/// How a private key begins, and what may follow.
const FORMS: [(&str, Form); 5] = [
    ("-----BEGIN", Form::Block),
    ("AGE-SECRET-KEY-", Form::Word),
    ("AGE-PLUGIN-", Form::Word),
    // The beginning of an OpenSSH key, and of a PKCS#1 or PKCS#8 key, without the lines around it.
    ("b3BlbnNzaC1rZXkt", Form::Word),
    ("MIIE", Form::Word),
];

#[derive(Clone, Copy)]
enum Form {
    /// To the end of its last line, or of the text.
    Block,
    /// As far as it is base64, Bech32 or a name.
    Word,
}

/// The text without anything that has the form of a private key. A program that is told a key where it
/// expects a path, an id or a command would print it otherwise.
pub(crate) fn without_keys(text: &str) -> Cow<'_, str> {
    let Some((start, len)) = find(text) else {
        return Cow::Borrowed(text);
    };
    let rest = without_keys(&text[start + len..]);
    Cow::Owned([&text[..start], HIDDEN, &rest].concat())
}

/// Where the first key is, and how long.
fn find(text: &str) -> Option<(usize, usize)> {
    let at = |(start, form): &(&str, Form)| {
        let found = position(text, start)?;
        let key = &text[found..];
        let len = match form {
            Form::Block => block_len(key),
            Form::Word => {
                let end = key.find(|c: char| !c.is_ascii_alphanumeric() && !"-_+/=".contains(c));
                end.unwrap_or(key.len())
            }
        };
        // A word that only begins like a key is too short for one.
        let is_key = match *start {
            "MIIE" | "b3BlbnNzaC1rZXkt" => len > 60,
            "AGE-PLUGIN-" => key[..len].contains("-1"),
            _ => true,
        };
        is_key.then_some((found, len))
    };
    FORMS.iter().filter_map(at).min()
}

/// Where `start` first is; letters in either case, but for base64.
fn position(text: &str, start: &str) -> Option<usize> {
    if !start.ends_with('-') || start.starts_with("b3") {
        return text.find(start);
    }
    let mut windows = text.as_bytes().windows(start.len());
    windows.position(|window| window.eq_ignore_ascii_case(start.as_bytes()))
}

fn block_len(block: &str) -> usize {
    let last = block.find("-----END").map(|at| at + "-----END".len());
    let end = last.and_then(|last| Some(last + block[last..].find("-----")? + "-----".len()));
    end.unwrap_or(block.len())
}

/// Standard error for the log, which names what it was given.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An event is one write.
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(without_keys(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_looks_like_a_private_key_is_hidden() {
        let base64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7CANARYCANARY";
        for (text, shown) in [
            (
                "no store at /AGE-SECRET-KEY-1CANARY".to_owned(),
                "no store at /(a private key, not shown)",
            ),
            (
                "x age-secret-key-1canary: y".into(),
                "x (a private key, not shown): y",
            ),
            (
                "x AGE-SECRET-KEY-PQ-1CANARY, AGE-SECRET-KEY-1CANARY".into(),
                "x (a private key, not shown), (a private key, not shown)",
            ),
            (
                "AGE-PLUGIN-YUBIKEY-1CANARY".into(),
                "(a private key, not shown)",
            ),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY----- b".into(),
                "a (a private key, not shown) b",
            ),
            (
                "a -----BEGIN OPENSSH PRIVATE KEY-----\nCANARY".into(),
                "a (a private key, not shown)",
            ),
            (format!("id {base64} x"), "id (a private key, not shown) x"),
        ] {
            assert_eq!(without_keys(&text), shown);
        }
    }

    #[test]
    fn other_texts_are_as_they_were() {
        for text in [
            "",
            "age-plugin-yubikey is missing",
            "MIIE",
            "no secret a/b",
            "é-----",
        ] {
            assert!(matches!(without_keys(text), Cow::Borrowed(same) if same == text));
        }
    }
}
