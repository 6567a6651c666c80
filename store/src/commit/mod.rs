//! The step at which a secret changes: one rename, on disk when it is reported.
//!
//! A secret's new directory is staged and on disk before the lock is taken ([`Stage`]). Under the
//! exclusive lock it changes places with the old one (`RENAME_EXCHANGE`), or takes a free name
//! (`RENAME_NOREPLACE`), and the root is fsynced; what was displaced is removed after the lock is
//! released. So whoever looks, or finds the disk after a power cut, sees the old value or the new
//! one, whole.
//!
//! Where a file system refuses `RENAME_EXCHANGE`, the old directory steps aside into
//! `.posixage.old/` under its own name, and the new one takes its place. Between the two renames a
//! peer without this rule sees the secret missing; ours looks there too, and the next writer puts
//! back what an interrupted commit left. What lies there stands for the secret as soon as that has no
//! directory, so nothing is left there, on disk either, when the lock is released.

pub(crate) mod rename;
pub(crate) mod stage;
pub(crate) mod sweep;
pub(crate) mod tree;

use std::sync::atomic::{AtomicBool, Ordering};

use posixage_lock::Guard;
use rustix::{
    fs::{Mode, mkdirat},
    io::Errno,
};

use crate::{
    commit::{
        rename::{Refused, exchange, rename, rename_new},
        stage::{Stage, temporary_name},
    },
    disk::root::Root,
    error::Error,
    syscall::fsync,
};

/// Where an old directory waits while the new one takes its name, without `RENAME_EXCHANGE`.
pub(crate) const OLD: &str = ".posixage.old";

/// What a commit does about a secret that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    Refuse,
    Allow,
}

/// What a commit left under another name, to be removed after the lock is released.
#[derive(Default)]
#[must_use = "remove it after the lock is released"]
pub(crate) struct Displaced(Option<String>);

impl Displaced {
    pub(crate) fn remove(&self, root: &Root) {
        if let Some(name) = &self.0 {
            tree::remove_or_leave(root, name);
        }
    }
}

/// Makes the commits of one store handle, under the exclusive lock.
#[derive(Debug, Default)]
pub(crate) struct Committer {
    /// Whether the file system has refused `RENAME_EXCHANGE` before.
    no_exchange: AtomicBool,
}

/// A secret that has its new directory by name, but not on disk yet.
#[must_use = "it is not on disk"]
pub(crate) struct Published {
    stage: String,
    name: String,
    /// Where the old directory is, if there was one.
    old: Option<String>,
}

impl Committer {
    /// Gives a stage that is on disk the name `name`; `None` if that is taken and must stay.
    pub(crate) fn publish(
        &self,
        root: &Root,
        exclusive: &Guard,
        stage: &mut Stage<'_>,
        name: &str,
        overwrite: Overwrite,
    ) -> Result<Option<Published>, Error> {
        let old = match overwrite {
            Overwrite::Refuse => match rename_new(root, exclusive, stage.name(), name) {
                Ok(true) => Ok(None),
                Ok(false) => return Ok(None),
                Err(refused) => Err(refused),
            },
            Overwrite::Allow => self.replace(root, exclusive, stage.name(), name),
        };
        let old = old.map_err(|refused| refused.io("publish", root.path_of(name)))?;
        // What has the stage's name from here on, if anything, is the old directory.
        stage.keep();
        Ok(Some(Published {
            stage: stage.name().into(),
            name: name.into(),
            old,
        }))
    }

    /// Gives `stage` the name `name`; returns where the old directory is, if there was one.
    fn replace(
        &self,
        root: &Root,
        exclusive: &Guard,
        stage: &str,
        name: &str,
    ) -> Result<Option<String>, Refused> {
        loop {
            if !self.no_exchange.load(Ordering::Relaxed) {
                match exchange(root, exclusive, stage, name) {
                    Ok(true) => return Ok(Some(stage.into())),
                    Ok(false) => self.no_exchange.store(true, Ordering::Relaxed),
                    Err(Refused::System(Errno::NOENT)) => {}
                    Err(refused) => return Err(refused),
                }
            }
            if rename_new(root, exclusive, stage, name)? {
                return Ok(None);
            }
            if self.no_exchange.load(Ordering::Relaxed) {
                return step_aside(root, exclusive, stage, name).map(Some);
            }
        }
    }
}

