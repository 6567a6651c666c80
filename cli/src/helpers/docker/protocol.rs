//! `docker-credential-posixage`: the protocol of docker-credential-helpers.
//!
//! One argument says what to do, the request comes on standard input, and the answer goes to standard
//! output, the text of an error too: clients compare three of them, and show any other to the person, or
//! pass over it. So it goes to standard error as well, which is the person's terminal.

use std::{collections::BTreeMap, ffi::OsString, iter, process::ExitCode};

use posixage::{Entry, Error, Id, Store};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure},
    helpers::docker::credential::{self, Credential, id_of, server_url_of, username_of},
    io::{
        input,
        output::{print, printable, say, to_json},
    },
    session::Session,
    settings::Settings,
};

pub(crate) const NAME: &str = "docker-credential-posixage";

/// Clients compare these three; to any other text they add their own, and give up.
pub(crate) const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER_URL: &str = "no credentials server URL";
const NO_USERNAME: &str = "no credentials username";

/// Does what the arguments, without the program's own name, say.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let refusal = match answer(&args.collect::<Vec<_>>()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(refusal) => refusal,
    };
    let (text, is_failure) = match refusal {
        Refusal::Answer(text) => (text, false),
        Refusal::Failure(failure) => (failure.lines(), true),
    };
    let printed = print(|out| writeln!(out, "{text}"));
    // `docker pull` goes on without a credential whatever the text, and does not show it.
    if is_failure || printed.is_err() {
        say(text);
    }
    ExitCode::FAILURE
}

/// What goes to standard output instead of what was asked for.
enum Refusal {
    /// One of the protocol's own answers.
    Answer(String),
    /// Something went wrong.
    Failure(Failure),
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self::Answer(text.into())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

fn answer(args: &[OsString]) -> Result<(), Refusal> {
    let usage = format!("Usage: {NAME} <store|get|erase|list|version>");
    let [action] = args else {
        return Err(usage.as_str().into());
    };
    let action = action.to_string_lossy();
    match &*action {
        "store" => store(),
        "get" => get(),
        "erase" => erase(),
        "list" => list(),
        "version" | "--version" | "-v" => {
            let [package, version] = [env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")];
            Ok(print(|out| writeln!(out, "{NAME} ({package}) {version}"))?)
        }
        "--help" | "-h" => Ok(print(|out| writeln!(out, "{usage}"))?),
        other => {
            let text = format!("{NAME}: unknown action: {}", printable(other));
            Err(text.as_str().into())
        }
    }
}

fn store() -> Result<(), Refusal> {
    let mut credential: Credential = serde_json::from_slice(&input::read()?).map_err(|e| {
        // The error's own text may quote the input.
        Failure::new(format_args!(
            "standard input is not {{\"ServerURL\":…,\"Username\":…,\"Secret\":…}} \
             (line {}, column {})",
            e.line(),
            e.column()
        ))
    })?;
    // `get` and `erase` are asked for a URL without white space around it.
    credential.server_url = credential.server_url.trim().into();
    if credential.server_url.is_empty() {
        return Err(NO_SERVER_URL.into());
    }
    if credential.username.is_empty() {
        return Err(NO_USERNAME.into());
    }
    let settings = Settings::from_environment()?;
    let store = Session::open_or_make(&settings)?.writer()?;
    let earlier = credential::earlier_ids(&credential.server_url);
    store.set(&credential.id(), &credential.seal())?;
    remove(&store, earlier)
}

fn remove(store: &Store, ids: Vec<Id>) -> Result<(), Refusal> {
    for id in ids {
        match store.remove(&id) {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn get() -> Result<(), Refusal> {
    let server_url = server_url()?;
    let ids = ids_of(&server_url);
    let settings = Settings::from_environment()?;
    let Some(session) = Session::find(&settings)? else {
        return Err(NOT_FOUND.into());
    };
    let store = match session.reader() {
        Ok(store) => store,
        // A key that cannot be used is no reason to keep a client from what needs no credential.
        Err(failure) => {
            let store = session.keyless();
            let is_missing = |id| matches!(store.metadata(id), Err(Error::NotFound { .. }));
            return Err(match ids.iter().all(is_missing) {
                true => NOT_FOUND.into(),
                false => failure.into(),
            });
        }
    };
    for id in ids {
        match store.get(&id) {
            Ok(secret) => return print_line(&Credential::open(server_url, secret)?),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(NOT_FOUND.into())
}

fn erase() -> Result<(), Refusal> {
    let server_url = server_url()?;
    let settings = Settings::from_environment()?;
    match Session::find(&settings)? {
        Some(session) => remove(session.keyless(), ids_of(&server_url)),
        None => Ok(()),
    }
}

/// Where the entry for a server may be, the first one first.
fn ids_of(server_url: &str) -> Vec<Id> {
    let earlier = credential::earlier_ids(server_url);
    iter::once(id_of(server_url)).chain(earlier).collect()
}

/// Only what `get` gives: of all credentials that it is told of, docker drops each if one of them
/// cannot be had.
fn list() -> Result<(), Refusal> {
    let settings = Settings::from_environment()?;
    let mut usernames = BTreeMap::new();
    if let Some(session) = Session::find(&settings)? {
        let reader = session.prober();
        for entry in session.keyless().list(&credential::credentials())? {
            match listed(entry, reader.as_ref()) {
                Ok(Some((url, username))) => drop(usernames.insert(url, username)),
                Ok(None) => {}
                Err(failure) if failure.exit_code() == Code::Locked => return Err(failure.into()),
                Err(failure) => failure.print(),
            }
        }
    }
    print_line(&usernames)
}

/// The URL and the user name of an entry; `None` for a secret that no URL leads to, or that is gone.
fn listed(
    entry: Entry,
    reader: Option<&(Store, bool)>,
) -> Result<Option<(String, String)>, Failure> {
    let metadata = entry.metadata?;
    let metadata = metadata.as_ref();
    let Some(url) = server_url_of(&entry.id, metadata) else {
        return Ok(None);
    };
    let Some(username) = username_of(metadata) else {
        return Err(Credential::lacks_username(&entry.id));
    };
    if let Some((reader, has_all_keys)) = reader {
        match reader.get(&entry.id) {
            Ok(secret) => drop(Credential::open(url.clone(), secret)?),
            Err(Error::NotFound { .. }) => return Ok(None),
            // One that asks for a passphrase may fit.
            Err(Error::NoKeyFits { .. } | Error::Key(_)) if !has_all_keys => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some((url, username.to_owned())))
}

/// The URL on standard input.
fn server_url() -> Result<String, Refusal> {
    let input = input::read()?;
    let text = std::str::from_utf8(&input)
        .map_err(|_| Failure::new("standard input is not UTF-8").code(Code::Usage))?;
    match text.trim() {
        "" => Err(NO_SERVER_URL.into()),
        url => Ok(url.into()),
    }
}

fn print_line(value: &impl serde::Serialize) -> Result<(), Refusal> {
    let json: Zeroizing<Vec<u8>> = to_json(value);
    Ok(print(|out| {
        out.write_all(&json)?;
        out.write_all(b"\n")
    })?)
}
