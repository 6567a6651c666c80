//! `posixage docker setup`: from now on docker, or Podman, Skopeo and Buildah, keep their credentials in the
//! store.
//!
//! Nothing is changed before everything was tried. Credentials go into the store first and out of the
//! file after that, so that a crash in between leaves them in both; a second run finishes the work.
//! Nothing in the store is overwritten, and a try that fails takes back what it has stored.

use std::collections::{BTreeMap, BTreeSet};

use posixage::Store;

use crate::{
    docker_setup::{
        config_file::{Client, ConfigFile, Content, Origin},
        exclusive,
        installed::Installed,
        plan::{HELPER, Plan},
        record::{EmptyText, Moved, Record},
        report::{Report, shown},
        stored,
    },
    failure::{Code, Failure},
    helpers::docker::credential::{Credential, id_of},
    session::Session,
    settings::Settings,
};

/// Does it, or with `dry_run` says what it would do.
pub(crate) fn run(
    settings: &Settings,
    file: &ConfigFile,
    dry_run: bool,
) -> Result<Report, Failure> {
    let config = file.read()?;
    if file.client == Client::Containers && config.origin == Origin::Missing {
        return Err(Failure::new(format_args!(
            "there is no {}",
            file.path.display()
        )));
    }
    let mut plan = Plan::of(file, &config)?;
    plan.check(file)?;
    file.check_writable()?;
    let helper = Installed::find().ok_or_else(Installed::missing)?;
    let mut report = Report::new(file, dry_run);
    report.line("helper", helper.path.display());
    if dry_run {
        if let Some(session) = Session::find(settings)? {
            compare(&session.comparer()?, file, &mut plan)?;
        }
        describe(&mut report, file.client, &plan);
        return Ok(report);
    }
    let session = Session::open_or_make(settings)?;
    let writer = session.writer()?;
    helper.probe(&writer)?;
    let reader = session.comparer()?;
    // Taking something back asks for no password in the middle.
    stored::check_keys(&reader)?;
    let _exclusive = exclusive::acquire(settings)?;
    file.sweep()?;
    for _ in 0..ConfigFile::TRIES {
        if let Some(plan) = attempt(&writer, &reader, file)? {
            describe(&mut report, file.client, &plan);
            return Ok(report);
        }
    }
    Err(file.keeps_changing())
}

/// Does it with what is in the file and in the store now. `None` if either was changed meanwhile:
/// then everything is as if this had not been tried.
fn attempt(writer: &Store, reader: &Store, file: &ConfigFile) -> Result<Option<Plan>, Failure> {
    let config = file.read()?;
    let mut plan = Plan::of(file, &config)?;
    plan.check(file)?;
    let there = compare(reader, file, &mut plan)?;
    let after = plan.apply(&config.object);
    if after == config.object {
        return Ok(Some(plan));
    }
    let before = Record::read(reader, &file.path)?;
    let mut known = before.clone();
    if let Some(known) = &mut known {
        plan.returns = forget_ended(known, reader, file, &config)?;
    }
    let others = Record::of_others(reader, &file.path)?;
    others.unreadable.iter().for_each(Failure::print);
    let mut record = next_record(known.as_ref(), &config, &plan);
    let mut new = Vec::new();
    for one in &plan.moves {
        let is_there = there.contains(&one.host);
        if !is_there {
            new.push(one.credential());
        }
        // By an earlier run, or by one that did not come to its end.
        let earlier = record.moved.get(&one.host);
        // What another file brought goes when the last of them is undone.
        let is_lent = others.brought(&one.server_url);
        let moved = Moved {
            server_url: one.server_url.clone(),
            template: one.plaintext.template.clone(),
            was_there: earlier.map_or(is_there && !is_lent, |earlier| earlier.was_there),
            had_helper: earlier.map_or(one.is_ours, |earlier| earlier.had_helper),
        };
        record.moved.insert(one.host.clone(), moved);
    }
    record.write(writer, &file.path)?;
    let mut stored = Vec::new();
    let mut replaced = store_all(writer, new, &mut stored);
    if let Ok(true) = replaced {
        replaced = file.replace(&config, &after);
    }
    match replaced {
        Ok(true) => return Ok(Some(plan)),
        // It may have been replaced: then the store is the only place.
        Err(error) if !file.read().is_ok_and(|now| now == config) => return Err(half_way(error)),
        _ => {}
    }
    let take_back = || -> Result<(), Failure> {
        for credential in &stored {
            stored::remove_same(reader, credential)?;
        }
        match &before {
            Some(before) => before.write(writer, &file.path),
            None => Record::remove(writer, &file.path),
        }
    };
    match (replaced, take_back()) {
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(_)) | (Ok(_), Err(error)) => Err(half_way(error)),
        (Ok(_), Ok(())) => Ok(None),
    }
}

