//! Credentials in plaintext: an entry of `auths` in Docker's `config.json`.
//!
//! `{"auth": base64 of USER:PASSWORD}`, the same as `username` and `password`, or an `identitytoken`
//! beside an `auth` without a password. A helper is told of an identity token by the user name
//! `<token>`.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    docker_setup::json_object::JsonObject, helpers::docker::credential::Credential,
    io::output::to_json,
};

const TOKEN: &str = "<token>";

/// The members that a helper takes over.
const SECRET: [&str; 4] = ["auth", "username", "password", "identitytoken"];

/// All that a client looks for in an entry.
pub(crate) const NAMES: [&str; 5] = [
    "auth",
    "username",
    "password",
    "identitytoken",
    "registrytoken",
];

/// What is in an entry.
pub(crate) enum Entry {
    /// Nothing secret.
    Clear,
    /// A credential.
    Plaintext(Plaintext),
    /// Something secret that cannot be handed to a helper, and why.
    Stuck(&'static str),
}

/// A credential in plaintext.
pub(crate) struct Plaintext {
    pub(crate) username: Zeroizing<String>,
    pub(crate) secret: Zeroizing<String>,
    /// The entry's text without it.
    pub(crate) rest: Zeroizing<String>,
    pub(crate) template: Template,
    /// Whether something secret stays in `rest`.
    pub(crate) leaves_token: bool,
}

/// The text of an entry with nothing secret in it: which members there were, in which order, with which
/// spaces, for [`restore`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(String);

impl TryFrom<String> for Template {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let object = JsonObject::parse(Zeroizing::new(text)).map_err(|_| "not an object")?;
        let is_token = object.get(&["identitytoken"]).is_some();
        let is_blank = |(name, value): (String, &str)| {
            let is_secret = SECRET.contains(&name.as_str());
            !is_secret
                || matches!(value, "\"\"" | "null")
                || is_token && name == "auth" && is_user(value)
        };
        match object.members(&[]).into_iter().all(is_blank) {
            true => Ok(Self(object.as_str().into())),
            false => Err("not an entry without its secrets"),
        }
    }
}

/// Whether this is an `auth` without a password, as there is one beside an identity token.
fn is_user(json: &str) -> bool {
    let text: Option<Zeroizing<String>> = serde_json::from_str(json).ok();
    text.and_then(|text| decode(&text))
        .is_some_and(|(_, password)| password.is_empty())
}

/// Reads the text of an entry.
pub(crate) fn read(entry: &str) -> Entry {
    if entry == "null" {
        return Entry::Clear;
    }
    match JsonObject::parse(Zeroizing::new(entry.into())) {
        Ok(object) => of_object(&object).unwrap_or_else(Entry::Stuck),
        Err(_) => Entry::Stuck(NOT_DOCKERS),
    }
}

pub(crate) const REGISTRY_TOKEN: &str = "has a registry token, which no helper can keep";
const NOT_DOCKERS: &str = "is not what docker writes";

fn of_object(object: &JsonObject) -> Result<Entry, &'static str> {
    let field = |name: &str| -> Result<Option<Zeroizing<String>>, &'static str> {
        let json = object.get(&[name]).unwrap_or("null");
        let text: Option<Zeroizing<String>> =
            serde_json::from_str(json).map_err(|_| NOT_DOCKERS)?;
        Ok(text.filter(|text| !text.is_empty()))
    };
    let leaves_token = field("registrytoken")?.is_some();
    let (username, password) = match field("auth")? {
        Some(auth) => {
            let pair = decode(&auth).ok_or("has an auth that is not base64 of USER:PASSWORD")?;
            (Some(pair.0), Some(pair.1).filter(|text| !text.is_empty()))
        }
        None => (field("username")?, field("password")?),
    };
    let identity_token = field("identitytoken")?;
    let is_token = identity_token.is_some();
    let (username, secret) = match (username, password, identity_token) {
        (_, None, Some(token)) => (Zeroizing::new(TOKEN.into()), token),
        (Some(username), Some(password), None) => (username, password),
        (_, Some(_), Some(_)) => {
            return Err("has a password beside its identity token; a helper keeps one");
        }
        (None, Some(_), None) => return Err("has a password without a user name"),
        (_, None, None) if leaves_token => {
            return Err(REGISTRY_TOKEN);
        }
        (_, None, None) => return Ok(Entry::Clear),
    };
    let (mut rest, mut template) = (object.clone(), object.clone());
    for name in SECRET {
        rest.remove(&[name]);
        // Beside an identity token `auth` is a user name.
        if template.get(&[name]).is_some() && !(is_token && name == "auth") {
            template.set(&[name], "\"\"");
        }
    }
    if leaves_token {
        template.set(&["registrytoken"], "\"\"");
    }
    Ok(Entry::Plaintext(Plaintext {
        username,
        secret,
        rest: Zeroizing::new(rest.as_str().into()),
        template: Template(template.as_str().into()),
        leaves_token,
    }))
}

