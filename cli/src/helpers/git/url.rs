//! The parts of a URL, as Git takes one apart for a credential.

use zeroize::Zeroizing;

use crate::helpers::git::description::Attribute;

type Part = (Attribute, Option<Zeroizing<Vec<u8>>>);

/// `PROTOCOL://[USERNAME[:PASSWORD]@]HOST[/PATH]`, each with its percent escapes undone; a part that
/// is not there is `None`. The host has the port in it and may be empty.
pub(super) fn parts(url: &[u8]) -> Result<[Part; 5], &'static str> {
    let separator = url.windows(3).position(|window| window == b"://");
    let Some(end) = separator.filter(|end| *end > 0) else {
        return Err("is a URL without a protocol");
    };
    let (protocol, rest) = (&url[..end], &url[end + 3..]);
    let slash = position(rest, b"/?#").unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let (user, host) = match position(authority, b"@") {
        Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
        None => (None, authority),
    };
    let (username, password) = match user.map(|user| (user, position(user, b":"))) {
        Some((user, Some(colon))) => (Some(&user[..colon]), Some(&user[colon + 1..])),
        Some((user, None)) => (Some(user), None),
        None => (None, None),
    };
    let path = trimmed(path);
    let parts = [
        (Attribute::Protocol, Some(Zeroizing::new(protocol.to_vec()))),
        (Attribute::Host, Some(decoded(host))),
        (Attribute::Path, (!path.is_empty()).then(|| decoded(path))),
        (Attribute::Username, username.map(decoded)),
        (Attribute::Password, password.map(decoded)),
    ];
    let values = parts.iter().filter_map(|(_, value)| value.as_ref());
    if values
        .into_iter()
        .any(|value| value.iter().any(|byte| b"\n\r\0".contains(byte)))
    {
        return Err("is a URL with a line break or NUL in it");
    }
    Ok(parts)
}

fn position(bytes: &[u8], any_of: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| any_of.contains(byte))
}

/// Without the slashes around it.
fn trimmed(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

fn decoded(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &str) -> Vec<Option<String>> {
        let text = |value: Zeroizing<Vec<u8>>| String::from_utf8(value.to_vec()).unwrap();
        let parts = parts(url.as_bytes()).unwrap();
        parts
            .into_iter()
            .map(|(_, value)| value.map(text))
            .collect()
    }

    #[test]
    fn a_url_is_taken_apart_as_git_does() {
        let cases: [(&str, [Option<&str>; 5]); 9] = [
            ("https://h", [Some("https"), Some("h"), None, None, None]),
            (
                "https://h:8080/",
                [Some("https"), Some("h:8080"), None, None, None],
            ),
            (
                "https://h//a/b.git/",
                [Some("https"), Some("h"), Some("a/b.git"), None, None],
            ),
            (
                "https://zoe@h",
                [Some("https"), Some("h"), None, Some("zoe"), None],
            ),
            (
                "https://zo%40e:p%3aw@h/p%20q",
                [
                    Some("https"),
                    Some("h"),
                    Some("p q"),
                    Some("zo@e"),
                    Some("p:w"),
                ],
            ),
            (
                "https://@h",
                [Some("https"), Some("h"), None, Some(""), None],
            ),
            // The host ends at a query; an @ behind it is none of its own.
            (
                "https://h?a@b",
                [Some("https"), Some("h"), Some("?a@b"), None, None],
            ),
            (
                "cert:///etc/key.pem",
                [Some("cert"), Some(""), Some("etc/key.pem"), None, None],
            ),
            (
                "https://100%/%zz",
                [Some("https"), Some("100%"), Some("%zz"), None, None],
            ),
        ];
        for (url, parts) in cases {
            let parts = parts.map(|part| part.map(str::to_owned));
            assert_eq!(text(url), parts, "{url}");
        }
    }

    #[test]
    fn no_protocol_and_newlines_are_refused() {
        for bad in [
            "h/p",
            "://h",
            "",
            "https://h/%0a",
            "https://u%0a@h",
            "https://h%00",
            "https://u%0d@h",
        ] {
            assert!(parts(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
