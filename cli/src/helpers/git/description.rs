//! A credential as Git describes it: lines of `key=value`, ended by an empty one.

use std::{collections::BTreeMap, time::Duration};

use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    helpers::git::{entry, url},
    io::input,
};

/// The longest description in bytes (1 MiB). Git allows lines of 64 KiB.
const MAX_LEN: usize = 1 << 20;

/// What comes before the attributes that not every Git knows.
const AUTHTYPE: &[u8] = b"capability[]=authtype\n";

/// The attributes that are kept, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attribute {
    Protocol,
    Host,
    Path,
    Username,
    Authtype,
    PasswordExpiryUtc,
    Password,
    Credential,
    OauthRefreshToken,
}

impl Attribute {
    const ALL: [Self; 9] = [
        Self::Protocol,
        Self::Host,
        Self::Path,
        Self::Username,
        Self::Authtype,
        Self::PasswordExpiryUtc,
        Self::Password,
        Self::Credential,
        Self::OauthRefreshToken,
    ];

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Host => "host",
            Self::Path => "path",
            Self::Username => "username",
            Self::Authtype => "authtype",
            Self::PasswordExpiryUtc => "password_expiry_utc",
            Self::Password => "password",
            Self::Credential => "credential",
            Self::OauthRefreshToken => "oauth_refresh_token",
        }
    }

    /// Whether Git may be told of it, or tell it, only after `capability[]=authtype`.
    pub(super) const fn needs_authtype(self) -> bool {
        matches!(self, Self::Authtype | Self::Credential)
    }
}

/// Which credential is meant, or what it is. Values are bytes without newline and NUL.
#[derive(Clone, Default)]
pub(super) struct Description {
    values: BTreeMap<Attribute, Zeroizing<Vec<u8>>>,
    /// Whether Git understands `authtype`, `credential` and `ephemeral`.
    pub(super) authtype: bool,
    /// Whether Git says that the credential is not worth keeping.
    pub(super) ephemeral: bool,
}

impl Description {
    /// What Git writes to standard input.
    pub(super) fn read() -> Result<Self, Failure> {
        // A person who types a description ends it with an empty line, and waits for the answer.
        Self::parse(&input::read_until(MAX_LEN, has_empty_line)?)
    }

