//! `cargo-credential-posixage`: keeps the tokens of registries for Cargo.
//!
//! An entry's id is `cargo/` and the URL of the registry's index; its value is the token; its metadata
//! has `index_url` and, where Cargo told it, `name`.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, Read},
    process::ExitCode,
};

use cargo_credential::{
    CacheControl, CredentialHello, CredentialResponse, Error, PROTOCOL_VERSION_1, Secret,
};
use posixage::Metadata;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure, reason},
    helpers::entry_id::{entry_id, without_user},
    io::{
        output::{print, to_json},
        terminal,
    },
    session::Session,
    settings::Settings,
};

/// The longest request in bytes (1 MiB).
const MAX_LEN: u64 = 1 << 20;

/// The first component of the ids.
const NAMESPACE: &str = "cargo";

const USAGE: &str = "Usage: cargo-credential-posixage --cargo-plugin
Cargo runs it; in its config.toml:
[registry]
global-credential-providers = [\"cargo-credential-posixage\"]";

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let argument = env::args_os().nth(1);
    match argument.as_deref().and_then(OsStr::to_str) {
        Some("--cargo-plugin") => serve()?,
        Some("--help" | "-h") => print(|out| writeln!(out, "{USAGE}"))?,
        Some("--version" | "-V") => print(|out| {
            let version = env!("CARGO_PKG_VERSION");
            writeln!(out, "cargo-credential-posixage {version}")
        })?,
        _ => {
            return Err(Failure::new("this is run by cargo")
                .hint(USAGE)
                .code(Code::Usage));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What Cargo asks. Not the type of the crate, whose texts are pieces of the request as it was written:
/// it refuses a token with a JSON escape in it, and says which.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Request {
    v: u32,
    registry: Registry,
    kind: String,
    token: Option<Zeroizing<String>>,
    login_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    index_url: String,
    name: Option<String>,
}

/// Answers one request after the other. What goes wrong with one is said to Cargo, which shows it.
fn serve() -> Result<(), Failure> {
    print_line(&CredentialHello {
        v: vec![PROTOCOL_VERSION_1],
    })?;
    loop {
        let mut line = Zeroizing::new(Vec::new());
        let mut stdin = io::stdin().lock().take(MAX_LEN);
        let read = stdin.read_until(b'\n', &mut line);
        let request = match read {
            Ok(0) => return Ok(()),
            Ok(_) => parse(&line),
            Err(e) => {
                let why = reason(&e);
                return Err(Failure::new(format!("cannot read standard input: {why}")));
            }
        };
        let is_lost = request.is_err();
        let response = request.and_then(|request| perform(&request));
        print_line(&response)?;
        // Where the next one begins cannot be told.
        if is_lost {
            return Ok(());
        }
    }
}

fn print_line(value: &impl Serialize) -> Result<(), Failure> {
    let json = to_json(value);
    print(|out| {
        out.write_all(&json)?;
        out.write_all(b"\n")
    })
}

/// The error does not quote the request.
fn parse(line: &[u8]) -> Result<Request, Error> {
    let request: Request = serde_json::from_slice(line).map_err(|e| {
        let column = e.column();
        format!("the request is not what cargo writes, or over 1 MiB (column {column})")
    })?;
    match request.v {
        PROTOCOL_VERSION_1 => Ok(request),
        version => Err(format!("unsupported protocol version {version}").into()),
    }
}

fn perform(request: &Request) -> Result<CredentialResponse, Error> {
    let response = match request.kind.as_str() {
        "get" => get(&request.registry),
        "login" => login(request),
        "logout" => logout(&request.registry),
        _ => return Err(Error::OperationNotSupported),
    };
    response.map_err(refused)
}

/// A user name in the URL may be a token: the id has none.
fn id_of(registry: &Registry) -> posixage::Id {
    entry_id(NAMESPACE, &without_user(&registry.index_url))
}

fn get(registry: &Registry) -> Result<CredentialResponse, Failure> {
    let settings = Settings::from_environment()?;
    let session = Session::find(&settings)?.ok_or_else(nothing_stored)?;
    let id = id_of(registry);
    // A key that cannot be used is no reason not to ask the next provider.
    session.keyless().metadata(&id)?;
    let secret = session.reader()?.get(&id)?;
    let token = std::str::from_utf8(secret.expose())
        .map_err(|_| Failure::new(format!("secret {id}: not a token")).code(Code::Damaged))?;
    Ok(CredentialResponse::Get {
        token: Secret::from(token.to_owned()),
        // It is the same token for whatever Cargo does before it ends.
        cache: CacheControl::Session,
        operation_independent: true,
    })
}

fn login(request: &Request) -> Result<CredentialResponse, Failure> {
    let registry = &request.registry;
    let token = match &request.token {
        Some(token) => token.clone(),
        None => ask(request)?,
    };
    // As Cargo's own provider: what is pasted may be the whole command.
    let pasted = Zeroizing::new(token.replace("cargo login", ""));
    let token = Zeroizing::new(pasted.trim().to_owned());
    if token.is_empty() {
        return Err(Failure::new("the token is empty"));
    }
    if token.chars().any(|c| c.is_control() && c != '\t') {
        let what = "the token has a control character, which no request can carry";
        return Err(Failure::new(what));
    }
    let settings = Settings::from_environment()?;
    let mut metadata = Metadata::new();
    metadata.insert("index_url", without_user(&registry.index_url));
    if let Some(name) = &registry.name {
        metadata.insert("name", name.as_str());
    }
    let secret = posixage::Secret::new(token.as_bytes()).with_metadata(metadata);
    let id = id_of(registry);
    Session::open_or_make(&settings)?
        .writer()?
        .set(&id, &secret)?;
    Ok(CredentialResponse::Login)
}

/// Asks for the token without showing it, which the crate's own prompt would.
fn ask(request: &Request) -> Result<Zeroizing<String>, Failure> {
    let prompt = match (&request.login_url, &request.registry.name) {
        (Some(url), _) => format!("token found on {url}: "),
        (None, Some(name)) => format!("token for {name}: "),
        (None, None) => format!("token for {}: ", without_user(&request.registry.index_url)),
    };
    let answer = terminal::ask_hidden(&prompt)?;
    let text = std::str::from_utf8(&answer).map_err(|_| Failure::new("the token is not UTF-8"))?;
    Ok(Zeroizing::new(text.into()))
}

fn logout(registry: &Registry) -> Result<CredentialResponse, Failure> {
    let settings = Settings::from_environment()?;
    let session = Session::find(&settings)?.ok_or_else(nothing_stored)?;
    session.keyless().remove(&id_of(registry))?;
    Ok(CredentialResponse::Logout)
}

/// With [`Error::NotFound`] Cargo asks the next provider; with anything else it stops, and shows it.
fn refused(failure: Failure) -> Error {
    match failure.exit_code() {
        Code::NotFound => Error::NotFound,
        _ => failure.text().into(),
    }
}

fn nothing_stored() -> Failure {
    Failure::silent(Code::NotFound)
}
