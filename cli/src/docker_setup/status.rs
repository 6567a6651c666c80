//! `posixage docker status`: where docker keeps its credentials, and whether that works.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use serde::Serialize;

use crate::{
    docker_setup::{
        auths::{self, Entry},
        config_file::{ConfigFile, Origin},
        installed::Installed,
        plan::{HELPER, Plan},
        report::shown,
        stored::credentials,
    },
    failure::{Code, Failure},
    io::output::{print, print_json, printable},
    settings::Settings,
};

/// What the names of helpers' programs begin with.
const PREFIX: &str = "docker-credential-";

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
    /// Secrets below `docker/` that are no credential, or that the helper cannot read.
    unusable: Vec<String>,
    /// Helpers that the file names, ours apart, and docker does not find.
    missing_helpers: Vec<String>,
    /// Whether the helper decrypts; null if there is nothing to try it on.
    decrypts: Option<bool>,
    /// What it said if not.
    problem: Option<String>,
}

impl Status {
    /// Whether docker asks our helper.
    fn is_in_use(&self) -> bool {
        let mut names = self.cred_helpers.values().chain(&self.creds_store);
        names.any(|name| name == HELPER)
    }

    /// Why a pull that needs a credential fails, or goes on without one.
    fn failure(&self) -> Option<Failure> {
        let store = format!(
            "{PREFIX}{}",
            self.creds_store.as_deref().unwrap_or_default()
        );
        if self.missing_helpers.contains(&store) {
            let what = format!("{store} is not in PATH, where docker looks for it");
            return Some(Failure::new(what));
        }
        if !self.is_in_use() {
            return None;
        }
        if self.helper.is_none() {
            return Some(Installed::missing());
        }
        if let Some(problem) = &self.problem {
            return Some(Failure::new(problem));
        }
        let id = self.unusable.first()?;
        let what = format!("docker gets no credential from {id}");
        Some(Failure::new(what).code(Code::Damaged).hint(format_args!(
            "posixage get {id} says what is wrong with it, posixage rm {id} removes it"
        )))
    }
}

/// Fails, having said everything, where a pull would.
pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let status = status(settings)?;
    match json {
        true => print_json(&status)?,
        false => print_lines(settings, &status)?,
    }
    status.failure().map_or(Ok(()), Err)
}

fn print_lines(settings: &Settings, status: &Status) -> Result<(), Failure> {
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
            line("plaintext", &shown(host))?;
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
        for name in &status.missing_helpers {
            line("missing", &format!("{name} is not in PATH"))?;
        }
        line("credentials", &status.credentials.to_string())?;
        for id in &status.unusable {
            line("unusable", id)?;
        }
        let decrypts = match (status.decrypts, &status.problem) {
            (Some(true), _) => "yes",
            (_, Some(problem)) => problem,
            _ => "not tried",
        };
        line("decrypts", decrypts)
    })?;
    let is_set = status.creds_store.as_deref() == Some(HELPER);
    if status.failure().is_some() {
        return Ok(());
    }
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
    let credentials = credentials(settings)?;
    let usable = match &helper {
        Some(helper) => helper.usable(&credentials),
        None => Ok(None),
    };
    let (usable, problem) = match usable {
        Ok(usable) => (usable, None),
        Err(failure) => (Some((Vec::new(), false)), Some(failure.to_string())),
    };
    let decrypts = usable.as_ref().map(|(_, decrypts)| *decrypts);
    let mut unusable: Vec<String> = usable.map_or_else(Vec::new, |(ids, _)| ids);
    unusable.extend(credentials.none.iter().map(ToString::to_string));
    let auths = config.object.members(&["auths"]);
    let is_plaintext = |entry: &str| !matches!(auths::read(entry), Entry::Clear);
    let names = plan.own_helpers.values().chain([&plan.store_name]);
    let others: BTreeSet<&String> = names.filter(|n| !n.is_empty() && *n != HELPER).collect();
    Ok(Status {
        config: file.path.display().to_string(),
        exists: config.origin != Origin::Missing,
        plaintext: auths
            .iter()
            .filter(|(_, entry)| is_plaintext(entry))
            .map(|(host, _)| host.clone())
            .collect(),
        missing_helpers: others
            .into_iter()
            .map(|name| format!("{PREFIX}{name}"))
            .filter(|name| Installed::find_program(name).is_none())
            .collect(),
        creds_store: Some(plan.store_name).filter(|name| !name.is_empty()),
        cred_helpers: plan.own_helpers,
        leftovers: file
            .leftovers()?
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        overridden: env::var_os("DOCKER_AUTH_CONFIG").is_some_and(|value| !value.is_empty()),
        helper: helper.map(|helper| helper.path.display().to_string()),
        credentials: credentials.by_url.len(),
        unusable,
        decrypts,
        problem,
    })
}