    /// Everything up to an empty line or the end. A key that comes twice has its last value. As Git reads
    /// it, a line ends with LF or with CR and LF; no value that is kept has a CR in it, since Git would not
    /// take it back.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let description = Self::parse_lines(bytes, |line| line.strip_suffix(b"\r"))?;
        match description
            .values
            .values()
            .any(|value| value.contains(&b'\r'))
        {
            true => Err(Failure::new(
                "a value of the description has a carriage return",
            )),
            false => Ok(description),
        }
    }

    /// What [`write`](Self::write) wrote, an earlier version included, which kept a CR.
    pub(super) fn parse_stored(bytes: &[u8]) -> Result<Self, Failure> {
        Self::parse_lines(bytes, |_| None)
    }

    fn parse_lines(
        bytes: &[u8],
        without_end: impl Fn(&[u8]) -> Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let mut description = Self::default();
        for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            let line = without_end(line).unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let fails = |why: &str| Failure::new(format!("line {number} of the description {why}"));
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
                return Err(fails("has no ="));
            };
            if line.contains(&0) {
                return Err(fails("has a NUL"));
            }
            let (key, value) = (&line[..equals], &line[equals + 1..]);
            match key {
                b"capability[]" => match value {
                    b"authtype" => description.authtype = true,
                    b"" => description.authtype = false,
                    _ => {}
                },
                b"ephemeral" => {
                    description.ephemeral =
                        description.authtype && matches!(value, b"1" | b"true" | b"yes" | b"on");
                }
                b"url" => description.go_to(value, &fails)?,
                _ => description.take(key, value),
            }
        }
        Ok(description)
    }

    /// Any other line. What is not known is passed over: it may be of a later version.
    fn take(&mut self, key: &[u8], value: &[u8]) {
        let known = Attribute::ALL
            .into_iter()
            .find(|attribute| attribute.key().as_bytes() == key);
        match known {
            Some(attribute) if attribute.needs_authtype() && !self.authtype => {}
            Some(Attribute::PasswordExpiryUtc) if seconds(value).is_none() => {}
            Some(attribute) => self.set(attribute, value),
            None => {}
        }
    }

    /// Git forgets what it was told before of the parts of a URL.
    fn go_to(&mut self, text: &[u8], fails: &dyn Fn(&str) -> Failure) -> Result<(), Failure> {
        for (attribute, value) in url::parts(text).map_err(fails)? {
            match value {
                Some(value) => self.set(attribute, &value),
                None => drop(self.values.remove(&attribute)),
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, attribute: Attribute) -> Option<&[u8]> {
        self.values.get(&attribute).map(|value| value.as_slice())
    }

    pub(super) fn has(&self, attribute: Attribute) -> bool {
        self.values.contains_key(&attribute)
    }

    pub(super) fn set(&mut self, attribute: Attribute, value: &[u8]) {
        self.values
            .insert(attribute, Zeroizing::new(value.to_vec()));
    }

    /// When the password expires, in seconds since 1970.
    pub(super) fn expiry(&self) -> Option<u64> {
        seconds(self.get(Attribute::PasswordExpiryUtc)?)
    }

    /// Whether there is something in it that opens a door.
    pub(super) fn is_credential(&self) -> bool {
        self.has(Attribute::Username) && self.has(Attribute::Password)
            || self.has(Attribute::Authtype) && self.has(Attribute::Credential)
    }

    /// Whether `other` opens the same door with the same secret.
    pub(super) fn same_secret(&self, other: &Self) -> bool {
        [
            Attribute::Password,
            Attribute::Authtype,
            Attribute::Credential,
        ]
        .iter()
        .all(|attribute| self.get(*attribute) == other.get(*attribute))
    }

    /// This, with what `newer` says in place of what it said before. An expiry that is over by `now` is
    /// not kept: the password has been of use after it.
    pub(super) fn updated(&self, newer: &Self, now: Duration) -> Self {
        let mut updated = newer.clone();
        let is_over = entry::is_over(self.expiry(), now);
        for (attribute, value) in &self.values {
            if is_over && *attribute == Attribute::PasswordExpiryUtc {
                continue;
            }
            updated
                .values
                .entry(*attribute)
                .or_insert_with(|| value.clone());
        }
        updated
    }

    pub(super) fn same_values(&self, other: &Self) -> bool {
        self.values == other.values
    }

    /// As [`parse`](Self::parse) reads it, without an empty line at the end.
    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let lines = self.values.iter();
        let len: usize = lines
            .clone()
            .map(|(a, v)| a.key().len() + v.len() + 2)
            .sum();
        // In one piece: a vector that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(AUTHTYPE.len() + len));
        if self
            .values
            .keys()
            .any(|attribute| attribute.needs_authtype())
        {
            text.extend_from_slice(AUTHTYPE);
        }
        for (attribute, value) in lines {
            text.extend_from_slice(attribute.key().as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text
    }
}

/// Whether an empty line ends a description, which had none before `seen`.
fn has_empty_line(bytes: &[u8], seen: usize) -> bool {
    (seen..bytes.len()).any(|end| {
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        bytes[end] == b'\n' && matches!(line.last(), None | Some(b'\n'))
    })
}

/// Seconds since 1970; as in Git, 0 and what is no number say nothing.
fn seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Description {
        Description::parse(text.as_bytes()).unwrap()
    }

    fn text(description: &Description) -> String {
        String::from_utf8(description.write().to_vec()).unwrap()
    }

    #[test]
    fn known_attributes_up_to_the_empty_line_are_kept() {
        let description = parse(
            "host=old\nwwwauth[]=Basic realm=\"x\"\nprotocol=https\nstate[]=x\nhost=a=b\nfuture=\n\
             password= p \nquit=1\n\nusername=beyond\n",
        );
        assert_eq!(
            text(&description),
            "protocol=https\nhost=a=b\npassword= p \n"
        );
        assert!(!description.authtype);
    }

    #[test]
    fn a_line_without_equals_or_with_nul_is_refused_unquoted() {
        for bad in [
            &b"protocol=https\ncanary\n"[..],
            b"protocol=https\npassword=canary\0x\n",
        ] {
            let error = Description::parse(bad).err().unwrap().to_string();
            assert!(
                error.contains("line 2") && !error.contains("canary"),
                "{error}"
            );
        }
    }

    #[test]
    fn authtype_is_only_for_clients_that_announced_it() {
        let lines = "authtype=Bearer\ncredential=token\nephemeral=1\n";
        let without = parse(lines);
        assert!(text(&without).is_empty() && !without.ephemeral);
        let with = parse(&format!("capability[]=authtype\n{lines}"));
        assert_eq!(
            text(&with),
            format!("capability[]=authtype\nauthtype=Bearer\ncredential=token\n")
        );
        assert!(with.ephemeral && with.is_credential());
        let reset = parse(&format!("capability[]=authtype\ncapability[]=\n{lines}"));
        assert!(text(&reset).is_empty());
    }

    #[test]
    fn a_line_may_end_with_cr_and_a_cr_elsewhere_is_refused() {
        let description = parse("url=https://zoe:p@h/a\r\npassword= q \r\n\r\nusername=beyond");
        let expected = "protocol=https\nhost=h\npath=a\nusername=zoe\npassword= q \n";
        assert_eq!(text(&description), expected);
        assert_eq!(text(&parse("url=https://h\r")), "protocol=https\nhost=h\n");
        for bad in [
            "password=canary\r\r\n",
            "host=ca\rnary\n",
            "url=https://zoe:ca\rnary@h\n",
            "url=https://zoe:ca%0dnary@h\n",
        ] {
            let error = Description::parse(bad.as_bytes())
                .err()
                .unwrap()
                .to_string();
            assert!(!error.contains("nary"), "{error}");
        }
        assert_eq!(text(&parse("wwwauth[]=a\rb\nhost=h\n")), "host=h\n");
        let stored = Description::parse_stored(b"password=p\r\n").unwrap();
        assert_eq!(stored.get(Attribute::Password), Some(&b"p\r"[..]));
    }

    #[test]
    fn an_empty_line_is_found_in_what_is_new() {
        for (text, seen, is_there) in [
            ("", 0, false),
            ("\n", 0, true),
            ("\r\n", 0, true),
            ("a=b\n", 0, false),
            ("a=b\n\n", 0, true),
            ("a=b\n\n", 4, true),
            ("a=b\r\n\r\n", 6, true),
            ("a=b\n\nc", 5, false),
            ("a\r\n", 2, false),
        ] {
            assert_eq!(has_empty_line(text.as_bytes(), seen), is_there, "{text:?}");
        }
    }

    #[test]
    fn an_expiry_is_a_number_of_seconds() {
        assert_eq!(parse("password_expiry_utc=17\n").expiry(), Some(17));
        for none in ["", "0", "-1", "soon", "99999999999999999999999"] {
            let description = parse(&format!("password_expiry_utc={none}\n"));
            assert_eq!(description.expiry(), None, "{none}");
            assert!(text(&description).is_empty());
        }
    }

    #[test]
    fn a_url_replaces_what_was_said_before_it() {
        let description = parse("protocol=http\nusername=bob\npath=x\nurl=https://h:1/\n");
        assert_eq!(text(&description), "protocol=https\nhost=h:1\n");
        let description = parse("url=https://zoe@h/a.git\nusername=bob\n");
        assert_eq!(
            text(&description),
            "protocol=https\nhost=h\npath=a.git\nusername=bob\n"
        );
        assert!(Description::parse(b"url=example.com/canary\n").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lines = b"protocol=https\nhost=h\npath=p=\xff\nusername=\npassword_expiry_utc=1\n\
            password==\noauth_refresh_token=\x01\n";
        let lines: [&[u8]; 2] = [
            lines,
            b"capability[]=authtype\nauthtype=Bearer\ncredential=x\n",
        ];
        for lines in lines {
            assert_eq!(*Description::parse(lines).unwrap().write(), lines);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_refused_or_written_as_it_was_understood(
            lines in proptest::collection::vec(
                prop_oneof![
                    "(protocol|host|path|username|password|credential|authtype|url)=[a-z:/@%=0-9 ]{0,9}",
                    "(capability\\[\\]=(authtype)?|password_expiry_utc=[0-9]{0,3}|[a-z=]{0,3})",
                    "\\PC{0,9}",
                ],
                0..9,
            ),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            for text in [lines.join("\n").as_bytes(), &bytes] {
                if let Ok(description) = Description::parse(text) {
                    let again = Description::parse_stored(&description.write()).unwrap();
                    prop_assert!(again.same_values(&description));
                }
            }
        }
    }
}
