//! `erase`: a credential that was refused.

use posixage::{Change, Store};

use crate::{
    failure::{self, Code, Failure},
    helpers::git::{
        description::{Attribute, Description},
        entry::{self, Entry},
    },
    session::Session,
    settings::Settings,
};

/// What must be the same, if Git names it: a newer password is not erased with an older one.
const COMPARED: [Attribute; 2] = [Attribute::Password, Attribute::Credential];

/// The same of a user name that only the value says.
const HIDDEN: [Attribute; 3] = [
    Attribute::Username,
    Attribute::Password,
    Attribute::Credential,
];

/// Removes every credential that Git may mean.
pub(super) fn run(settings: &Settings, request: &Description) -> Result<(), Failure> {
    let Some(session) = Session::find(settings)? else {
        return Ok(());
    };
    let (entries, mut failures) = entry::find(session.keyless(), request)?;
    if entries.is_empty() {
        return failure::all(failures);
    }
    let compared = |entry: &Entry| match entry.hides_username() {
        true => &HIDDEN[..],
        false => &COMPARED[..],
    };
    let compares = |entry: &Entry| {
        compared(entry)
            .iter()
            .any(|attribute| request.has(*attribute))
    };
    let store = match entries.iter().any(compares) {
        true => session.comparer()?,
        false => session.keyless().clone(),
    };
    for entry in entries {
        let erased = match compares(&entry) {
            true => erase_same(&store, &entry, compared(&entry), request),
            false => store.remove(&entry.id).map_err(Failure::from),
        };
        match erased {
            Ok(()) => {}
            Err(failure) if failure.exit_code() == Code::NotFound => {}
            Err(failure) => failures.push(failure),
        }
    }
    failure::all(failures)
}

/// Compares and removes under one lock: no newer password is stored in between.
fn erase_same(
    store: &Store,
    entry: &Entry,
    compared: &[Attribute],
    request: &Description,
) -> Result<(), Failure> {
    store.update(&entry.id, |secret| {
        let Some(secret) = secret else {
            return Ok(Change::Keep);
        };
        let credential = Description::parse_stored(secret.expose()).map_err(Failure::new)?;
        let is_same = compared.iter().all(|attribute| {
            let wanted = request.get(*attribute);
            wanted.is_none() || wanted == credential.get(*attribute)
        });
        Ok(if is_same {
            Change::Remove
        } else {
            Change::Keep
        })
    })
}
