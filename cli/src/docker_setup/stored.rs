//! What is in the store of the credentials that are moved.

use posixage::{Change, Error, Secret, Store};

use crate::{
    failure::Failure,
    helpers::docker::credential::{Credential, id_of},
};

/// The credential for a server, if there is one.
pub(crate) fn read(store: &Store, server_url: &str) -> Result<Option<Credential>, Failure> {
    match store.get(&id_of(server_url)) {
        Ok(secret) => Ok(Some(Credential::open(server_url.to_owned(), secret)?)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether it was stored: not if there is one already, be it the same.
pub(crate) fn create(store: &Store, credential: Credential) -> Result<bool, Failure> {
    match store.create(&credential.id(), &credential.seal()) {
        Ok(()) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that [`remove_same`] will not fail for want of a key, nor ask for one.
pub(crate) fn check_keys(store: &Store) -> Result<(), Failure> {
    Ok(store.update(&id_of(""), |_| Ok(Change::Keep))?)
}

/// Removes it unless another has taken its place; whether it is gone. Under one lock: nobody logs in
/// between the look and the removal.
pub(crate) fn remove_same(store: &Store, credential: &Credential) -> Result<bool, Failure> {
    let mut is_gone = true;
    store.update(&credential.id(), |current| {
        let Some(current) = current else {
            return Ok(Change::Keep);
        };
        let copy = Secret::new(current.expose()).with_metadata(current.metadata().cloned());
        let opened = Credential::open(credential.server_url.clone(), copy);
        is_gone = opened.is_ok_and(|opened| opened == *credential);
        Ok(match is_gone {
            true => Change::Remove,
            false => Change::Keep,
        })
    })?;
    Ok(is_gone)
}
