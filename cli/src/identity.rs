//! The age identity that is made on first use.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use posixage::{Identity, secrecy::ExposeSecret};
use zeroize::Zeroizing;

use crate::failure::{Failure, reason};

/// Makes an age identity file (0600) unless there is one; whether it did. Of two processes that try
/// at once one makes it, and both find the same.
pub(crate) fn make(path: &Path) -> Result<bool, Failure> {
    let made = try_make(path);
    made.map_err(|e| {
        Failure::new(format!(
            "cannot make key file {}: {}",
            path.display(),
            reason(&e)
        ))
    })
}

fn try_make(path: &Path) -> io::Result<bool> {
    if path.try_exists()? {
        return Ok(false);
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let text = identity_file(&Identity::generate())?;
    // Under a name of its own until it is whole and on disk: a key file that a crash cut short
    // would be found, and used, by the next run.
    let name = format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().display(),
        std::process::id()
    );
    let temporary = dir.join(name);
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let linked = file
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        // A link, unlike a rename, never replaces a key that somebody else has just made.
        .and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => File::open(dir)?.sync_all().map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// As `age-keygen` writes it.
fn identity_file(identity: &Identity) -> io::Result<Zeroizing<String>> {
    let recipient = identity.to_recipient().map_err(io::Error::other)?;
    let secret = identity
        .to_age_secret_key()
        .ok_or(io::ErrorKind::Unsupported)?;
    let lines = [
        "# public key: ",
        &recipient.to_string(),
        "\n",
        secret.expose_secret(),
        "\n",
    ];
    Ok(Zeroizing::new(lines.concat()))
}
