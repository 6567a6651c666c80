//! A registry's credential, and the secret that it is kept as.
//!
//! The id comes from the server's URL; URL and user name stand in the metadata, the value is the
//! password or token, byte for byte. Where the user name may be a token, as Docker Desktop has it in the
//! Hub's token entries, the value is a JSON object with the user name in it, and the metadata says so.

use posixage::{Id, Metadata, Pattern, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure},
    helpers::{
        entry_id::{entry_id, entry_text, without_user},
        username::is_public,
    },
    io::output::to_json,
};

/// The component that the ids of Docker's entries begin with.
const NAMESPACE: &str = "docker";

const SERVER_URL: &str = "ServerURL";
const USERNAME: &str = "Username";
const ENCODING: &str = "Encoding";
const JSON: &str = "json";

/// A server, a user name and a password, as helpers and their clients send them to each other.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Credential {
    #[serde(rename = "ServerURL")]
    pub(crate) server_url: String,
    pub(crate) username: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
}

/// The value of an entry whose user name must not be in the metadata.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    username: Zeroizing<String>,
    secret: Zeroizing<String>,
}

/// The ids of all entries.
pub(crate) fn credentials() -> Pattern {
    let pattern = format!("{NAMESPACE}/**");
    pattern
        .parse()
        .expect("a namespace is a component of an id")
}

/// The Hub, as docker asks for it.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// The Hub's hosts: docker asks for [`HUB`], Podman and its kin for the first of these.
const HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

pub(crate) fn is_hub(host: &str) -> bool {
    HUB_HOSTS.contains(&host)
}

/// The id of the entry for a server. All names of the Hub have one.
pub(crate) fn id_of(server_url: &str) -> Id {
    entry_id(NAMESPACE, &canonical(server_url))
}

/// Where earlier versions kept the entry for a server: the Hub had one for each of its names.
pub(crate) fn earlier_ids(server_url: &str) -> Vec<Id> {
    match canonical(server_url) == HUB {
        true => HUB_HOSTS.map(|host| entry_id(NAMESPACE, host)).into(),
        false => Vec::new(),
    }
}

/// A server's URL without what a user is called there, which may be a token; the Hub under one name.
fn canonical(server_url: &str) -> String {
    let url = without_user(server_url);
    let schemes = ["https://", "http://"];
    let scheme = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let (host, path) = match scheme.unwrap_or(&url).split_once('/') {
        Some((host, path)) => (host, path.trim_end_matches('/')),
        None => (scheme.unwrap_or(&url), ""),
    };
    match is_hub(host) && matches!(path, "" | "v1" | "v2") {
        true => HUB.into(),
        false => url,
    }
}

/// Which server an entry is for: what the metadata says if the id is that URL's, else what the id
/// itself says. `None` for a secret that no URL leads to.
pub(crate) fn server_url_of(id: &Id, metadata: Option<&Metadata>) -> Option<String> {
    match metadata.and_then(|metadata| metadata.get(SERVER_URL)) {
        Some(url) if id_of(url) == *id => Some(url.into()),
        _ => entry_text(NAMESPACE, id),
    }
}

/// The user name of an entry as far as it can be told without decrypting it: empty if it is in the
/// value. `None` for an entry that is no credential.
pub(crate) fn username_of(metadata: Option<&Metadata>) -> Option<&str> {
    let metadata = metadata?;
    match (metadata.get(ENCODING), metadata.get(USERNAME)) {
        (Some(JSON), _) => Some(""),
        (_, username) => username,
    }
}

impl Credential {
    pub(crate) fn id(&self) -> Id {
        id_of(&self.server_url)
    }

    /// The user name, if it cannot be a token.
    pub(crate) fn public_username(&self) -> Option<&str> {
        is_public(&self.username, &self.secret).then_some(&self.username)
    }

    /// The secret that [`open`](Self::open) opens.
    pub(crate) fn seal(self) -> Secret {
        let mut metadata = Metadata::new();
        let is_public = self.public_username().is_some();
        let value = if !is_public || is_token_entry(&self.server_url) {
            metadata.insert(ENCODING, JSON);
            let Self {
                username, secret, ..
            } = self;
            to_json(&Pair { username, secret })
        } else {
            metadata.insert(USERNAME, self.username.as_str());
            into_bytes(self.secret)
        };
        metadata.insert(SERVER_URL, canonical(&self.server_url));
        Secret::from(value).with_metadata(metadata)
    }

