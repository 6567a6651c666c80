//! What is in the store of the credentials that are moved.

use std::collections::BTreeMap;

use posixage::{Change, Entry, Error, Id, Secret, Store};

use crate::{
    failure::Failure,
    helpers::docker::credential::{self, Credential, id_of},
    session::Session,
    settings::Settings,
};

/// What is below `docker/`, as far as it can be told without a key.
#[derive(Default)]
pub(crate) struct Credentials {
    /// The credentials, by the URL that a client asks for.
    pub(crate) by_url: BTreeMap<String, Id>,
    /// What is no credential, or not any more.
    pub(crate) none: Vec<Id>,
}

/// What there is in the store, if there is one.
pub(crate) fn credentials(settings: &Settings) -> Result<Credentials, Failure> {
    let mut found = Credentials::default();
    let Some(session) = Session::find(settings)? else {
        return Ok(found);
    };
    let entries = session.keyless().list(&credential::credentials())?;
    for Entry { id, metadata, .. } in entries {
        let metadata = metadata.ok().flatten();
        let url = credential::server_url_of(&id, metadata.as_ref());
        match url.filter(|_| credential::username_of(metadata.as_ref()).is_some()) {
            Some(url) => drop(found.by_url.insert(url, id)),
            None => found.none.push(id),
        }
    }
    Ok(found)
}

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
    Ok(store.update(&id_of(""), |_| Ok::<_, Error>(Change::Keep))?)
}

/// Removes it unless another has taken its place; whether it is gone. Under one lock: no login comes
/// between the look and the removal.
pub(crate) fn remove_same(store: &Store, credential: &Credential) -> Result<bool, Failure> {
    let mut is_gone = true;
    store.update(&credential.id(), |current| -> Result<_, Error> {
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