/// What became of publications.
pub(crate) struct Settled {
    /// What those that are on disk have displaced.
    pub(crate) displaced: Vec<Displaced>,
    /// How many of the first stand. Where nothing else went wrong than the disk, all others have their
    /// old directories again.
    pub(crate) written: usize,
    pub(crate) result: Result<(), Error>,
}

/// Brings to disk what was published. What cannot be brought there is taken back.
pub(crate) fn settle(root: &Root, exclusive: &Guard, published: &[Published]) -> Settled {
    let mut displaced = Vec::with_capacity(published.len());
    // The new names are on disk before anybody is told so, and before an old directory goes.
    let synced = fsync(&root.dir).map_err(|e| Error::io("fsync", &root.path, e));
    let result = synced.and_then(|()| {
        for Published { old, .. } in published {
            displaced.push(match old {
                Some(old) if old.starts_with(OLD) => match discard(root, exclusive, old) {
                    // It is whose the lock is now, and who finds that the secret has a directory.
                    Err(Error::Lock(_)) => Displaced::default(),
                    discarded => discarded?.unwrap_or_default(),
                },
                old => Displaced(old.clone()),
            });
        }
        Ok(())
    });
    let written = match &result {
        Ok(()) => displaced.len(),
        Err(_) => {
            let taken_back = &published[displaced.len()..];
            displaced.len() + take_back(root, exclusive, taken_back)
        }
    };
    Settled {
        displaced,
        written,
        result,
    }
}

/// The replacement in two renames, for file systems without `RENAME_EXCHANGE`.
fn step_aside(root: &Root, exclusive: &Guard, stage: &str, name: &str) -> Result<String, Refused> {
    match mkdirat(&root.dir, OLD, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    // On disk before anything is in it, whoever made it: or a power cut takes it with the secret.
    fsync(&root.dir)?;
    let old = format!("{OLD}/{name}");
    rename(root, exclusive, name, &old)?;
    if let Err(refused) = rename(root, exclusive, stage, name) {
        undo(root, || rename(root, exclusive, &old, name));
        return Err(refused);
    }
    Ok(old)
}

/// Takes the name `name` from what has it, down to the disk; `None` if nothing has. Whatever fails,
/// it has its old name.
///
/// So a secret is removed. What was set aside must lose its name too, before the lock is released:
/// it stands for the secret, and would come back when that is removed.
pub(crate) fn discard(
    root: &Root,
    exclusive: &Guard,
    name: &str,
) -> Result<Option<Displaced>, Error> {
    let trash = temporary_name("trash").map_err(|e| Error::io("remove", root.path_of(name), e))?;
    match rename(root, exclusive, name, &trash) {
        Ok(()) => {}
        Err(Refused::System(Errno::NOENT)) => return Ok(None),
        Err(refused) => return Err(refused.io("remove", root.path_of(name))),
    }
    if let Err(error) = fsync(&root.dir) {
        undo(root, || rename(root, exclusive, &trash, name));
        return Err(Error::io("fsync", &root.path, error));
    }
    Ok(Some(Displaced(Some(trash))))
}

/// Undoes publications that are not on disk for certain; how many of the first stand all the same,
/// since the fence or the system refused. Neither directory is removed: the disk may know either by
/// the secret's name.
pub(crate) fn take_back(root: &Root, exclusive: &Guard, published: &[Published]) -> usize {
    // What keeps a stage's name is nobody's from here on.
    root.swept.store(false, Ordering::Relaxed);
    // The last first: whenever this ends, what stands are the first.
    for (n, Published { stage, name, old }) in published.iter().enumerate().rev() {
        let undone = undo(root, || match old {
            Some(old) if old == stage => exchange(root, exclusive, stage, name).map(drop),
            Some(old) => rename(root, exclusive, name, stage)
                .and_then(|()| rename(root, exclusive, old, name)),
            None => rename(root, exclusive, name, stage),
        });
        if !undone {
            return n + 1;
        }
    }
    0
}

fn undo(root: &Root, rename: impl FnOnce() -> Result<(), Refused>) -> bool {
    let refused = match rename() {
        Ok(()) => return true,
        Err(refused) => refused.io("rename", &root.path),
    };
    tracing::error!(store = %root.path.display(), error = %refused, "could not take a commit back");
    false
}
