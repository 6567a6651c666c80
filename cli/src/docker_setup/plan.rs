//! What is to be done to a `config.json` or `auth.json` so that its clients keep their credentials in the
//! store.

use crate::{
    docker_setup::{
        auths::{self, Entry, Plaintext},
        config_file::{Client, ConfigFile, Content},
        json_object::JsonObject,
    },
    failure::{Code, Failure},
    helpers::docker::credential::Credential,
};

/// The name of the helper in docker's files.
pub(crate) const HELPER: &str = "posixage";

const HUB: &str = "https://index.docker.io/v1/";

/// What a file's clients keep where.
pub(crate) struct Plan {
    client: Client,
    /// The text of `credsStore`, if it is set.
    pub(crate) creds_store: Option<String>,
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
    pub(crate) own_helpers: Vec<(String, String)>,
}

/// A credential that goes from the file into the store.
pub(crate) struct Move {
    /// Its name in `auths`.
    pub(crate) host: String,
    /// Under what a client will ask a helper for it.
    pub(crate) server_url: String,
    pub(crate) plaintext: Plaintext,
    /// Whether a client asks our helper for it already, so that what is in the file is out of use.
    pub(crate) is_ours: bool,
    /// Whether docker reads it in the file, and would not any more with our helper.
    pub(crate) is_read: bool,
}

impl Plan {
    pub(crate) fn of(file: &ConfigFile, config: &Content) -> Result<Self, Failure> {
        let config = &config.object;
        let not_text = |name: &str| {
            let path = file.path.display();
            Failure::new(format_args!("{path} is not valid: {name} is no text")).code(Code::Damaged)
        };
        let text = |json: &str| serde_json::from_str::<Option<String>>(json);
        let creds_store = config.get(&["credsStore"]);
        let store_name = text(creds_store.unwrap_or("null"))
            .map_err(|_| not_text("credsStore"))?
            .unwrap_or_default();
        let mut own_helpers = Vec::new();
        for (host, helper) in config.members(&["credHelpers"]) {
            let helper = text(helper).map_err(|_| not_text(&host))?;
            own_helpers.push((host, helper.unwrap_or_default()));
        }
        let mut plan = Self {
            client: file.client,
            creds_store: creds_store.map(str::to_owned),
            store_name,
            moves: Vec::new(),
            stays: Vec::new(),
            losses: Vec::new(),
            returns: Vec::new(),
            own_helpers,
        };
        let auths = config.members(&["auths"]);
        let is_a_name = |name: &str| auths.iter().any(|(host, _)| host == name);
        for (host, entry) in &auths {
            let converted = hostname(host);
            let own = plan.own_helpers.iter().find(|(name, _)| name == converted);
            let is_read =
                plan.client == Client::Docker && plan.store_name.is_empty() && own.is_none();
            let plaintext = match auths::read(entry) {
                Entry::Clear => continue,
                Entry::Stuck(why) if is_read && why != auths::REGISTRY_TOKEN => {
                    plan.losses.push((host.clone(), why.into()));
                    continue;
                }
                Entry::Stuck(why) => {
                    plan.stays.push((host.clone(), why.into()));
                    continue;
                }
                Entry::Plaintext(plaintext) => plaintext,
            };
            match own {
                Some((_, helper)) if helper != HELPER => {
                    let why = match helper.as_str() {
                        "" => "is kept in the file, as credHelpers says".into(),
                        helper => format!("has a helper of its own, {helper}"),
                    };
                    plan.stays.push((host.clone(), why));
                    continue;
                }
                _ => {}
            }
            if plan.client == Client::Containers && host.contains('/') {
                let why = "is for a part of a registry; helpers know whole ones";
                plan.stays.push((host.clone(), why.into()));
                continue;
            }
            if plaintext.leaves_token {
                plan.stays
                    .push((host.clone(), auths::REGISTRY_TOKEN.into()));
            }
            // Docker goes by the name itself if there is one; this is a leftover then.
            let is_taken = converted != host
                && (is_a_name(converted) || plan.moves.iter().any(|m| m.server_url == converted));
            plan.moves.push(Move {
                server_url: match is_taken {
                    true => host.clone(),
                    false => converted.to_owned(),
                },
                is_ours: own.is_some()
                    || (plan.client == Client::Docker && plan.store_name == HELPER),
                is_read: is_read && !is_taken,
                host: host.clone(),
                plaintext,
            });
        }
        Ok(plan)
    }

    /// Refuses what would lose a login.
    pub(crate) fn check(&self, file: &ConfigFile) -> Result<(), Failure> {
        let Some((host, why)) = self.losses.first() else {
            return Ok(());
        };
        let path = file.path.display();
        Err(Failure::new(format_args!(
            "{path}: {host} {why}, and with a credsStore docker would not read it any more"
        ))
        .hint(format_args!(
            "docker logout {host}, and after the setup docker login {host}"
        )))
    }

    /// The file without what is moved, and with the helper in it.
    pub(crate) fn apply(&self, config: &JsonObject) -> JsonObject {
        let mut config = config.clone();
        for Move {
            host, plaintext, ..
        } in &self.moves
        {
            config.set(&["auths", host], &plaintext.rest);
        }
        let helper = format!("\"{HELPER}\"");
        match self.client {
            Client::Docker => config.set(&["credsStore"], &helper),
            Client::Containers => {
                for Move { host, .. } in &self.moves {
                    if config.members(&["credHelpers"]).is_empty() {
                        config.set(&["credHelpers"], "{}");
                    }
                    config.set(&["credHelpers", host], &helper);
                }
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

/// What docker asks a helper for: the Hub by its URL, any other registry by host and port. An old
/// file may have `https://host/v1/` or `host/v1/`.
fn hostname(name: &str) -> &str {
    if name.starts_with(HUB) {
        return name;
    }
    let schemes = ["https://", "http://"];
    let without_scheme = schemes.iter().find_map(|scheme| name.strip_prefix(scheme));
    let rest = without_scheme.unwrap_or(name);
    rest.split('/').next().unwrap_or(rest)
}
