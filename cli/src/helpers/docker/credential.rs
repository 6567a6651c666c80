//! A registry's credential, and the secret that it is kept as.
//!
//! The id comes from the server's URL; URL and user name stand in the metadata, the value is the
//! password or token, byte for byte. Docker Desktop has put tokens into the user names of the Hub's
//! token entries: there the value is a JSON object with the user name in it, and the metadata says
//! so.

use posixage::{Id, Metadata, Pattern, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure},
    helpers::entry_id::{entry_id, entry_text},
    io::output::to_json,
};

/// The component that the ids of Docker's entries begin with.
const NAMESPACE: &str = "docker";

const SERVER_URL: &str = "ServerURL";
const USERNAME: &str = "Username";
const ENCODING: &str = "Encoding";
const JSON: &str = "json";

/// Who logs in where, with what: as helpers and their clients send it to each other.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Credential {
    #[serde(rename = "ServerURL")]
    pub(crate) server_url: String,
    pub(crate) username: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
}

/// The value of an entry whose user name is not for the metadata.
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

/// The id of the entry for a server.
pub(crate) fn id_of(server_url: &str) -> Id {
    entry_id(NAMESPACE, server_url)
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

    /// The secret that [`open`](Self::open) opens.
    pub(crate) fn seal(self) -> Secret {
        let mut metadata = Metadata::new();
        let value = if is_token_entry(&self.server_url) {
            metadata.insert(ENCODING, JSON);
            let Self {
                username, secret, ..
            } = self;
            to_json(&Pair { username, secret })
        } else {
            metadata.insert(USERNAME, self.username.as_str());
            into_bytes(self.secret)
        };
        metadata.insert(SERVER_URL, self.server_url);
        Secret::from(value).with_metadata(metadata)
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
            return Err(fails("has no Username in its metadata")
                .hint("docker login writes it, or posixage set --metadata Username=NAME"));
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
    fn metadata_that_is_of_another_url_is_not_believed() {
        let metadata: Metadata = [(SERVER_URL, "evil")].into_iter().collect();
        let url = |text: &str| server_url_of(&id_of(text), Some(&metadata));
        assert_eq!(url("host").as_deref(), Some("host"));
        assert_eq!(url(&"x".repeat(300)), None);
        let other: Id = "docker".parse().unwrap();
        assert_eq!(server_url_of(&other, None), None);
    }
}
