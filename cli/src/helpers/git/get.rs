//! `get`: what is known of a credential.

use posixage::Error;

use crate::{
    failure::{self, Failure},
    helpers::git::{
        description::{Attribute, Description},
        entry,
    },
    io::output::print,
    session::Session,
    settings::Settings,
};

/// Prints the best credential for the place that Git names; nothing if there is none.
pub(super) fn run(settings: &Settings, request: &Description) -> Result<(), Failure> {
    let Some(session) = Session::find(settings)? else {
        return Ok(());
    };
    // A key that cannot be used is no trouble where none is needed.
    let (mut entries, mut unreadable) = entry::find(session.keyless(), request)?;
    if entries.is_empty() {
        return failure::all(unreadable);
    }
    let store = session.reader()?;
    let now = entry::now();
    entries.sort_by_cached_key(|entry| entry.rank(now));
    let mut damaged = Vec::new();
    for entry in entries {
        // One that cannot be read does not hide the others.
        let credential = match store.get(&entry.id) {
            Ok(secret) => entry.open(&secret),
            // Erased a moment ago.
            Err(Error::NotFound { .. }) => continue,
            Err(error @ Error::Lock(_)) => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        let credential = match credential {
            Ok(credential) => credential,
            Err(failure) => {
                damaged.push(failure);
                continue;
            }
        };
        let username = request.get(Attribute::Username);
        if username.is_some() && username != credential.get(Attribute::Username) {
            continue;
        }
        let is_expired = entry::is_over(credential.expiry(), now);
        if let Some(answer) = answer(&credential, request.authtype, is_expired) {
            damaged.iter().for_each(Failure::print);
            return print(|out| out.write_all(&answer.write()));
        }
    }
    unreadable.extend(damaged);
    failure::all(unreadable)
}

/// What Git is told. Of a password that has expired only how to renew it: a helper for OAuth that
/// comes next does that with the refresh token.
fn answer(credential: &Description, authtype: bool, is_expired: bool) -> Option<Description> {
    let always = [Attribute::Username, Attribute::OauthRefreshToken];
    let fresh = [Attribute::Password, Attribute::PasswordExpiryUtc];
    let understood = [Attribute::Authtype, Attribute::Credential];
    let mut answer = Description::default();
    let mut tell = |attributes: [Attribute; 2]| {
        for attribute in attributes {
            if let Some(value) = credential.get(attribute) {
                answer.set(attribute, value);
            }
        }
    };
    tell(always);
    if !is_expired {
        tell(fresh);
        if authtype {
            tell(understood);
        }
    }
    let is_useful = answer.is_credential() || answer.has(Attribute::OauthRefreshToken);
    is_useful.then_some(answer)
}
