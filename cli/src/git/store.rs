//! `store`: a credential that has just been of use.

use posixage::{Change, Error};

use crate::{
    failure::Failure,
    git::{
        description::{Attribute, Description},
        entry,
    },
    keys,
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
    let id = entry::id(credential);
    let updated = keys::open_to_update(settings)?.update(&id, |secret| {
        let before = secret.and_then(|secret| Description::parse(secret.expose()).ok());
        let after = match &before {
            // An older Git does not say when a password expires, nor how to renew it.
            Some(before) if before.same_secret(credential) => before.updated(credential),
            _ => credential.clone(),
        };
        Ok(match before {
            Some(before) if before.same_values(&after) => Change::Keep,
            _ => Change::Set(entry::secret(&after, entry::now())),
        })
    });
    match updated {
        // There is no comparing with what cannot be read. The new one has just opened a door.
        Err(Error::NoKeyFits { .. } | Error::Damaged { .. } | Error::Key(_)) => {
            let secret = entry::secret(credential, entry::now());
            Ok(keys::open_to_write(settings)?.set(&id, &secret)?)
        }
        updated => Ok(updated?),
    }
}
