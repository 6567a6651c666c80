//! What `--undo` needs to know of what `setup` did, kept as a secret of the store: without any password,
//! so that none outlives a logout.

use std::{collections::BTreeMap, path::Path};

use posixage::{Error, Id, Pattern, Secret, Store};
use serde::{Deserialize, Serialize};

use crate::{
    docker_setup::{
        config_file::{Client, Origin},
        json_object::JsonObject,
        plan::HELPER,
    },
    failure::{Code, Failure},
    helpers::entry_id::entry_id,
    io::output::to_json,
};

/// The component that the ids of records begin with.
const NAMESPACE: &str = "docker-setup";

/// What `setup` did to one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) origin: Origin,
    /// The text of `credsStore` before, if there was one.
    pub(crate) creds_store: Option<String>,
    /// Of an `auth.json`, the text of `credHelpers` before, if there was one.
    pub(crate) cred_helpers: Option<String>,
    /// What was moved, by its name in `auths`.
    pub(crate) moved: BTreeMap<String, Moved>,
}

/// An entry of `auths` that was moved into the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// What a helper is asked for to get it.
    pub(crate) server_url: String,
    /// The entry's text without what is secret.
    pub(crate) template: String,
    /// Whether it was in the store before.
    pub(crate) was_there: bool,
    /// Whether the registry had the helper before.
    pub(crate) had_helper: bool,
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
            Failure::new(format_args!("{id} is no record of a setup")).code(Code::Damaged)
        })?;
        Ok(Some(record))
    }

    /// The records for every other file.
    pub(crate) fn of_others(store: &Store, config: &Path) -> Result<Vec<Self>, Failure> {
        let pattern: Pattern = format!("{NAMESPACE}/**")
            .parse()
            .expect("a namespace is a component of an id");
        let own = Self::id(config);
        let ids = store.list(&pattern)?.map(|entry| entry.id);
        ids.filter(|id| *id != own)
            .filter_map(|id| Self::at(store, &id).transpose())
            .collect()
    }

    /// The names of what was moved, or would have been, by a run that did not come to its end, and is
    /// not in the file any more: there it was logged out. Where the helper is asked, the store
    /// tells.
    pub(crate) fn ended(&self, client: Client, config: &JsonObject) -> Vec<String> {
        let helper = format!("\"{HELPER}\"");
        let ended = |(host, moved): (&String, &Moved)| {
            let asked = match client {
                Client::Docker => config.get(&["credsStore"]),
                Client::Containers => config.get(&["credHelpers", host]),
            };
            let is_named = [host, &moved.server_url]
                .iter()
                .any(|name| config.get(&["auths", name]).is_some());
            (asked != Some(&helper) && !is_named).then(|| host.clone())
        };
        self.moved.iter().filter_map(ended).collect()
    }

    /// Whether it names the credential for a server.
    pub(crate) fn names(&self, server_url: &str) -> bool {
        let mut moved = self.moved.values();
        moved.any(|moved| moved.server_url == server_url)
    }

    /// Whether the credential for a server came into the store by it.
    pub(crate) fn brought(&self, server_url: &str) -> bool {
        let mut moved = self.moved.values();
        moved.any(|moved| moved.server_url == server_url && !moved.was_there)
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
