//! A credential in the store.
//!
//! Its value is the description as Git writes it, whole, so that it can be read, and kept, without
//! ambiguity. What is not secret is in the metadata too, to be found without a key. A writer
//! of the store's files can change that copy, so the value decides.

use std::{
    cmp::Reverse,
    fmt::Write,
    time::{Duration, SystemTime},
};

use posixage::{Entry as Listed, Id, Metadata, Pattern, Secret, Store};

use crate::{
    failure::{Code, Failure},
    helpers::{
        entry_id::entry_id,
        git::description::{Attribute, Description},
        username::is_public,
    },
};

/// The first component of the ids.
const NAMESPACE: &str = "git";

/// Says `true` where the user name may be a token, and is in the value alone.
const HIDDEN: &str = "username_hidden";

/// When it was written, in seconds since 1970, to the microsecond.
const STORED: &str = "stored_utc";

/// What says which credential is meant.
const PLACE: [Attribute; 4] = [
    Attribute::Protocol,
    Attribute::Host,
    Attribute::Path,
    Attribute::Username,
];

/// What may be known of a credential without decrypting it.
pub(super) struct Entry {
    pub(super) id: Id,
    metadata: Metadata,
}

/// Whether the user name of a credential may be a token.
pub(super) fn is_hidden(credential: &Description) -> bool {
    let secret = [Attribute::Password, Attribute::Credential];
    let secret = secret
        .into_iter()
        .find_map(|attribute| credential.get(attribute));
    match (credential.get(Attribute::Username), secret) {
        (Some(username), Some(secret)) => {
            let [username, secret] = [username, secret].map(String::from_utf8_lossy);
            !is_public(&username, &secret)
        }
        _ => false,
    }
}

/// The id of a credential: `git/PROTOCOL/HOST/USERNAME`, and `/PATH` if it has one. All user names of a
/// host that may be tokens have one id.
pub(super) fn id(credential: &Description) -> Id {
    id_of(credential, is_hidden(credential))
}

/// Where an earlier version kept a credential whose user name may be a token.
pub(super) fn earlier_id(credential: &Description) -> Option<Id> {
    is_hidden(credential).then(|| id_of(credential, false))
}

fn id_of(credential: &Description, is_hidden: bool) -> Id {
    let part = |attribute| credential.get(attribute).map(text);
    let component = |part: Option<String>| part.unwrap_or_default().replace('/', "%2f");
    let username = match part(Attribute::Username) {
        // No escape looks like these two.
        Some(_) if is_hidden => "%token".into(),
        // Not the same as none.
        Some(username) if username.is_empty() => "%".into(),
        username => component(username),
    };
    let mut place = [
        component(part(Attribute::Protocol)),
        component(part(Attribute::Host)),
        username,
    ]
    .join("/");
    if let Some(path) = part(Attribute::Path) {
        place.push('/');
        place.push_str(&path);
    }
    entry_id(NAMESPACE, &place)
}

/// What is written for a credential at that time.
pub(super) fn secret(credential: &Description, now: Duration) -> Secret {
    let clear = [Attribute::Authtype, Attribute::PasswordExpiryUtc];
    let is_hidden = is_hidden(credential);
    let mut metadata: Metadata = PLACE
        .into_iter()
        .chain(clear)
        .filter(|attribute| !(is_hidden && *attribute == Attribute::Username))
        .filter_map(|attribute| Some((attribute.key(), text(credential.get(attribute)?))))
        .collect();
    if is_hidden {
        metadata.insert(HIDDEN, "true");
    }
    let stored = format!("{}.{:06}", now.as_secs(), now.subsec_micros());
    metadata.insert(STORED, stored);
    Secret::from(credential.write()).with_metadata(metadata)
}

/// Those that Git may mean: each part of the place that it names is theirs. And what could not be
/// looked at, which does not hide the others.
pub(super) fn find(
    store: &Store,
    request: &Description,
) -> Result<(Vec<Entry>, Vec<Failure>), Failure> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    // Without a protocol and a host everything would be meant, by an empty line.
    if !request.has(Attribute::Protocol) || !request.has(Attribute::Host) {
        return Ok((found, unreadable));
    }
    let pattern: Pattern = format!("{NAMESPACE}/**").parse().expect("a pattern");
    for Listed { id, metadata, .. } in store.list(&pattern)? {
        match metadata {
            Ok(Some(metadata)) if is_meant(&metadata, request) => {
                found.push(Entry { id, metadata });
            }
            Ok(_) => {}
            Err(error) => unreadable.push(error.into()),
        }
    }
    Ok((found, unreadable))
}

fn is_meant(metadata: &Metadata, request: &Description) -> bool {
    PLACE.iter().all(|attribute| match request.get(*attribute) {
        Some(_) if hides(metadata, *attribute) => true,
        Some(value) => metadata.get(attribute.key()) == Some(&text(value)),
        None => true,
    })
}

/// Whether only the value says what an attribute is.
fn hides(metadata: &Metadata, attribute: Attribute) -> bool {
    let is_username = attribute == Attribute::Username;
    is_username && metadata.get(HIDDEN).is_some() && metadata.get(attribute.key()).is_none()
}