    /// Why a secret below the namespace is no credential.
    pub(crate) fn lacks_username(id: &Id) -> Failure {
        Failure::new(format_args!("{id} has no Username in its metadata"))
            .code(Code::Damaged)
            .hint("docker login writes it, or posixage set --metadata Username=NAME")
    }

    /// The credential for `server_url` in the secret of its id.
    pub(crate) fn open(server_url: String, secret: Secret) -> Result<Self, Failure> {
        let id = id_of(&server_url);
        let fails = |what: &str| Failure::new(format_args!("{id} {what}")).code(Code::Damaged);
        let metadata = secret.metadata().cloned().unwrap_or_default();
        match metadata.get(ENCODING) {
            None => {}
            Some(JSON) => {
                let Pair { username, secret } = serde_json::from_slice(secret.expose())
                    .map_err(|_| fails("is not the JSON object that its metadata says it is"))?;
                return Ok(Self {
                    server_url,
                    username,
                    secret,
                });
            }
            Some(_) => return Err(fails("has an Encoding that this version does not know")),
        }
        let Some(username) = metadata.get(USERNAME) else {
            return Err(Self::lacks_username(&id));
        };
        let secret = into_string(secret.into_value())
            .ok_or_else(|| fails("has a value that is not UTF-8, which no client can use"))?;
        Ok(Self {
            server_url,
            username: Zeroizing::new(username.into()),
            secret,
        })
    }
}

/// `https://index.docker.io/v1/access-token` and its like.
fn is_token_entry(server_url: &str) -> bool {
    ["/access-token", "/refresh-token"]
        .iter()
        .any(|end| server_url.ends_with(end))
}

fn into_bytes(mut text: Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

fn into_string(mut bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(server_url: &str) -> Credential {
        Credential {
            server_url: server_url.into(),
            username: Zeroizing::new("zoe".into()),
            secret: Zeroizing::new("canary".into()),
        }
    }

    #[test]
    fn what_is_sealed_opens() {
        for url in ["host:5000", "https://index.docker.io/v1/refresh-token"] {
            let sealed = credential(url).seal();
            let metadata = sealed.metadata().cloned();
            assert_eq!(
                server_url_of(&id_of(url), metadata.as_ref()).as_deref(),
                Some(url)
            );
            let opened = Credential::open(url.into(), sealed).unwrap();
            assert!(opened == credential(url));
        }
    }

    #[test]
    fn the_user_name_of_a_token_entry_is_encrypted_and_no_other() {
        let url = "https://index.docker.io/v1/access-token";
        let sealed = credential(url).seal();
        assert!(!sealed.metadata().unwrap().to_string().contains("zoe"));
        assert_eq!(username_of(sealed.metadata()), Some(""));
        let sealed = credential("host").seal();
        assert_eq!(username_of(sealed.metadata()), Some("zoe"));
        assert_eq!(sealed.expose(), b"canary");
    }

    #[test]
    fn a_user_name_that_may_be_a_token_is_encrypted() {
        for (username, secret) in [("ghp_canary", "hunter2!"), ("canary", "canary")] {
            let credential = Credential {
                username: Zeroizing::new(username.into()),
                secret: Zeroizing::new(secret.into()),
                ..credential("https://canary:canary@host/v1/")
            };
            let sealed = credential.clone().seal();
            let clear = format!("{} {:?}", credential.id(), sealed.metadata());
            assert!(!clear.contains("canary"), "{clear}");
            let opened = Credential::open(credential.server_url.clone(), sealed).unwrap();
            assert!(opened == credential);
        }
    }

    #[test]
    fn the_hub_has_one_entry_whatever_a_client_calls_it() {
        for name in [
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://docker.io",
            "http://index.docker.io/v1",
            "https://index.docker.io/v2/",
        ] {
            assert_eq!(id_of(name), id_of(HUB), "{name}");
        }
        for other in [
            "https://index.docker.io/v1/access-token",
            "docker.io.example.com",
            "docker.io:5000",
            "docker.io/team",
            "hub.docker.com",
        ] {
            assert_ne!(id_of(other), id_of(HUB), "{other}");
        }
    }

    #[test]
    fn metadata_that_is_of_another_url_is_not_believed() {
        let metadata: Metadata = [(SERVER_URL, "evil")].into_iter().collect();
        let url = |text: &str| server_url_of(&id_of(text), Some(&metadata));
        assert_eq!(url("host").as_deref(), Some("host"));
        assert_eq!(url(&"x".repeat(300)), None);
        let other: Id = "docker".parse().unwrap();
        assert_eq!(server_url_of(&other, None), None);
    }
}
