//! What is to be done to a `config.json` or `auth.json` so that its clients keep their credentials in the
//! store.

use std::collections::{BTreeMap, HashMap, HashSet};

use posixage::Id;

use crate::{
    docker_setup::{
        auths::{self, Entry, Plaintext},
        config_file::{Client, ConfigFile, Content},
        json_object::JsonObject,
        record::HelperText,
        report::shown,
        target::{Target, target},
    },
    failure::{Code, Failure},
    helpers::docker::credential::{Credential, id_of},
};

/// The name of the helper in docker's files.
pub(crate) const HELPER: &str = "posixage";

/// What a file's clients keep where.
pub(crate) struct Plan {
    client: Client,
    /// The text of `credsStore`, if it is set.
    pub(crate) creds_store: Option<HelperText>,
    /// What it says; empty if it is not set.
    pub(crate) store_name: String,
    /// The credentials in plaintext that can be moved.
    pub(crate) moves: Vec<Move>,
    /// What is secret and stays in the file, and why.
    pub(crate) stays: Vec<(String, String)>,
    /// What can neither be moved nor stay, since docker would read it no longer, and why.
    pub(crate) losses: Vec<(String, String)>,
    /// What is not in the file, and docker will find in the store.
    pub(crate) returns: Vec<String>,
    /// The registries that have a helper of their own.
    pub(crate) own_helpers: BTreeMap<String, String>,
}

/// A credential that goes from the file into the store.
pub(crate) struct Move {
    /// Its name in `auths`.
    pub(crate) host: String,
    /// Under what a client will ask a helper for it.
    pub(crate) server_url: String,
    /// Under what a client looks for its helper.
    pub(crate) helper_of: String,
    pub(crate) plaintext: Plaintext,
    /// Whether a client asks our helper for it already, so that what is in the file is out of use.
    pub(crate) is_ours: bool,
    /// Whether docker reads it in the file, and would not any more with our helper.
    pub(crate) is_read: bool,
}

impl Plan {
    pub(crate) fn of(file: &ConfigFile, config: &Content) -> Result<Self, Failure> {
        let config = &config.object;
        let invalid = |name: &str, why: &str| {
            let path = file.path.display();
            Failure::new(format_args!("{path} is not valid: {name} {why}")).code(Code::Damaged)
        };
        let text = |json: &str| serde_json::from_str::<Option<String>>(json);
        let creds_store = config.get(&["credsStore"]);
        let store_name = text(creds_store.unwrap_or("null"))
            .map_err(|_| invalid("credsStore", "is no text"))?
            .unwrap_or_default();
        let creds_store = creds_store.map(|text| HelperText::try_from(text.to_owned()));
        let creds_store = creds_store.transpose();
        let mut own_helpers = BTreeMap::new();
        for (host, helper) in config.members(&["credHelpers"]) {
            let helper = text(helper).map_err(|_| invalid(&host, "is no text"))?;
            own_helpers.insert(host, helper.unwrap_or_default());
        }
        let mut plan = Self {
            client: file.client,
            creds_store: creds_store.map_err(|_| invalid("credsStore", "is no helper's name"))?,
            store_name,
            moves: Vec::new(),
            stays: Vec::new(),
            losses: Vec::new(),
            returns: Vec::new(),
            own_helpers,
        };
        let auths = config.members(&["auths"]);
        let entries = Entries::of(file.client, &auths);
        for (host, entry) in &auths {
            plan.add(host, auths::read(entry), &entries);
        }
        Ok(plan)
    }

    /// Decides what to do with an entry.
    fn add(&mut self, host: &str, entry: Entry, entries: &Entries<'_>) {
        let stuck = match &entry {
            Entry::Clear => return,
            Entry::Plaintext(_) => None,
            Entry::Stuck(why) => Some(*why),
        };
        let Some(target) = target(self.client, host) else {
            let why = "is no registry that a client asks for";
            return self.stays.push((host.into(), why.into()));
        };
        let own = self.own_helpers.get(&target.helper_of);
        let conflict = entries.conflict(self.client, host, &target);
        let is_docker = self.client == Client::Docker;
        // Docker goes by the name that it asks for if there is one, and passes over every other.
        let is_shadowed = is_docker && entries.is_shadowed(host, &target);
        let is_read = is_docker
            && self.store_name.is_empty()
            && own.is_none()
            && !is_shadowed
            && target.server_url == target.helper_of;
        let has_another = match own.map(String::as_str) {
            None | Some(HELPER) => None,
            Some("") => Some("is kept in the file, as credHelpers says".to_owned()),
            Some(helper) => Some(format!("has a helper of its own, {helper}")),
        };
        let why = stuck.map(str::to_owned).or(has_another).or(conflict);
        let plaintext = match (entry, why) {
            (_, Some(why)) if is_read && why != auths::REGISTRY_TOKEN => {
                return self.losses.push((host.into(), why));
            }
            (_, Some(why)) => return self.stays.push((host.into(), why)),
            (Entry::Plaintext(plaintext), None) => plaintext,
            (_, None) => return,
        };
        if plaintext.leaves_token {
            let why = auths::REGISTRY_TOKEN.into();
            self.stays.push((host.into(), why));
        }
        self.moves.push(Move {
            is_ours: own.is_some() || is_docker && self.store_name == HELPER,
            host: host.into(),
            server_url: target.server_url,
            helper_of: target.helper_of,
            plaintext,
            is_read,
        });
    }