fn half_way(error: Failure) -> Failure {
    error.hint(
        "the store has copies of what was to be moved: setup once more goes on, setup --undo \
         removes them",
    )
}

/// Whether there was nothing in the way of any. What was stored is in `stored`, whatever happens.
fn store_all(
    writer: &Store,
    new: Vec<Credential>,
    stored: &mut Vec<Credential>,
) -> Result<bool, Failure> {
    for credential in new {
        if !stored::create(writer, credential.clone())? {
            return Ok(false);
        }
        stored.push(credential);
    }
    Ok(true)
}

/// Finds the moves whose credential is in the store already, by their hosts. None replaces another
/// one: it stays in the file.
fn compare(store: &Store, file: &ConfigFile, plan: &mut Plan) -> Result<BTreeSet<String>, Failure> {
    let mut same = BTreeSet::new();
    for one in std::mem::take(&mut plan.moves) {
        match stored::read(store, &one.server_url)? {
            None => {}
            Some(there) if there == one.credential() => {
                same.insert(one.host.clone());
            }
            Some(there) => {
                let host = shown(&one.host);
                let user = |credential: &Credential| match credential.public_username() {
                    Some(name) => format!(" ({name})"),
                    None => String::new(),
                };
                let (why, username) = (user(&there), user(&one.credential()));
                let why = format!("the store has another credential{why}");
                if one.is_read {
                    let (path, id) = (file.path.display(), id_of(&one.server_url));
                    return Err(Failure::new(format_args!(
                        "{host}: {why} than {path}{username}"
                    ))
                    .code(Code::AlreadyExists)
                    .hint(format_args!(
                        "docker logout {host} ends that of the file, posixage rm {id} that of the store"
                    )));
                }
                plan.stays.push((one.host, why));
                continue;
            }
        }
        plan.moves.push(one);
    }
    Ok(same)
}

/// Forgets what an earlier, killed run has put into the store and what was logged out of since, in the
/// file. What the store has there may be a later login; so it is only named.
fn forget_ended(
    before: &mut Record,
    store: &Store,
    file: &ConfigFile,
    config: &Content,
) -> Result<Vec<String>, Failure> {
    let mut returns = Vec::new();
    for host in before.ended(file.client, &config.object) {
        if let Some(moved) = before.moved.remove(&host)
            && stored::read(store, &moved.server_url)?.is_some()
        {
            returns.push(host);
        }
    }
    Ok(returns)
}

/// What is known of earlier runs, as far as it still holds.
fn next_record(before: Option<&Record>, config: &Content, plan: &Plan) -> Record {
    let mut record = Record {
        origin: config.origin,
        creds_store: plan.creds_store.clone(),
        cred_helpers: config
            .object
            .get(&["credHelpers"])
            .and_then(|text| EmptyText::try_from(text.to_owned()).ok()),
        moved: BTreeMap::new(),
    };
    let Some(before) = before else {
        return record;
    };
    record.moved = before.moved.clone();
    record.cred_helpers = before.cred_helpers.clone();
    // Else it was set to something else since; that is what to go back to.
    if plan.store_name == HELPER {
        record.origin = before.origin;
        record.creds_store = before.creds_store.clone();
    }
    record
}

fn describe(report: &mut Report, client: Client, plan: &Plan) {
    for one in &plan.moves {
        let credential = one.credential();
        let host = shown(&one.host);
        let text = match credential.public_username() {
            Some(username) => format!("{host} ({username})"),
            None => host,
        };
        report.done("moved", "would move", text);
    }
    for host in &plan.returns {
        let why = "is in the store and not in the file; docker logout ends it";
        report.line("login", format_args!("{}: {why}", shown(host)));
    }
    for (host, why) in &plan.stays {
        report.line("stays", format_args!("{}: {why}", shown(host)));
    }
    if client == Client::Containers {
        report.note(
            "for every other registry: credential-helpers = [\"posixage\"] in registries.conf",
        );
        return;
    }
    match plan.store_name.as_str() {
        HELPER => report.line("credsStore", HELPER),
        "" => report.done("credsStore", "would set", HELPER),
        before => {
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
