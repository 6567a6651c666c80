//! Prints an OAuth access token, and refreshes it first if it has expired. Of many processes that find it
//! expired at once exactly one asks for a new one: a refresh token is often good for one use.
//!
//!     oauth STORE KEY ID -- COMMAND…
//!
//! COMMAND gets the refresh token on standard input and prints the answer of the token endpoint, as
//! RFC 6749 has it: `curl -d grant_type=refresh_token --data-urlencode refresh_token@- URL`.

use std::{
    error::Error,
    io::Write,
    process::{Command, ExitCode, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use posixage::{Change, Id, KeyFile, Metadata, Secret, Store};
use serde::{Deserialize, Serialize};

/// What the token endpoint answers, and what is kept, encrypted.
#[derive(Serialize, Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    #[serde(default)]
    expires_in: u64,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("oauth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, key, id, dashes, command @ ..] = &arguments[..] else {
        return Err("usage: oauth STORE KEY ID -- COMMAND…".into());
    };
    if dashes != "--" {
        return Err("usage: oauth STORE KEY ID -- COMMAND…".into());
    }
    let identities = KeyFile::new(key).identities()?;
    let store = Store::builder(root).identity(identities).open()?;
    token(&store, &id.parse()?, command)
}

fn token(store: &Store, id: &Id, command: &[String]) -> Result<String> {
    // Nearly always this is all, and no process waits for another.
    let secret = store.get(id)?;
    if !has_expired(&secret)? {
        return Ok(tokens(&secret)?.access_token);
    }
    let mut token = None;
    store.update(id, |current| -> Result<_> {
        // Another process may have been faster: under the lock, look again.
        let secret = current.ok_or("not logged in any more")?;
        let old = tokens(secret)?;
        if !has_expired(secret)? {
            token = Some(old.access_token);
            return Ok(Change::Keep);
        }
        let new = refresh(&old.refresh_token, command)?;
        let expires = SystemTime::now() + Duration::from_secs(new.expires_in);
        let expires = expires.duration_since(UNIX_EPOCH)?.as_secs().to_string();
        let metadata: Metadata = [("expires", expires)].into_iter().collect();
        let secret = Secret::new(serde_json::to_vec(&new)?).with_metadata(metadata);
        token = Some(new.access_token);
        Ok(Change::Set(secret))
    })?;
    token.ok_or_else(|| "no token".into())
}

fn tokens(secret: &Secret) -> Result<Tokens> {
    Ok(serde_json::from_slice(secret.expose())?)
}

/// By the metadata: when a token expires is no secret.
fn has_expired(secret: &Secret) -> Result<bool> {
    let expires = secret.metadata().and_then(|m| m.get("expires"));
    let expires = Duration::from_secs(expires.unwrap_or("0").parse()?);
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)? >= expires)
}

fn refresh(token: &str, command: &[String]) -> Result<Tokens> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe to the command")?;
    let sent = stdin.write_all(token.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("cannot refresh the token: {}", output.status).into());
    }
    sent?;
    Ok(serde_json::from_slice(&output.stdout)?)
}