    /// Refuses what would lose a login.
    pub(crate) fn check(&self, file: &ConfigFile) -> Result<(), Failure> {
        let Some((first, _)) = self.losses.first() else {
            return Ok(());
        };
        let lost = self
            .losses
            .iter()
            .map(|(host, why)| format!("{} {why}", shown(host)));
        let lost = lost.collect::<Vec<_>>().join("; ");
        let (path, first) = (file.path.display(), shown(first));
        Err(Failure::new(format_args!(
            "{path}: {lost}: with a credsStore docker would not read it any more"
        ))
        .hint(format_args!(
            "docker logout {first}, or remove what is not needed from the file; after the setup \
             docker login {first}"
        )))
    }

    /// The file without what is moved, and with the helper in it.
    pub(crate) fn apply(&self, config: &JsonObject) -> JsonObject {
        let mut config = config.clone();
        let rests = self.moves.iter();
        let rests: Vec<_> = rests
            .map(|one| (one.host.as_str(), Some(one.plaintext.rest.as_str())))
            .collect();
        config.edit(&["auths"], &rests);
        let helper = format!("\"{HELPER}\"");
        match self.client {
            Client::Docker => config.set(&["credsStore"], &helper),
            Client::Containers => {
                if !self.moves.is_empty() && config.members(&["credHelpers"]).is_empty() {
                    config.set(&["credHelpers"], "{}");
                }
                let helpers = self.moves.iter();
                let helpers: Vec<_> = helpers
                    .map(|one| (one.helper_of.as_str(), Some(helper.as_str())))
                    .collect();
                config.edit(&["credHelpers"], &helpers);
            }
        }
        config
    }
}

impl Move {
    pub(crate) fn credential(&self) -> Credential {
        Credential {
            server_url: self.server_url.clone(),
            username: self.plaintext.username.clone(),
            secret: self.plaintext.secret.clone(),
        }
    }
}

/// What is in `auths` beside an entry.
struct Entries<'a> {
    names: HashSet<&'a str>,
    /// The entries with something secret, by the registry that they are for.
    of_registry: HashMap<Id, Vec<&'a str>>,
    /// One of the entries for a part of a registry.
    part_of: HashMap<String, &'a str>,
}

impl<'a> Entries<'a> {
    fn of(client: Client, auths: &'a [(String, &str)]) -> Self {
        let mut entries = Self {
            names: HashSet::new(),
            of_registry: HashMap::new(),
            part_of: HashMap::new(),
        };
        for (host, entry) in auths {
            entries.names.insert(host);
            match target(client, host) {
                Some(target) if target.is_part => {
                    entries.part_of.insert(target.helper_of, host);
                }
                Some(target) if !matches!(auths::read(entry), Entry::Clear) => {
                    let id = id_of(&target.server_url);
                    entries.of_registry.entry(id).or_default().push(host);
                }
                _ => {}
            }
        }
        entries
    }

    fn is_shadowed(&self, host: &str, target: &Target) -> bool {
        host != target.helper_of && self.names.contains(target.helper_of.as_str())
    }

    /// Why an entry cannot become the credential of its registry.
    fn conflict(&self, client: Client, host: &str, target: &Target) -> Option<String> {
        if target.is_part {
            return Some("is for a part of a registry; helpers know whole ones".into());
        }
        if let (Client::Containers, Some(part)) = (client, self.part_of.get(&target.helper_of)) {
            return Some(format!(
                "a helper would hide the entry of a part of it, {part}"
            ));
        }
        if client == Client::Docker && self.is_shadowed(host, target) {
            return Some(format!("docker goes by the entry {}", target.helper_of));
        }
        let others = self.of_registry.get(&id_of(&target.server_url))?;
        let other = others.iter().find(|other| **other != host)?;
        // The others are passed over.
        let is_first = client == Client::Docker && host == target.helper_of;
        (!is_first).then(|| {
            format!(
                "is not the only entry for its registry; {} is another",
                shown(other)
            )
        })
    }
}
