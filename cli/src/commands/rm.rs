//! `posixage rm`

use posixage::{Error, Id, Pattern, Store};

use crate::{
    args::Rm, commands::near, failure::Failure, helpers, io::terminal, session::Session,
    settings::Settings,
};

pub(crate) fn run(settings: &Settings, args: Rm) -> Result<(), Failure> {
    let session = Session::open(settings)?;
    let store = session.keyless();
    if args.all {
        return all(settings, store, args.yes);
    }
    // One that cannot be removed does not keep the others.
    let mut first = None;
    for id in &args.ids {
        if let Err(error) = store.remove(id) {
            let failure = near::failure(store, error);
            failure.print();
            first.get_or_insert(failure.exit_code());
        }
    }
    first.map_or(Ok(()), |code| Err(Failure::silent(code)))
}

/// Removes all secrets but the entries of other programs, which would be logged out.
fn all(settings: &Settings, store: &Store, yes: bool) -> Result<(), Failure> {
    let ids = store.list(&Pattern::all())?.map(|entry| entry.id);
    let (kept, ids): (Vec<Id>, Vec<Id>) = ids.partition(helpers::owns);
    if !kept.is_empty() {
        settings.note(format_args!(
            "{} kept, of docker, git and cargo; to remove them, name them",
            count(kept.len(), "entry", "entries")
        ));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let question = format!(
        "remove {} from {}?",
        count(ids.len(), "secret", "secrets"),
        store.path().display()
    );
    if !yes && !terminal::confirm(&question)? {
        return Err(Failure::new("nothing was removed"));
    }
    for id in ids {
        match store.remove(&id) {
            // Another process was faster.
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
