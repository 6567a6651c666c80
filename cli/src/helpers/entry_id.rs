//! Which id stands for a URL that a client keeps a credential under.
//!
//! Ids have a small alphabet and no empty components, URLs do not care. So each part between
//! slashes is written as it is, apart from bytes outside the alphabet and `_`, which become `_` and
//! two hexadecimal digits; an empty part is a single `_`. What would be too long for an id is named
//! by its SHA-256 below `_sha256`, which no escape looks like.
//!
//! | URL | id, below `docker` |
//! | --- | --- |
//! | `registry.example.com:5000` | `docker/registry.example.com:5000` |
//! | `https://index.docker.io/v1/` | `docker/https:/_/index.docker.io/v1/_` |

use std::fmt::Write;

use posixage::{Id, MAX_ID_LEN};
use sha2::{Digest, Sha256};

/// The id for `text` below the component `namespace`: the same for the same text, never the same for
/// two different ones.
pub(crate) fn entry_id(namespace: &str, text: &str) -> Id {
    let parts: Vec<String> = text.split('/').map(escape).collect();
    let readable = format!("{namespace}/{}", parts.join("/"));
    let id = match readable.len() <= MAX_ID_LEN {
        true => readable,
        false => format!("{namespace}/_sha256/{:x}", Sha256::digest(text)),
    };
    id.parse()
        .expect("an escaped text has an id's alphabet and length")
}

/// The text that has this id below `namespace`, as far as the id tells.
pub(crate) fn entry_text(namespace: &str, id: &Id) -> Option<String> {
    let rest = id.as_str().strip_prefix(namespace)?.strip_prefix('/')?;
    let parts: Option<Vec<String>> = rest.split('/').map(unescape).collect();
    let text = parts?.join("/");
    (entry_id(namespace, &text) == *id).then_some(text)
}

/// A URL without the user name and password in it.
pub(crate) fn without_user(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let rest = &url[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    match authority.rfind('@') {
        Some(at) => [&url[..start], &rest[at + 1..]].concat(),
        None => url.into(),
    }
}

fn escape(part: &str) -> String {
    if part.is_empty() {
        return "_".into();
    }
    let mut escaped = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b':' | b'-' => {
                escaped.push(byte.into());
            }
            _ => {
                let _ = write!(escaped, "_{byte:02x}");
            }
        }
    }
    escaped
}

fn unescape(part: &str) -> Option<String> {
    if part == "_" {
        return Some(String::new());
    }
    let mut pieces = part.split('_');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_registries_are_called_stays_readable() {
        for (url, id) in [
            (
                "registry.example.com:5000",
                "docker/registry.example.com:5000",
            ),
            (
                "https://index.docker.io/v1/",
                "docker/https:/_/index.docker.io/v1/_",
            ),
            ("localhost", "docker/localhost"),
            ("[::1]:5000/a_b", "docker/_5b::1_5d:5000/a_5fb"),
            ("", "docker/_"),
            ("_", "docker/_5f"),
            ("/", "docker/_/_"),
        ] {
            assert_eq!(entry_id("docker", url).as_str(), id);
        }
    }

    #[test]
    fn urls_that_differ_in_any_part_have_different_ids() {
        let urls = [
            "host",
            "HOST",
            "host/",
            "/host",
            "host//",
            "host:443",
            "http://host",
            "https://host",
            "https://host/",
            "https:/host",
            "https:/_/host",
            "host_",
            "_sha256/00",
            "host%2f",
        ];
        let ids: std::collections::BTreeSet<Id> =
            urls.iter().map(|url| entry_id("docker", url)).collect();
        assert_eq!(ids.len(), urls.len());
    }

    #[test]
    fn a_long_url_is_named_by_its_hash() {
        let long = "x".repeat(183);
        assert_eq!(entry_id("docker", &long[..182]).as_str().len(), MAX_ID_LEN);
        let id = entry_id("docker", &long);
        assert!(id.as_str().starts_with("docker/_sha256/"));
        assert_eq!(id.as_str().len(), "docker/_sha256/".len() + 64);
        // A URL that looks like such an id is not taken for one.
        let forged = id.as_str().strip_prefix("docker/").unwrap();
        assert_ne!(entry_id("docker", forged), id);
    }

    proptest! {
        #[test]
        fn a_readable_id_decodes_to_its_url(url in "\\PC{0,60}|[a-z/_:%\\x00-\\x20]{0,80}") {
            let id = entry_id("docker", &url);
            match entry_text("docker", &id) {
                Some(decoded) => prop_assert_eq!(decoded, url),
                None => prop_assert!(url.len() > 60),
            }
        }

        #[test]
        fn any_other_id_decodes_to_nothing(id in "docker(/[a-z_0-9A-F]{1,6}){1,3}") {
            let id: Id = id.parse().unwrap();
            if let Some(url) = entry_text("docker", &id) {
                prop_assert_eq!(entry_id("docker", &url), id);
            }
        }

        #[test]
        fn different_urls_have_different_ids_within_the_limit(
            a in "[a_/]{0,8}|\\PC{0,300}", b in "[a_/]{0,8}|\\PC{0,300}",
        ) {
            let (x, y) = (entry_id("docker", &a), entry_id("docker", &b));
            prop_assert!(x.as_str().len() <= MAX_ID_LEN);
            prop_assert_eq!(a == b, x == y);
        }
    }
}
