//! One run of `setup` or `--undo` at a time: what one takes back or removes must not be what another
//! relies on, of the same file or of another one.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use posixage::{
    Error,
    lock::{Guard, LockFile, Mode},
};

use crate::{
    docker_setup::config_file::make_dirs,
    failure::{Failure, reason},
    io::output::say,
    settings::Settings,
};

/// Waits for the others of this user. The lock is beside the default identity and not in the store,
/// which the helper is to work with meanwhile.
pub(crate) fn acquire(settings: &Settings) -> Result<Guard, Failure> {
    let config = settings.default_identity.as_ref();
    let config = config.and_then(|identity| identity.parent());
    let path = config
        .ok_or_else(|| Failure::new("cannot tell where to lock: HOME is not set"))?
        .join("docker-setup");
    let fails = |e| {
        Failure::new(format_args!(
            "cannot make {}: {}",
            path.display(),
            reason(&e)
        ))
    };
    let made = make_dirs(&path).and_then(|()| repair(&path));
    let directory = made.and_then(|()| File::open(&path)).map_err(fails)?;
    let quiet = settings.quiet;
    LockFile::in_directory(directory.into(), &path)
        .on_wait(move |status| {
            if !quiet {
                say(format_args!("posixage: waiting for the lock: {status}"));
            }
        })
        .acquire(Mode::Exclusive, settings.lock_wait)
        .map_err(|error| {
            let is_held = error.is_timeout();
            let failure = Failure::from(Error::from(error));
            match is_held {
                true => {
                    failure.hint("another posixage docker setup is at work: wait for it, or end it")
                }
                false => failure,
            }
        })
}

/// Gives the owner a directory back that was made under a umask which took its bits away.
fn repair(path: &Path) -> io::Result<()> {
    let mode = path.metadata()?.permissions().mode();
    match mode & 0o700 {
        0o700 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
    }
}