/// The text of an entry with this credential in plaintext, spaced as its template is. `now` is the
/// text as it is without the credential; what is not secret has the values that it has there.
pub(crate) fn restore(
    template: &Template,
    now: &str,
    credential: &Credential,
) -> Zeroizing<String> {
    let parse = |text: &str| JsonObject::parse(Zeroizing::new(text.into()));
    let mut entry = parse(&template.0).unwrap_or_else(|_| JsonObject::empty());
    let now = parse(now).unwrap_or_else(|_| JsonObject::empty());
    let (then, now) = (entry.clone(), now.members(&[]));
    let kept: HashSet<&str> = now.iter().map(|(name, _)| name.as_str()).collect();
    let then = then.members(&[]);
    let gone = then
        .iter()
        .filter(|(name, _)| !kept.contains(name.as_str()));
    let changes: Vec<_> = gone
        .map(|(name, _)| (name.as_str(), None))
        .chain(
            now.iter()
                .map(|(name, value)| (name.as_str(), Some(*value))),
        )
        .filter(|(name, _)| !SECRET.contains(name))
        .collect();
    entry.edit(&[], &changes);
    let is_token = *credential.username == *TOKEN;
    let has = |name: &str| entry.get(&[name]).is_some();
    // Another kind of credential than it was then.
    if has("identitytoken") != is_token {
        SECRET.iter().for_each(|name| entry.remove(&[name]));
    }
    let names = ["username", "password"];
    let in_two = names.iter().any(|name| entry.get(&[name]).is_some());
    if is_token {
        entry.set(&["identitytoken"], &quoted(&credential.secret));
    } else if in_two {
        entry.set(&["username"], &quoted(&credential.username));
        entry.set(&["password"], &quoted(&credential.secret));
        if entry.get(&["auth"]).is_some() {
            entry.set(&["auth"], &quoted(&encode(credential)));
        }
    } else {
        entry.set(&["auth"], &quoted(&encode(credential)));
    }
    Zeroizing::new(entry.as_str().into())
}

fn decode(auth: &str) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    // In lines it is as good: docker's decoder passes over their ends.
    let auth = Zeroizing::new(auth.replace(['\r', '\n'], ""));
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(&*auth).ok()?);
    let (username, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    // As docker reads it.
    let password = password.trim_matches('\0');
    let owned = |text: &str| Zeroizing::new(text.to_owned());
    (!username.is_empty()).then(|| (owned(username), owned(password)))
}

fn encode(credential: &Credential) -> Zeroizing<String> {
    let pair = [&credential.username, ":", &*credential.secret].concat();
    Zeroizing::new(BASE64_STANDARD.encode(&*Zeroizing::new(pair)))
}

