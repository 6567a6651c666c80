//! `posixage unlock`

use crate::{
    args::Unlock,
    failure::{Code, Failure},
    session::Session,
    settings::Settings,
};

pub(crate) fn run(settings: &Settings, args: &Unlock) -> Result<(), Failure> {
    let session = Session::open(settings)?;
    let store = session.keyless();
    let before = store.lock_status()?;
    if !args.force {
        let message = if before.held == Some(false) {
            "the lock is free".into()
        } else {
            format!("the lock is {before}")
        };
        return Err(Failure::new(message)
            .code(Code::Usage)
            .hint("--force takes it from a holder that has not moved for 30 s"));
    }
    let guard = store.take_over_lock()?;
    drop(guard);
    match before.holders.first() {
        Some(holder) => settings.note(format_args!("the lock is free; it was held by {holder}")),
        None => settings.note("the lock is free"),
    }
    Ok(())
}
