//! What `--undo` needs to know of what `setup` did, kept as a secret of the store: without any password,
//! so that none outlives a logout.
//!
//! A writer of the store's files who can read none of them can still plant a record. So each field is
//! parsed as what `setup` can have written: none of it reaches a client's file as text that says more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use posixage::{Error, Id, Pattern, Secret, Store};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use zeroize::Zeroizing;

use crate::{
    docker_setup::{
        auths::Template,
        config_file::{Client, Origin},
        json_object::JsonObject,
        plan::HELPER,
        target::target,
    },
    failure::{Code, Failure},
    helpers::{docker::credential::id_of, entry_id::entry_id},
    io::output::to_json,
};

/// The component that the ids of records begin with.
const NAMESPACE: &str = "docker-setup";

/// What `setup` did to one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) origin: Origin,
    /// The text of `credsStore` before, if there was one.
    pub(crate) creds_store: Option<HelperText>,
    /// Of an `auth.json`, the text of `credHelpers` before, if there was one.
    pub(crate) cred_helpers: Option<EmptyText>,
    /// What was moved, by its name in `auths`.
    #[serde(deserialize_with = "moved")]
    pub(crate) moved: BTreeMap<String, Moved>,
}

/// An entry of `auths` that was moved into the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moved {
    /// What a helper is asked for to get it.
    pub(crate) server_url: String,
    /// The entry's text without what is secret.
    pub(crate) template: Template,
    /// Whether it was in the store before.
    pub(crate) was_there: bool,
    /// Whether the registry had the helper before.
    pub(crate) had_helper: bool,
}

/// The text of a `credsStore`: `null`, or a JSON string that is empty or a helper's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HelperText(String);

/// The text of a `credHelpers` without any helper: `null` or `{}`, with its spaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EmptyText(String);

impl HelperText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HelperText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match serde_json::from_str::<Option<String>>(&text) {
            Ok(name) if name.as_deref().is_none_or(is_helper) => Ok(Self(text)),
            _ => Err("not the text of a credsStore"),
        }
    }
}

/// Whether docker looks for a helper of this name in `PATH` and nowhere else.
fn is_helper(name: &str) -> bool {
    name.len() <= 200 && !name.chars().any(|c| c == '/' || c.is_control())
}

impl EmptyText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EmptyText {
    type Error = &'static str;

    /// Of a `credHelpers` with helpers only that it is an object: those were never removed.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "null" {
            return Ok(Self(text));
        }
        let object = JsonObject::parse(Zeroizing::new(text)).map_err(|_| "not an object")?;
        match object.members(&[]).is_empty() {
            true => Ok(Self(object.as_str().into())),
            false => Ok(Self("{}".into())),
        }
    }
}

/// A map without a name that appears twice, and each credential for the registry that its name says.
fn moved<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Moved>, D::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = BTreeMap<String, Moved>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some((host, one)) = map.next_entry::<String, Moved>()? {
                let clients = [Client::Docker, Client::Containers];
                let is_its_own = one.server_url == host
                    || clients.iter().any(|client| {
                        target(*client, &host).is_some_and(|t| t.server_url == one.server_url)
                    });
                if !is_its_own || entries.insert(host, one).is_some() {
                    return Err(A::Error::custom("not what a setup moves"));
                }
            }
            Ok(entries)
        }
    }
    from.deserialize_map(Entries)
}

impl Record {
    fn id(config: &Path) -> Id {
        entry_id(NAMESPACE, &config.to_string_lossy())
    }

    /// The record for the file at a path.
    pub(crate) fn read(store: &Store, config: &Path) -> Result<Option<Self>, Failure> {
        Self::at(store, &Self::id(config))
    }

    fn at(store: &Store, id: &Id) -> Result<Option<Self>, Failure> {
        let secret = match store.get(id) {
            Ok(secret) => secret,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let record = serde_json::from_slice(secret.expose()).map_err(|_| {
            Failure::new(format_args!("{id} is no record of a setup"))
                .code(Code::Damaged)
                .hint(format_args!("posixage rm {id} removes it"))
        })?;
        Ok(Some(record))
    }

    /// The records for every other file, and why any cannot be read: it does not hide the others.
    pub(crate) fn of_others(store: &Store, config: &Path) -> Result<Others, Failure> {
        let pattern: Pattern = format!("{NAMESPACE}/**")
            .parse()
            .expect("a namespace is a component of an id");
        let own = Self::id(config);
        let mut others = Others::default();
        for id in store.list(&pattern)?.map(|entry| entry.id) {
            if id == own {
                continue;
            }
            match Self::at(store, &id) {
                Ok(record) => others.add(record.iter()),
                Err(failure) if failure.exit_code() == Code::Locked => return Err(failure),
                Err(failure) => others.unreadable.push(failure),
            }
        }
        Ok(others)
    }

    /// The names of what was moved, or would have been, by a run that did not come to its end, and is
    /// not in the file any more: there it was logged out. Where the helper is asked, the store
    /// tells.
    pub(crate) fn ended(&self, client: Client, config: &JsonObject) -> BTreeSet<String> {
        let helper = format!("\"{HELPER}\"");
        if client == Client::Docker && config.get(&["credsStore"]) == Some(&helper) {
            return BTreeSet::new();
        }
        let named = config.members(&["auths"]);
        let named: BTreeSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let helpers = match client {
            Client::Docker => Vec::new(),
            Client::Containers => config.members(&["credHelpers"]),
        };
        let asked: BTreeSet<&str> = helpers
            .iter()
            .filter(|(_, name)| *name == helper)
            .map(|(host, _)| host.as_str())
            .collect();
        let ended = |(host, moved): (&String, &Moved)| {
            let is_in = |set: &BTreeSet<&str>, name: &String| set.contains(name.as_str());
            let helper_of = target(client, host).map(|target| target.helper_of);
            let is_asked =
                is_in(&asked, host) || helper_of.is_some_and(|name| is_in(&asked, &name));
            let is_named = is_in(&named, host) || is_in(&named, &moved.server_url);
            (!is_asked && !is_named).then(|| host.clone())
        };
        self.moved.iter().filter_map(ended).collect()
    }

    pub(crate) fn write(&self, store: &Store, config: &Path) -> Result<(), Failure> {
        Ok(store.set(&Self::id(config), &Secret::from(to_json(self)))?)
    }

    pub(crate) fn remove(store: &Store, config: &Path) -> Result<(), Failure> {
        match store.remove(&Self::id(config)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the records for other files say.
#[derive(Default)]
pub(crate) struct Others {
    /// The entries that they name.
    named: BTreeSet<Id>,
    /// Those that came into the store by them.
    brought: BTreeSet<Id>,
    pub(crate) unreadable: Vec<Failure>,
}

impl Others {
    fn add<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for moved in records.flat_map(|record| record.moved.values()) {
            let id = id_of(&moved.server_url);
            if !moved.was_there {
                self.brought.insert(id.clone());
            }
            self.named.insert(id);
        }
    }

    /// Whether another file may need the credential for a server: not knowing, it may.
    pub(crate) fn may_need(&self, server_url: &str) -> bool {
        !self.unreadable.is_empty() || self.named.contains(&id_of(server_url))
    }

    /// Whether the credential for a server came into the store by another file.
    pub(crate) fn brought(&self, server_url: &str) -> bool {
        self.brought.contains(&id_of(server_url))
    }
}
