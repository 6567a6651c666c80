//! `posixage docker setup`: from now on docker, or Podman, Skopeo and Buildah, keep their credentials in the
//! store.
//!
//! Nothing is changed before everything was tried. Credentials go into the store first and out of the
//! file after that, so that a crash in between leaves them in both; a second run finishes the work.

use std::collections::BTreeMap;

use posixage::{Error, Store};

use crate::{
    docker::{
        config_file::{Client, ConfigFile, Content, Origin},
        credential::Credential,
        installed::Installed,
        plan::{HELPER, Move, Plan},
        record::{Moved, Record},
        report::Report,
    },
    failure::Failure,
    keys,
    settings::Settings,
};

/// Does it, or with `dry_run` says what it would do.
pub(crate) fn run(
    settings: &Settings,
    file: &ConfigFile,
    dry_run: bool,
) -> Result<Report, Failure> {
    let mut config = file.read()?;
    if file.client == Client::Containers && config.origin == Origin::Missing {
        return Err(Failure::new(format_args!(
            "there is no {}",
            file.path.display()
        )));
    }
    let mut plan = Plan::of(file, &config)?;
    file.check_writable()?;
    let helper = Installed::find().ok_or_else(Installed::missing)?;
    let mut report = Report::new(file, dry_run);
    report.line("helper", helper.path.display());
    if dry_run {
        describe(&mut report, file.client, &plan);
        return Ok(report);
    }
    let writer = keys::open_to_write(settings)?;
    helper.probe(&writer)?;
    let reader = keys::open_to_read(settings)?;
    let before = Record::read(&reader, &file.path)?;
    for _ in 0..ConfigFile::TRIES {
        let mut record = next_record(before.as_ref(), &config, &plan);
        let mut new = Vec::new();
        let mut moves = Vec::new();
        for one in std::mem::take(&mut plan.moves) {
            let there = look_up(&reader, &one)?;
            if matches!(there, There::Another) && one.is_ours {
                let why =
                    "differs from the credential in the store, which is the one that docker uses";
                plan.stays.push((one.host, why.into()));
                continue;
            }
            let is_there = matches!(there, There::Same);
            if !is_there {
                new.push(one.credential());
            }
            // By an earlier run, or by one that did not come to its end.
            let earlier = record.moved.get(&one.host);
            let moved = Moved {
                server_url: one.server_url.clone(),
                template: one.plaintext.template.clone(),
                was_there: earlier.map_or(is_there, |earlier| earlier.was_there),
                had_helper: earlier.map_or(one.is_ours, |earlier| earlier.had_helper),
            };
            record.moved.insert(one.host.clone(), moved);
            moves.push(one);
        }
        plan.moves = moves;
        let after = plan.apply(&config.object);
        if after != config.object {
            record.write(&writer, &file.path)?;
            for credential in new {
                writer.set(&credential.id(), &credential.seal())?;
            }
            if !file.replace(&config, &after)? {
                config = file.read()?;
                plan = Plan::of(file, &config)?;
                continue;
            }
        }
        describe(&mut report, file.client, &plan);
        return Ok(report);
    }
    Err(file.keeps_changing())
}

/// What is known of earlier runs, as far as it still holds.
fn next_record(before: Option<&Record>, config: &Content, plan: &Plan) -> Record {
    let mut record = Record {
        origin: config.origin,
        creds_store: plan.creds_store.clone(),
        cred_helpers: config.object.get(&["credHelpers"]).map(str::to_owned),
        moved: BTreeMap::new(),
    };
    let Some(before) = before else {
        return record;
    };
    record.moved = before.moved.clone();
    record.cred_helpers = before.cred_helpers.clone();
    // Else somebody has set something else since; that is what to go back to.
    if plan.creds_store.as_deref() == Some(&format!("\"{HELPER}\"")) {
        record.origin = before.origin;
        record.creds_store = before.creds_store.clone();
    }
    record
}

/// What the store has for a credential's id.
enum There {
    Nothing,
    Same,
    Another,
}

fn look_up(store: &Store, one: &Move) -> Result<There, Failure> {
    let credential = one.credential();
    match store.get(&credential.id()) {
        Ok(secret) => match Credential::open(one.server_url.clone(), secret) {
            Ok(there) if there == credential => Ok(There::Same),
            _ => Ok(There::Another),
        },
        Err(Error::NotFound { .. }) => Ok(There::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn describe(report: &mut Report, client: Client, plan: &Plan) {
    for one in &plan.moves {
        let username = one.plaintext.username.as_str();
        report.done(
            "moved",
            "would move",
            format_args!("{} ({username})", one.host),
        );
    }
    for (host, why) in &plan.stays {
        report.line("stays", format_args!("{host}: {why}"));
    }
    if client == Client::Containers {
        report.note(
            "for every other registry: credential-helpers = [\"posixage\"] in registries.conf",
        );
        return;
    }
    let now = format!("\"{HELPER}\"");
    match plan.creds_store.as_deref() {
        Some(before) if before == now => report.line("credsStore", HELPER),
        None => report.done("credsStore", "would set", HELPER),
        Some(before) => {
            let before = before.trim_matches('"');
            report.done(
                "credsStore",
                "would set",
                format_args!("{HELPER} (it was {before})"),
            );
            report.note(format_args!(
                "what docker has kept in {before} stays there: docker login brings it here"
            ));
        }
    }
}
