//! `docker-credential-posixage`: the protocol of docker-credential-helpers.
//!
//! One argument says what to do, the request comes on standard input, and the answer goes to standard
//! output, the text of an error too: clients compare three of them, and show any other to the person, or
//! pass over it. So it goes to standard error as well, which is the person's terminal.

use std::{collections::BTreeMap, ffi::OsString, process::ExitCode};

use posixage::Error;
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
    Ok(store.set(&credential.id(), &credential.seal())?)
}

fn get() -> Result<(), Refusal> {
    let server_url = server_url()?;
    let id = id_of(&server_url);
    let settings = Settings::from_environment()?;
    let Some(session) = Session::find(&settings)? else {
        return Err(NOT_FOUND.into());
    };
    let store = match session.reader() {
        Ok(store) => store,
        // A key that cannot be used is no reason to keep a client from what needs no credential.
        Err(failure) => match session.keyless().metadata(&id) {
            Err(Error::NotFound { .. }) => return Err(NOT_FOUND.into()),
            _ => return Err(failure.into()),
        },
    };
    let secret = match store.get(&id) {
        Ok(secret) => secret,
        Err(Error::NotFound { .. }) => return Err(NOT_FOUND.into()),
        Err(error) => return Err(error.into()),
    };
    print_line(&Credential::open(server_url, secret)?)
}

fn erase() -> Result<(), Refusal> {
    let server_url = server_url()?;
    let settings = Settings::from_environment()?;
    let Some(session) = Session::find(&settings)? else {
        return Ok(());
    };
    match session.keyless().remove(&id_of(&server_url)) {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn list() -> Result<(), Refusal> {
    let settings = Settings::from_environment()?;
    let mut usernames = BTreeMap::new();
    if let Some(session) = Session::find(&settings)? {
        for entry in session.keyless().list(&credential::credentials())? {
            match entry.metadata {
                Ok(metadata) => {
                    // Only what `get` finds: a client gives them all up if one cannot be had.
                    let url = server_url_of(&entry.id, metadata.as_ref());
                    let username = username_of(metadata.as_ref());
                    if let (Some(url), Some(username)) = (url, username) {
                        usernames.insert(url, username.to_owned());
                    }
                }
                // One that is damaged does not hide the others.
                Err(error) => Failure::from(error).print(),
            }
        }
    }
    print_line(&usernames)
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
