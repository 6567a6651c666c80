//! A credential helper for one's own program, in the manner of Docker's: `credential_helper store`, `get`,
//! `erase` or `list`, a request on standard input, the answer on standard output.
//!
//!     echo '{"ServerURL":"git.example.com","Username":"zoe","Secret":"hunter2"}' | credential_helper store
//!     echo git.example.com | credential_helper get

use std::{collections::BTreeMap, error::Error, io, path::Path, process::ExitCode};

use posixage::{Error as StoreError, Id, KeyFile, Metadata, Secret, Store, StoreConfig};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    #[serde(rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Option<&str>) -> Result<(), Box<dyn Error>> {
    let input = io::read_to_string(io::stdin())?;
    let store = open(Path::new(&std::env::var("HOME")?))?;
    match action {
        Some("store") => {
            let new: Credentials = serde_json::from_str(&input)?;
            let metadata: Metadata = [("Username", new.username)].into_iter().collect();
            let secret = Secret::new(new.secret).with_metadata(metadata);
            store.set(&id(&new.server)?, &secret)?;
        }
        Some("get") => {
            let server = input.trim().to_owned();
            let found = match store.get(&id(&server)?) {
                Err(StoreError::NotFound { .. }) => return Err("credentials not found".into()),
                found => found?,
            };
            let username = found.metadata().and_then(|m| m.get("Username"));
            let answer = Credentials {
                username: username.unwrap_or_default().into(),
                secret: std::str::from_utf8(found.expose())?.into(),
                server,
            };
            println!("{}", serde_json::to_string(&answer)?);
        }
        Some("erase") => match store.remove(&id(input.trim())?) {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        },
        Some("list") => {
            let mut all = BTreeMap::new();
            for entry in store.list(&"server/**".parse()?)? {
                let metadata = entry.metadata?.unwrap_or_default();
                let server = entry.id.as_str().trim_start_matches("server/").to_owned();
                all.insert(
                    server,
                    metadata.get("Username").unwrap_or_default().to_owned(),
                );
            }
            println!("{}", serde_json::to_string(&all)?);
        }
        _ => return Err("usage: credential_helper store|get|erase|list".into()),
    }
    Ok(())
}

/// Servers are host names, with a port or a path; anything else is an error.
fn id(server: &str) -> Result<Id, posixage::ParseIdError> {
    format!("server/{server}").parse()
}

/// The store and its key, made on the first run.
fn open(home: &Path) -> Result<Store, StoreError> {
    let root = home.join(".local/share/tool/credentials");
    let key = home.join(".config/tool/key.txt");
    if !root.exists() {
        KeyFile::create(&key)?;
    }
    let identities = KeyFile::new(&key).identities()?;
    let config = StoreConfig::new(identities.recipients()?);
    Store::builder(root)
        .identity(identities)
        .create_if_missing(config)
        .open()
}
