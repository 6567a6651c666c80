//! `posixage docker setup --undo`: docker keeps its credentials where it did before.
//!
//! What setup moved goes back into the file, as it is in the store now, and out of the store after that.
//! What came into the store since stays there: nobody asked for it in plaintext.

use std::collections::BTreeMap;

use posixage::Store;
use zeroize::Zeroizing;

use crate::{
    docker_setup::{
        auths::{self, Entry},
        config_file::{Client, ConfigFile, Content, Origin},
        exclusive,
        json_object::JsonObject,
        plan::HELPER,
        record::Record,
        report::Report,
        stored,
    },
    failure::{Code, Failure},
    helpers::docker::credential::Credential,
    session::Session,
    settings::Settings,
};

pub(crate) fn run(
    settings: &Settings,
    file: &ConfigFile,
    dry_run: bool,
) -> Result<Report, Failure> {
    file.read()?;
    let none = || {
        let path = file.path.display();
        Failure::new(format_args!("there is no setup of {path} to undo")).code(Code::NotFound)
    };
    let session = Session::find(settings)?.ok_or_else(none)?;
    let store = session.comparer()?;
    let _exclusive = match dry_run {
        true => None,
        false => Some(exclusive::acquire(settings)?),
    };
    if !dry_run {
        file.sweep()?;
    }
    let record = Record::read(&store, &file.path)?.ok_or_else(none)?;
    let others = Record::of_others(&store, &file.path)?;
    file.check_writable()?;
    if !dry_run {
        stored::check_keys(&store)?;
    }
    let mut report = Report::new(file, dry_run);
    for _ in 0..ConfigFile::TRIES {
        let config = file.read()?;
        let credentials = credentials(&store, &record)?;
        let (after, hosts) = restore(file.client, &config, &record, &credentials);
        if !dry_run && !write(file, &config, &after, record.origin)? {
            continue;
        }
        for host in record.moved.keys() {
            match hosts.contains(&host) {
                true => report.done("restored", "would restore", host),
                false => report.line("left", format_args!("{host}: logged out or changed since")),
            }
        }
        let [now, then] = [&config.object, &after].map(|object| {
            let creds_store = object.get(&["credsStore"]).unwrap_or("null");
            match creds_store.trim_matches('"') {
                "" | "null" => "not set".to_owned(),
                name => name.to_owned(),
            }
        });
        match now == then {
            _ if file.client == Client::Containers => {}
            true => report.line("credsStore", then),
            false => report.done("credsStore", "would set", then),
        }
        for host in hosts {
            let moved = &record.moved[host];
            if moved.was_there {
                continue;
            }
            if others.iter().any(|other| other.names(&moved.server_url)) {
                let why = "in the store too, for another file that setup has changed";
                report.line("kept", format_args!("{host}: {why}"));
            } else if !dry_run && !stored::remove_same(&store, &credentials[host])? {
                let why = "the store has a later login, and keeps it";
                report.line("kept", format_args!("{host}: {why}"));
            }
        }
        if !dry_run {
            Record::remove(&store, &file.path)?;
        }
        return Ok(report);
    }
    Err(file.keeps_changing())
}

/// What was moved, as it is now.
fn credentials(store: &Store, record: &Record) -> Result<BTreeMap<String, Credential>, Failure> {
    let mut credentials = BTreeMap::new();
    for (host, moved) in &record.moved {
        if let Some(credential) = stored::read(store, &moved.server_url)? {
            credentials.insert(host.clone(), credential);
        }
    }
    Ok(credentials)
}

/// The file as it was, as far as nobody has changed it since, and whose credentials are in it again.
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
            Some(before) => object.set(&["credsStore"], before),
            None => object.remove(&["credsStore"]),
        }
    }
    if client == Client::Containers {
        take_helpers_away(&mut object, record);
    }
    let mut hosts = Vec::new();
    for (host, moved) in &record.moved {
        if ended.contains(host) {
            continue;
        }
        // Under which name docker looks first, should it have logged in there since.
        let name = match object.get(&["auths", &moved.server_url]) {
            Some(_) => &moved.server_url,
            None => host,
        };
        let path = ["auths", name.as_str()];
        let now = Zeroizing::new(object.get(&path).unwrap_or("{}").to_owned());
        let is_clear = match auths::read(&now) {
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
        if object.get(&["auths"]).is_none_or(|auths| auths == "null") {
            object.set(&["auths"], "{}");
        }
        object.set(&path, &auths::restore(&moved.template, &now, credential));
        hosts.push(host);
    }
    (object, hosts)
}

/// Takes our helper from the registries that did not have it before.
fn take_helpers_away(object: &mut JsonObject, record: &Record) {
    for (host, moved) in &record.moved {
        let path = ["credHelpers", host.as_str()];
        if !moved.had_helper && object.get(&path) == Some(&format!("\"{HELPER}\"")) {
            object.remove(&path);
        }
    }
    if object.get(&["credHelpers"]).is_some() && object.members(&["credHelpers"]).is_empty() {
        match &record.cred_helpers {
            Some(before) => object.set(&["credHelpers"], before),
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
