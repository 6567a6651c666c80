//! `posixage docker status`: where docker keeps its credentials, and whether that works.

use std::{collections::BTreeMap, env};

use serde::Serialize;

use crate::{
    docker_setup::{
        auths::{self, Entry},
        config_file::{ConfigFile, Origin},
        installed::Installed,
        plan::{HELPER, Plan},
    },
    failure::Failure,
    helpers::docker::credential,
    io::output::{print, print_json, printable},
    session::Session,
    settings::Settings,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Status {
    config: String,
    /// Whether the file is there.
    exists: bool,
    /// `credsStore`; null if it is not set.
    creds_store: Option<String>,
    /// `credHelpers`.
    cred_helpers: BTreeMap<String, String>,
    /// The names in `auths` with something secret in plaintext.
    plaintext: Vec<String>,
    /// Files beside it that a killed run has left, perhaps with passwords in them.
    leftovers: Vec<String>,
    /// Whether `DOCKER_AUTH_CONFIG` is set, which docker asks first.
    overridden: bool,
    /// Where docker finds the helper; null if it does not.
    helper: Option<String>,
    /// How many credentials are in the store.
    credentials: usize,
    /// Whether the helper decrypts; null if there is nothing to try it on.
    decrypts: Option<bool>,
    /// What it said if not.
    problem: Option<String>,
}

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let status = status(settings)?;
    if json {
        return print_json(&status);
    }
    print(|out| {
        let mut line = |name: &str, text: &str| writeln!(out, "{name:12}{}", printable(text));
        let missing = if status.exists { "" } else { " (not there)" };
        line("config", &format!("{}{missing}", status.config))?;
        match status.creds_store.as_deref() {
            Some(name) => line("credsStore", name)?,
            None => line("credsStore", "not set")?,
        }
        for (host, helper) in &status.cred_helpers {
            line("helper of", &format!("{host}: {helper}"))?;
        }
        for host in &status.plaintext {
            line("plaintext", host)?;
        }
        for path in &status.leftovers {
            line("left over", path)?;
        }
        if status.overridden {
            line(
                "overridden",
                "DOCKER_AUTH_CONFIG is set, which docker asks first",
            )?;
        }
        line("helper", status.helper.as_deref().unwrap_or("not in PATH"))?;
        line("credentials", &status.credentials.to_string())?;
        let decrypts = match (status.decrypts, &status.problem) {
            (Some(true), _) => "yes",
            (_, Some(problem)) => problem,
            _ => "not tried",
        };
        line("decrypts", decrypts)
    })?;
    let is_set = status.creds_store.as_deref() == Some(HELPER);
    if status.helper.is_none() {
        Installed::missing().print();
    } else if !status.leftovers.is_empty() {
        settings.note("posixage docker setup removes what a run that was killed has left");
    } else if !is_set || !status.plaintext.is_empty() {
        settings.note("posixage docker setup moves docker's credentials into the store");
    }
    Ok(())
}

fn status(settings: &Settings) -> Result<Status, Failure> {
    let file = ConfigFile::find(None)?;
    let config = file.read()?;
    let plan = Plan::of(&file, &config)?;
    let helper = Installed::find();
    let tried = helper.as_ref().map(Installed::decrypts);
    let creds_store: Option<String> = plan
        .creds_store
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok());
    let auths = config.object.members(&["auths"]);
    let is_plaintext = |entry: &str| !matches!(auths::read(entry), Entry::Clear);
    Ok(Status {
        config: file.path.display().to_string(),
        exists: config.origin != Origin::Missing,
        creds_store: creds_store.filter(|name| !name.is_empty()),
        plaintext: auths
            .iter()
            .filter(|(_, entry)| is_plaintext(entry))
            .map(|(host, _)| host.clone())
            .collect(),
        cred_helpers: plan.own_helpers.into_iter().collect(),
        leftovers: file
            .leftovers()?
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        overridden: env::var_os("DOCKER_AUTH_CONFIG").is_some_and(|value| !value.is_empty()),
        helper: helper.map(|helper| helper.path.display().to_string()),
        credentials: credentials(settings)?,
        decrypts: match &tried {
            Some(Ok(tried)) => tried.map(|()| true),
            Some(Err(_)) => Some(false),
            None => None,
        },
        problem: tried.and_then(Result::err).map(|f| f.to_string()),
    })
}

fn credentials(settings: &Settings) -> Result<usize, Failure> {
    match Session::find(settings)? {
        Some(session) => Ok(session.keyless().list(&credential::credentials())?.count()),
        None => Ok(0),
    }
}