impl Entry {
    /// The order in which credentials are offered: those that have not expired; those for the whole
    /// host; the one that was written last.
    pub(super) fn rank(&self, now: Duration) -> impl Ord + use<> {
        let get = |key| self.metadata.get(key);
        let expiry = get(Attribute::PasswordExpiryUtc.key()).and_then(|text| text.parse().ok());
        let stored = get(STORED).and_then(|text| text.replacen('.', "", 1).parse::<u64>().ok());
        (
            is_over(expiry, now),
            get(Attribute::Path.key()).is_some(),
            Reverse(stored),
        )
    }

    /// Whether the user name is in the value alone: it is to be compared there.
    pub(super) fn hides_username(&self) -> bool {
        hides(&self.metadata, Attribute::Username)
    }

    /// The credential in its secret.
    pub(super) fn open(&self, secret: &Secret) -> Result<Description, Failure> {
        open(&self.id, &self.metadata, secret)
    }
}

/// The credential in a secret, which must be for the place that the metadata names: otherwise
/// a writer of the files that cannot read a password could have Git send it to another host.
pub(super) fn open(id: &Id, metadata: &Metadata, secret: &Secret) -> Result<Description, Failure> {
    let damaged = |why: &str| Failure::new(format!("secret {id}: {why}")).code(Code::Damaged);
    let credential = Description::parse_stored(secret.expose())
        .map_err(|_| damaged("its value is no credential of Git's"))?;
    let is_here = PLACE.iter().all(|attribute| {
        hides(metadata, *attribute)
            || credential.get(*attribute).map(text).as_deref() == metadata.get(attribute.key())
    });
    match is_here {
        true => Ok(credential),
        false => Err(damaged("its metadata is not that of its value")
            .hint("its metadata was changed; remove the secret and store it again")),
    }
}

/// Whether a time has come, as Git asks it.
pub(super) fn is_over(expiry: Option<u64>, now: Duration) -> bool {
    expiry.is_some_and(|expiry| expiry < now.as_secs())
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Bytes as text, without loss: `%` and what is not UTF-8 as `%` and two hexadecimal digits.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn describe(text: &str) -> Description {
        Description::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn ids_are_readable_and_tell_apart_what_differs() {
        let base = "protocol=https\nhost=example.com:8443\n";
        let cases = [
            ("username=zoe\n", "git/https/example.com:8443/zoe"),
            ("", "git/https/example.com:8443/_"),
            ("username=\n", "git/https/example.com:8443/_25"),
            ("username=%\n", "git/https/example.com:8443/_2525"),
            (
                "username=z\npath=a/b.git\n",
                "git/https/example.com:8443/z/a/b.git",
            ),
            ("username=z\npath=\n", "git/https/example.com:8443/z/_"),
            (
                "username=z/a\npath=b\n",
                "git/https/example.com:8443/z_252fa/b",
            ),
            ("username=zoe@x\n", "git/https/example.com:8443/zoe_40x"),
        ];
        for (rest, expected) in cases {
            assert_eq!(id(&describe(&format!("{base}{rest}"))).as_str(), expected);
        }
    }

    #[test]
    fn a_value_for_another_place_than_its_metadata_is_refused() {
        let credential = describe("protocol=https\nhost=bank\nusername=zoe\npassword=p\n");
        let secret = secret(&credential, Duration::ZERO);
        let mut metadata = secret.metadata().unwrap().clone();
        let id = id(&credential);
        let entry = |metadata: &Metadata| Entry {
            id: id.clone(),
            metadata: metadata.clone(),
        };
        assert!(entry(&metadata).open(&secret).is_ok());
        metadata.insert("path", "x");
        assert!(entry(&metadata).open(&secret).is_err());
        let mut metadata = secret.metadata().unwrap().clone();
        metadata.insert("host", "thief");
        assert!(entry(&metadata).open(&secret).is_err());
    }

    proptest! {
        #[test]
        fn different_places_have_different_ids(places in proptest::collection::vec(
            (
                "[a/%_]{0,3}",
                "[a/%_]{0,3}",
                proptest::option::of(proptest::collection::vec(
                    prop_oneof![Just(b'a'), Just(b'/'), Just(b'%'), Just(b'_'), Just(0xff)], 0..4)),
                proptest::option::of("[a/%_]{0,3}"),
            ),
            2..20,
        )) {
            let mut ids = BTreeMap::new();
            for place in places {
                let (protocol, host, username, path) = &place;
                let mut credential = Description::default();
                credential.set(Attribute::Protocol, protocol.as_bytes());
                credential.set(Attribute::Host, host.as_bytes());
                if let Some(username) = username {
                    credential.set(Attribute::Username, username);
                }
                if let Some(path) = path {
                    credential.set(Attribute::Path, path.as_bytes());
                }
                if let Some(other) = ids.insert(id(&credential), place.clone()) {
                    prop_assert_eq!(other, place);
                }
            }
        }
    }
}
