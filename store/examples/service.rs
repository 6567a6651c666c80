//! A service that gets its key from systemd, in `$CREDENTIALS_DIRECTORY`:
//!
//!     [Service]
//!     ExecStart=/usr/bin/service /var/lib/service/secrets db/password
//!     StateDirectory=service
//!     LoadCredentialEncrypted=key:/etc/service/key.cred
//!
//! The store is the service's own (`posixage --store /var/lib/service/secrets init -r …` made it), and the
//! key is nowhere on the disk in the clear.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use posixage::{Id, KeyFile, Secret, Store, lock::Wait};

fn main() -> ExitCode {
    match run() {
        Ok(secret) => {
            println!("ready, with a password of {} bytes", secret.expose().len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("service: {error}");
            // The hint, if the store has one.
            if let Some(hint) = error
                .downcast_ref::<posixage::Error>()
                .and_then(posixage::Error::hint)
            {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Secret, Box<dyn Error>> {
    let (Some(root), Some(id)) = (env::args_os().nth(1), env::args().nth(2)) else {
        return Err("usage: service STORE ID".into());
    };
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let credentials = credentials.ok_or("CREDENTIALS_DIRECTORY is not set: not run by systemd?")?;
    Ok(secret(Path::new(&root), &id.parse()?, &credentials)?)
}

fn secret(root: &Path, id: &Id, credentials: &Path) -> Result<Secret, posixage::Error> {
    let key = KeyFile::new(credentials.join("key")).identities()?;
    let store = Store::builder(root)
        .identity(key)
        // A unit that does not come up is better than one that hangs.
        .lock_wait(Wait::For(Duration::from_secs(5)))
        .on_wait(|status| eprintln!("service: waiting for the secrets: {status}"))
        .open()?;
    store.get(id)
}
