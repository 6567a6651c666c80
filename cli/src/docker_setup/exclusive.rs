//! One run of `setup` or `--undo` at a time: what one takes back or removes must not be what another
//! relies on, of the same file or of another one.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
};

use posixage::{
    Error,
    lock::{Guard, LockFile, Mode},
};

use crate::{
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
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
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
            Failure::from(Error::from(error))
                .hint("another posixage docker setup is at work: wait for it, or end it")
        })
}
