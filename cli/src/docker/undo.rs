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
        config_file::{ConfigFile, Content, Origin},
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

/// How often the file is read again because docker has written to it meanwhile.
const TRIES: usize = 10;

pub(crate) fn run(settings: &Settings, dry_run: bool) -> Result<Report, Failure> {
    let file = ConfigFile::find()?;
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
    let mut report = Report::new(&file, dry_run);
    for _ in 0..TRIES {
        let (after, hosts) = restore(&config, &record, &credentials);
        if !dry_run && !write(&file, &config, &after, record.origin)? {
            config = file.read()?;
            continue;
        }
        for host in record.moved.keys() {
            match hosts.contains(&host) {
                true => report.done("restored", "would restore", host),
                false => report.line("left", format_args!("{host}: logged out or changed since")),
            }
        }
        let before = record.creds_store.as_deref().unwrap_or("not set");
        report.done("credsStore", "would set", before.trim_matches('"'));
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
    Err(
        Failure::new(format_args!("{} keeps changing", file.path.display()))
            .hint("try again when nobody logs in"),
    )
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
    config: &Content,
    record: &'a Record,
    credentials: &BTreeMap<String, Credential>,
) -> (JsonObject, Vec<&'a String>) {
    let mut object = config.object.clone();
    if object.get(&["credsStore"]) == Some(&format!("\"{HELPER}\"")) {
        match &record.creds_store {
            Some(before) => object.set(&["credsStore"], before),
            None => object.remove(&["credsStore"]),
        }
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
