//! `store`: a credential that has just been of use.

use posixage::{Change, Error, Id, Secret};

use crate::{
    failure::Failure,
    helpers::git::{
        description::{Attribute, Description},
        entry,
    },
    session::Session,
    settings::Settings,
};

/// Keeps the credential. Git says this after each use: one that is there already is not written
/// again.
pub(super) fn run(settings: &Settings, credential: &Description) -> Result<(), Failure> {
    if credential.ephemeral {
        return Ok(());
    }
    let is_placed = credential.has(Attribute::Protocol) && credential.has(Attribute::Host);
    if !is_placed || !credential.is_credential() {
        return Err(Failure::new(
            "nothing to store: it takes protocol, host, username and password",
        ));
    }
    let session = Session::open_or_make(settings)?;
    keep(&session, credential)?;
    // A token that an earlier version put into the id.
    match entry::earlier_id(credential) {
        Some(id) if session.keyless().metadata(&id).is_ok() => {
            match session.keyless().remove(&id) {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        _ => Ok(()),
    }
}

fn keep(session: &Session<'_>, credential: &Description) -> Result<(), Failure> {
    let id = entry::id(credential);
    let store = session.updater()?;
    // So goes nearly every call: others may do the same meanwhile, and a store that is mounted
    // read-only will do.
    match store.get(&id) {
        Ok(secret) if renewed(&id, Some(&secret), credential).is_none() => return Ok(()),
        // It need not be waited for twice.
        Err(error @ Error::Lock(_)) => return Err(error.into()),
        _ => {}
    }
    let updated = store.update(&id, |secret| {
        Ok(match renewed(&id, secret, credential) {
            Some(after) => Change::Set(entry::secret(&after, entry::now())),
            None => Change::Keep,
        })
    });
    match updated {
        // There is no comparing with what cannot be read. The new one has just opened a door.
        Err(Error::NoKeyFits { .. } | Error::Damaged { .. } | Error::Key(_)) => {
            let secret = entry::secret(credential, entry::now());
            Ok(session.writer()?.set(&id, &secret)?)
        }
        updated => Ok(updated?),
    }
}

/// What there is to write, if anything.
fn renewed(id: &Id, secret: Option<&Secret>, credential: &Description) -> Option<Description> {
    let open = |secret: &Secret| entry::open(id, secret.metadata()?, secret).ok();
    match secret.and_then(open) {
        // An older Git does not say when a password expires, nor how to renew it.
        Some(before)
            if before.same_secret(credential)
                && before.get(Attribute::Username) == credential.get(Attribute::Username) =>
        {
            let after = before.updated(credential, entry::now());
            (!after.same_values(&before)).then_some(after)
        }
        _ => Some(credential.clone()),
    }
}
