//! `posixage docker setup --undo`: docker keeps its credentials where it did before.
//!
//! What setup moved goes back into the file, as it is in the store now, and out of the store after that.
//! What came into the store since stays there: `--undo` was not asked to put it in plaintext. Without the
//! record of the setup, or without the key to it, the client stops asking the helper all the same.

use std::collections::{BTreeMap, HashSet};

use posixage::Store;
use zeroize::Zeroizing;

use crate::{
    docker_setup::{
        auths::{self, Entry},
        config_file::{Client, ConfigFile, Content, Origin},
        exclusive,
        json_object::JsonObject,
        plan::HELPER,
        record::{Others, Record},
        report::{Report, shown},
        stored,
        target::target,
    },
    failure::{Code, Failure},
    helpers::docker::credential::Credential,
    session::Session,
    settings::Settings,
};

/// What is known of the setup.
struct Known {
    store: Store,
    record: Record,
    others: Others,
}

pub(crate) fn run(
    settings: &Settings,
    file: &ConfigFile,
    dry_run: bool,
) -> Result<Report, Failure> {
    file.read()?;
    // Before the lock: it may ask for a passphrase.
    let store = open(settings, dry_run);
    let _exclusive = match dry_run {
        true => None,
        false => Some(exclusive::acquire(settings)?),
    };
    if !dry_run {
        file.sweep()?;
    }
    file.check_writable()?;
    let undone = store
        .and_then(|store| known(store, file))
        .map(|known| restore_all(file, &known, dry_run));
    match undone {
        // A record that was planted may ask for more than a file holds.
        Ok(Err(failure)) if failure.exit_code() == Code::Damaged => {
            without_record(file, failure, dry_run)
        }
        Ok(done) => done,
        Err(failure) if failure.exit_code() == Code::Locked => Err(failure),
        Err(failure) => without_record(file, failure, dry_run),
    }
}

fn open(settings: &Settings, dry_run: bool) -> Result<Option<Store>, Failure> {
    let Some(session) = Session::find(settings)? else {
        return Ok(None);
    };
    let store = session.comparer()?;
    if !dry_run {
        stored::check_keys(&store)?;
    }
    Ok(Some(store))
}

fn known(store: Option<Store>, file: &ConfigFile) -> Result<Known, Failure> {
    let none = || {
        let path = file.path.display();
        Failure::new(format_args!("there is no setup of {path} to undo")).code(Code::NotFound)
    };
    let store = store.ok_or_else(none)?;
    let record = Record::read(&store, &file.path)?.ok_or_else(none)?;
    let others = Record::of_others(&store, &file.path)?;
    Ok(Known {
        store,
        record,
        others,
    })
}

fn restore_all(file: &ConfigFile, known: &Known, dry_run: bool) -> Result<Report, Failure> {
    let Known {
        store,
        record,
        others,
    } = known;
    let mut report = Report::new(file, dry_run);
    others.unreadable.iter().for_each(Failure::print);
    for _ in 0..ConfigFile::TRIES {
        let config = file.read()?;
        let mut unreadable = Vec::new();
        let credentials = credentials(store, record, &mut unreadable)?;
        let (after, hosts) = restore(file.client, &config, record, &credentials);
        if !dry_run && !write(file, &config, &after, record.origin)? {
            continue;
        }
        let restored: HashSet<&String> = hosts.iter().copied().collect();
        for host in record.moved.keys() {
            let name = shown(host);
            match restored.contains(host) {
                true => report.done("restored", "would restore", name),
                false => report.line("left", format_args!("{name}: logged out or changed since")),
            }
        }
        say_creds_store(&mut report, file.client, &config.object, &after);
        for host in hosts {
            let moved = &record.moved[host];
            if moved.was_there {
                continue;
            }
            let host = (host, shown(host));
            if others.may_need(&moved.server_url) {
                let why = "in the store too, for another file that setup has changed";
                report.line("kept", format_args!("{}: {why}", host.1));
            } else if !dry_run && !stored::remove_same(store, &credentials[host.0])? {
                let why = "the store has a later login, and keeps it";
                report.line("kept", format_args!("{}: {why}", host.1));
            }
        }
        // What is missing can be had back once it can be read.
        if !dry_run && unreadable.is_empty() {
            Record::remove(store, &file.path)?;
        }
        report.failures = unreadable;
        return Ok(report);
    }
    Err(file.keeps_changing())
}

fn say_creds_store(report: &mut Report, client: Client, now: &JsonObject, then: &JsonObject) {
    if client == Client::Containers {
        return;
    }
    let [now, then] = [now, then].map(|object| {
        let name: Option<String> = object
            .get(&["credsStore"])
            .and_then(|json| serde_json::from_str(json).ok());
        name.filter(|name| !name.is_empty())
            .unwrap_or_else(|| "not set".into())
    });
    match now == then {
        true => report.line("credsStore", then),
        false => report.done("credsStore", "would set", then),
    }
}

