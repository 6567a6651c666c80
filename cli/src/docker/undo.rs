//! `posixage docker setup --undo`: docker keeps its credentials where it did before.
//!
//! What setup moved goes back into the file, as it is in the store now, and out of the store after that.
//! What came into the store since stays there: nobody asked for it in plaintext.

use std::collections::BTreeMap;

use posixage::{Error, Store};
use zeroize::Zeroizing;

use crate::{
    docker::{
        auths::{self, Entry},
        config_file::{Client, ConfigFile, Content, Origin},
        credential::{Credential, id_of},
        json_object::JsonObject,
        plan::HELPER,
        record::Record,
        report::Report,
    },
    failure::{Code, Failure},
    keys,
    settings::Settings,
};

pub(crate) fn run(
    settings: &Settings,
    file: &ConfigFile,
    dry_run: bool,
) -> Result<Report, Failure> {
    let mut config = file.read()?;
    let none = || {
        let path = file.path.display();
        Failure::new(format_args!("there is no setup of {path} to undo")).code(Code::NotFound)
    };
    if !keys::is_there(settings)? {
        return Err(none());
    }
    let store = keys::open_to_read(settings)?;
    let record = Record::read(&store, &file.path)?.ok_or_else(none)?;
    file.check_writable()?;
    let credentials = credentials(&store, &record)?;
    let mut report = Report::new(file, dry_run);
    for _ in 0..ConfigFile::TRIES {
        let (after, hosts) = restore(file.client, &config, &record, &credentials);
        if !dry_run && !write(file, &config, &after, record.origin)? {
            config = file.read()?;
            continue;
        }
        for host in record.moved.keys() {
            match hosts.contains(&host) {
                true => report.done("restored", "would restore", host),
                false => report.line("left", format_args!("{host}: logged out or changed since")),
            }
        }
        let [now, then] = [&config.object, &after].map(|object| {
            let creds_store = object.get(&["credsStore"]).unwrap_or("not set");
            creds_store.trim_matches('"').to_owned()
        });
        match now == then {
            _ if file.client == Client::Containers => {}
            true => report.line("credsStore", then),
            false => report.done("credsStore", "would set", then),
        }
        if !dry_run {
            for host in hosts {
                let moved = &record.moved[host];
                if !moved.was_there {
                    remove(&store, &moved.server_url)?;
                }
            }
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
        match store.get(&id_of(&moved.server_url)) {
            Ok(secret) => {
                let credential = Credential::open(moved.server_url.clone(), secret)?;
                credentials.insert(host.clone(), credential);
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
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
    if client == Client::Docker && object.get(&["credsStore"]) == Some(&format!("\"{HELPER}\"")) {
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
        let path = ["auths", host.as_str()];
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

fn remove(store: &Store, server_url: &str) -> Result<(), Failure> {
    match store.remove(&id_of(server_url)) {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
