//! `cargo-credential-posixage`: keeps the tokens of registries for Cargo.
//!
//! An entry's id is `cargo/` and the URL of the registry's index; its value is the token; its metadata
//! has `index_url` and, where Cargo told it, `name`.

use std::{env, ffi::OsStr, process::ExitCode};

use cargo_credential::{
    Action, CacheControl, Credential, CredentialResponse, Error, LoginOptions, RegistryInfo, Secret,
};
use posixage::Metadata;
use zeroize::Zeroizing;

use crate::{
    failure::{Code, Failure},
    helpers::entry_id::entry_id,
    io::{output::print, terminal},
    session::Session,
    settings::Settings,
};

/// The first component of the ids.
const NAMESPACE: &str = "cargo";

const USAGE: &str = "Usage: cargo-credential-posixage --cargo-plugin
Cargo runs it; in its config.toml:
[registry]
global-credential-providers = [\"cargo-credential-posixage\"]";

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let argument = env::args_os().nth(1);
    match argument.as_deref().and_then(OsStr::to_str) {
        Some("--cargo-plugin") => cargo_credential::main(Provider),
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

struct Provider;

impl Credential for Provider {
    fn perform(
        &self,
        registry: &RegistryInfo<'_>,
        action: &Action<'_>,
        _args: &[&str],
    ) -> Result<CredentialResponse, Error> {
        let response = match action {
            Action::Get(_) => get(registry),
            Action::Login(options) => login(registry, options),
            Action::Logout => logout(registry),
            _ => return Err(Error::OperationNotSupported),
        };
        response.map_err(refused)
    }
}

fn get(registry: &RegistryInfo<'_>) -> Result<CredentialResponse, Failure> {
    let settings = Settings::from_environment()?;
    let session = Session::find(&settings)?.ok_or_else(nothing_stored)?;
    let id = entry_id(NAMESPACE, registry.index_url);
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

fn login(
    registry: &RegistryInfo<'_>,
    options: &LoginOptions<'_>,
) -> Result<CredentialResponse, Failure> {
    let token = match &options.token {
        Some(token) => Zeroizing::new(token.clone().expose().as_bytes().to_vec()),
        None => ask(registry, options)?,
    };
    if token.is_empty() {
        return Err(Failure::new("the token is empty"));
    }
    let settings = Settings::from_environment()?;
    let mut metadata = Metadata::new();
    metadata.insert("index_url", registry.index_url);
    if let Some(name) = registry.name {
        metadata.insert("name", name);
    }
    let secret = posixage::Secret::from(token).with_metadata(metadata);
    let id = entry_id(NAMESPACE, registry.index_url);
    Session::open_or_make(&settings)?
        .writer()?
        .set(&id, &secret)?;
    Ok(CredentialResponse::Login)
}

/// Asks for the token without showing it, which the crate's own prompt would.
fn ask(
    registry: &RegistryInfo<'_>,
    options: &LoginOptions<'_>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let prompt = match (options.login_url, registry.name) {
        (Some(url), _) => format!("token found on {url}: "),
        (None, Some(name)) => format!("token for {name}: "),
        (None, None) => format!("token for {}: ", registry.index_url),
    };
    let answer = terminal::ask_hidden(&prompt)?;
    Ok(Zeroizing::new(answer.trim_ascii().to_vec()))
}

fn logout(registry: &RegistryInfo<'_>) -> Result<CredentialResponse, Failure> {
    let settings = Settings::from_environment()?;
    let session = Session::find(&settings)?.ok_or_else(nothing_stored)?;
    session
        .keyless()
        .remove(&entry_id(NAMESPACE, registry.index_url))?;
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