/// What can be done without knowing what setup did: the client does not ask the helper any more.
fn without_record(file: &ConfigFile, why: Failure, dry_run: bool) -> Result<Report, Failure> {
    for _ in 0..ConfigFile::TRIES {
        let config = file.read()?;
        let mut after = config.object.clone();
        let ours = format!("\"{HELPER}\"");
        let helpers = config.object.members(&["credHelpers"]);
        let helpers: Vec<_> = helpers
            .iter()
            .filter(|(_, helper)| file.client == Client::Containers && *helper == ours)
            .map(|(host, _)| (host.as_str(), None))
            .collect();
        after.edit(&["credHelpers"], &helpers);
        if file.client == Client::Docker && after.get(&["credsStore"]) == Some(&ours) {
            after.remove(&["credsStore"]);
        }
        if after == config.object {
            return Err(why);
        }
        if !dry_run && !file.replace(&config, &after)? {
            continue;
        }
        let mut report = Report::new(file, dry_run);
        say_creds_store(&mut report, file.client, &config.object, &after);
        for (host, _) in &helpers {
            report.done("helper of", "would set", format_args!("{host}: none"));
        }
        match why.exit_code() {
            Code::NotFound => report.note(
                "there is no record of the setup: what is in the store stays there; docker login \
                 brings a login back into the file",
            ),
            _ => {
                report.note(
                    "the record of the setup cannot be read: what it has moved stays in the store; \
                     --undo once more brings it back when it can be",
                );
                report.failures.push(why);
            }
        }
        return Ok(report);
    }
    Err(file.keeps_changing())
}

/// What was moved, as it is now; one that cannot be read does not hide the others.
fn credentials(
    store: &Store,
    record: &Record,
    unreadable: &mut Vec<Failure>,
) -> Result<BTreeMap<String, Credential>, Failure> {
    let mut credentials = BTreeMap::new();
    for (host, moved) in &record.moved {
        match stored::read(store, &moved.server_url) {
            Ok(Some(credential)) => drop(credentials.insert(host.clone(), credential)),
            Ok(None) => {}
            Err(failure) if failure.exit_code() == Code::Damaged => unreadable.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    Ok(credentials)
}

/// The file as it was, as far as it was not changed since, and whose credentials are in it again.
fn restore<'a>(
    client: Client,
    config: &Content,
    record: &'a Record,
    credentials: &BTreeMap<String, Credential>,
) -> (JsonObject, Vec<&'a String>) {
    let mut object = config.object.clone();
    let ended = record.ended(client, &object);
    let is_ours = object.get(&["credsStore"]) == Some(&format!("\"{HELPER}\""));
    if client == Client::Docker && is_ours {
        match &record.creds_store {
            Some(before) => object.set(&["credsStore"], before.as_str()),
            None => object.remove(&["credsStore"]),
        }
    }
    if client == Client::Containers {
        take_helpers_away(&mut object, record);
    }
    let auths = config.object.members(&["auths"]);
    let auths: BTreeMap<&str, &str> = auths
        .iter()
        .map(|(name, entry)| (name.as_str(), *entry))
        .collect();
    let mut entries: BTreeMap<&str, Zeroizing<String>> = BTreeMap::new();
    let mut hosts = Vec::new();
    for (host, moved) in &record.moved {
        if ended.contains(host) {
            continue;
        }
        // Under which name docker looks first, should it have logged in there since.
        let name = match auths.contains_key(moved.server_url.as_str()) {
            true => &moved.server_url,
            false => host,
        };
        let now = auths.get(name.as_str()).copied().unwrap_or("{}");
        let is_clear = match auths::read(now) {
            Entry::Clear | Entry::Stuck(auths::REGISTRY_TOKEN) => true,
            // A login in plaintext since, or a run that did not come to its end: it is there already.
            Entry::Plaintext(plaintext) => credentials.get(host).is_some_and(|credential| {
                plaintext.username == credential.username && plaintext.secret == credential.secret
            }),
            Entry::Stuck(_) => false,
        };
        let Some(credential) = credentials.get(host).filter(|_| is_clear) else {
            continue;
        };
        let entry = auths::restore(&moved.template, now, credential);
        entries.insert(name, entry);
        hosts.push(host);
    }
    if !entries.is_empty() && object.get(&["auths"]).is_none_or(|auths| auths == "null") {
        object.set(&["auths"], "{}");
    }
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, entry)| (*name, Some(entry.as_str())))
        .collect();
    object.edit(&["auths"], &entries);
    (object, hosts)
}

/// Takes our helper from the registries that did not have it before.
fn take_helpers_away(object: &mut JsonObject, record: &Record) {
    let ours = format!("\"{HELPER}\"");
    let added = record.moved.iter().filter(|(_, moved)| !moved.had_helper);
    let added: HashSet<String> = added
        .flat_map(|(host, _)| {
            let target = target(Client::Containers, host);
            [Some(host.clone()), target.map(|target| target.helper_of)]
        })
        .flatten()
        .collect();
    let helpers = object.clone();
    let helpers = helpers.members(&["credHelpers"]);
    let gone: Vec<_> = helpers
        .iter()
        .filter(|(host, helper)| *helper == ours && added.contains(host))
        .map(|(host, _)| (host.as_str(), None))
        .collect();
    object.edit(&["credHelpers"], &gone);
    if object.get(&["credHelpers"]).is_some() && object.members(&["credHelpers"]).is_empty() {
        match &record.cred_helpers {
            Some(before) => object.set(&["credHelpers"], before.as_str()),
            None => object.remove(&["credHelpers"]),
        }
    }
}

fn write(
    file: &ConfigFile,
    before: &Content,
    after: &JsonObject,
    origin: Origin,
) -> Result<bool, Failure> {
    let is_empty = after
        .members(&[])
        .iter()
        .all(|(name, value)| name == "auths" && value.split_ascii_whitespace().eq(["{}"]));
    if is_empty && origin != Origin::Object {
        file.put_back(before, origin)
    } else if *after == before.object {
        Ok(true)
    } else {
        file.replace(before, after)
    }
}