fn quoted(text: &str) -> Zeroizing<String> {
    let json = to_json(&text);
    Zeroizing::new(std::str::from_utf8(&json).unwrap_or("\"\"").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plaintext(entry: &str) -> Plaintext {
        match read(entry) {
            Entry::Plaintext(plaintext) => plaintext,
            Entry::Clear => panic!("nothing in {entry}"),
            Entry::Stuck(reason) => panic!("{entry} {reason}"),
        }
    }

    fn credential(plaintext: &Plaintext) -> Credential {
        Credential {
            server_url: "host".into(),
            username: plaintext.username.clone(),
            secret: plaintext.secret.clone(),
        }
    }

    #[test]
    fn what_is_taken_out_goes_back_in_byte_for_byte() {
        for (entry, username, secret, rest) in [
            // zoe:canary
            (r#"{"auth":"em9lOmNhbmFyeQ=="}"#, "zoe", "canary", "{}"),
            (
                "{\n\t\t\t\"auth\": \"em9lOmNhbmFyeQ==\",\n\t\t\t\"email\": \"z@x\"\n\t\t}",
                "zoe",
                "canary",
                "{\n\t\t\t\"email\": \"z@x\"\n\t\t}",
            ),
            // zoe:a:b
            (r#"{ "auth": "em9lOmE6Yg==" }"#, "zoe", "a:b", "{}"),
            (
                r#"{"email":"z@x","password":"canary","username":"zoe"}"#,
                "zoe",
                "canary",
                r#"{"email":"z@x"}"#,
            ),
            // zoe:
            (
                r#"{"auth": "em9lOg==", "identitytoken": "canary"}"#,
                "<token>",
                "canary",
                "{}",
            ),
            (r#"{"identitytoken":"canary"}"#, "<token>", "canary", "{}"),
            (
                r#"{"auth":"em9lOmNhbmFyeQ==","registrytoken":"stays"}"#,
                "zoe",
                "canary",
                r#"{"registrytoken":"stays"}"#,
            ),
        ] {
            let taken = plaintext(entry);
            assert_eq!((&**taken.username, &**taken.secret), (username, secret));
            assert_eq!(&**taken.rest, rest);
            for part in ["canary", "em9lOmNhbmFyeQ", "em9lOmE6Yg", "stays"] {
                assert!(!taken.template.0.contains(part), "{}", taken.template.0);
            }
            let restored = restore(&taken.template, &taken.rest, &credential(&taken));
            assert_eq!(*restored, entry);
        }
    }

    #[test]
    fn a_newer_credential_of_another_kind_takes_the_place() {
        let taken = plaintext(r#"{"auth":"em9lOmNhbmFyeQ==","email":"z@x"}"#);
        let mut token = credential(&taken);
        token.username = Zeroizing::new(TOKEN.into());
        let restored = restore(&taken.template, &taken.rest, &token);
        assert_eq!(*restored, r#"{"email":"z@x","identitytoken":"canary"}"#);
        let taken = plaintext(r#"{"auth":"em9lOg==","identitytoken":"canary"}"#);
        let mut password = credential(&taken);
        password.username = Zeroizing::new("zoe".into());
        let again = plaintext(&restore(&taken.template, &taken.rest, &password));
        assert_eq!((&**again.username, &**again.secret), ("zoe", "canary"));
    }

    #[test]
    fn entries_that_a_helper_cannot_keep_are_stuck_or_clear() {
        for entry in [
            "{}",
            "null",
            r#"{"email":"x"}"#,
            r#"{"auth":""}"#,
            r#"{"auth":null}"#,
        ] {
            assert!(matches!(read(entry), Entry::Clear), "{entry}");
        }
        for entry in [
            "[]",
            "1",
            r#"{"auth":1}"#,
            r#"{"auth":"canary!"}"#,
            r#"{"auth":"em9lOmNh\u0000bmFyeQ=="}"#,
            r#"{"auth":"em9l"}"#,
            r#"{"auth":"em9lOmNhbmFyeQ==","identitytoken":"t"}"#,
            r#"{"registrytoken":"t"}"#,
            r#"{"password":"canary"}"#,
        ] {
            assert!(matches!(read(entry), Entry::Stuck(_)), "{entry}");
        }
    }
}
