//! `posixage rm`

use posixage::{Error, Pattern};

use crate::{args::Rm, failure::Failure, session::Session, settings::Settings};

pub(crate) fn run(settings: &Settings, args: Rm) -> Result<(), Failure> {
    let session = Session::open(settings)?;
    let store = session.keyless();
    if args.all {
        for entry in store.list(&Pattern::all())? {
            match store.remove(&entry.id) {
                // Somebody else was faster.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(());
    }
    // One that cannot be removed does not keep the others.
    let mut first = None;
    for id in &args.ids {
        if let Err(error) = store.remove(id) {
            let failure = Failure::from(error);
            failure.print();
            first.get_or_insert(failure.exit_code());
        }
    }
    first.map_or(Ok(()), |code| Err(Failure::silent(code)))
}
