//! The step at which a secret changes: one rename, on disk when it is reported.
//!
//! A secret's new directory is staged and on disk before the lock is taken ([`Stage`]). Under the
//! exclusive lock it changes places with the old one (`RENAME_EXCHANGE`), or takes a free name
//! (`RENAME_NOREPLACE`), and the root is fsynced; what was displaced is removed after the lock is
//! released. So a reader, also one after a power cut, sees the old value or the new one, whole.
//!
//! Where a file system refuses `RENAME_EXCHANGE`, the old directory steps aside into
//! `.posixage.old/` under its own name, and the new one takes its place. Between the two renames a
//! peer without this rule sees the secret missing; ours looks there too, and the next writer puts
//! back what an interrupted commit left. What lies there stands for the secret as soon as that has no
//! directory, so nothing is left there, on disk either, when the lock is released.
//!
//! One secret is a [`Batch`] of one.

pub(crate) mod rename;
pub(crate) mod stage;
pub(crate) mod sweep;
pub(crate) mod tree;

use std::sync::atomic::Ordering;

use rustix::{
    fs::{Mode, mkdirat},
    io::Errno,
};

use crate::{
    commit::{
        rename::{Refused, exchange, rename, rename_new, retract, retract_exchange},
        stage::Stage,
    },
    disk::{
        held::Exclusive,
        layout::{self, OLD},
        root::{FileId, Root},
    },
    error::Error,
    id::Id,
    parallel::{cores, in_order},
    syscall::fsync,
};

/// How many displaced directories one thread removes before the next lot.
const RUN: usize = 8;

/// What a commit does about a secret that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    Refuse,
    Allow,
    /// It must be this one, or none.
    Only(Option<FileId>),
}

/// What commits left under other names, to be removed after the lock is released.
#[derive(Default)]
#[must_use = "remove it after the lock is released"]
pub(crate) struct Displaced(Vec<String>);

impl Displaced {
    pub(crate) fn remove(&self, root: &Root) {
        in_order(&self.0, RUN, cores(), |run| {
            let remove = |name: &String| tree::remove_or_leave(root, name);
            run.iter().map(remove).collect()
        });
    }
}

/// The commits made under one exclusive lock: each secret gets its new directory by name
/// ([`publish`](Self::publish)), then all of them get on disk ([`finish`](Self::finish)).
#[must_use = "nothing is on disk before it is finished"]
pub(crate) struct Batch<'a> {
    root: &'a Root,
    exclusive: &'a Exclusive,
    published: Vec<Published>,
    /// Why the last one was not published. None is after it.
    refused: Result<(), Error>,
}

/// A secret that has its new directory by name, but not on disk yet.
struct Published {
    stage: String,
    /// The new directory.
    own: FileId,
    name: String,
    /// Where the old directory is, if there was one.
    old: Option<String>,
}

/// What became of a batch.
pub(crate) struct Finished {
    /// What those that are on disk have displaced.
    pub(crate) displaced: Displaced,
    /// How many of the first are written. Where nothing else went wrong than the disk, all others
    /// have their old directories again.
    pub(crate) written: usize,
    pub(crate) result: Result<(), Error>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(root: &'a Root, exclusive: &'a Exclusive) -> Self {
        Self {
            root,
            exclusive,
            published: Vec::with_capacity(1),
            refused: Ok(()),
        }
    }

    /// Gives a stage that is on disk the name of `id`. Once one is refused, no other is published.
    pub(crate) fn publish(&mut self, stage: &mut Stage<'_>, id: &Id, overwrite: Overwrite) {
        if self.refused.is_err() {
            return;
        }
        let published = self.rename(stage, id, overwrite).and_then(|published| {
            self.confirm(&published, id, overwrite)
                .inspect_err(|_| published.retract(self.root))?;
            Ok(published)
        });
        match published {
            Ok(published) => {
                // What has the stage's name from here on, if anything, is the old directory.
                stage.keep();
                self.published.push(published);
            }
            Err(error) => self.refused = Err(error),
        }
    }

    fn rename(&self, stage: &Stage<'_>, id: &Id, overwrite: Overwrite) -> Result<Published, Error> {
        let name = id.directory_name();
        let old = match overwrite {
            Overwrite::Refuse | Overwrite::Only(None) => {
                match rename_new(self.root, self.exclusive, stage.name(), &name) {
                    Ok(true) => Ok(None),
                    Ok(false) if overwrite == Overwrite::Refuse => {
                        return Err(Error::AlreadyExists { id: id.clone() });
                    }
                    Ok(false) => return Err(Error::Overtaken { id: id.clone() }),
                    Err(refused) => Err(refused),
                }
            }
            Overwrite::Allow | Overwrite::Only(Some(_)) => self.replace(stage, &name),
        };
        let old =
            old.map_err(|refused| refused.io(self.root, "publish", self.root.path_of(&name)))?;
        Ok(Published {
            stage: stage.name().into(),
            own: stage.own(),
            name,
            old,
        })
    }

    /// The fence once more: a process that stood still between the fence and the rename may have been
    /// overtaken there, and what it has displaced is then another's. For a change of what was read, the
    /// fence is not enough: a peer that breaks the lock may have written as well.
    fn confirm(&self, published: &Published, id: &Id, overwrite: Overwrite) -> Result<(), Error> {
        self.exclusive.verify()?;
        let Overwrite::Only(Some(seen)) = overwrite else {
            return Ok(());
        };
        let old = published.old.as_deref();
        let displaced = old.map_or(Ok(None), |old| self.root.id_of(old));
        match displaced.map_err(|e| Error::io("stat", self.root.path_of(&published.name), e))? {
            Some(displaced) if displaced == seen => Ok(()),
            _ => Err(Error::Overtaken { id: id.clone() }),
        }
    }

    /// Gives `stage` the name `name`; returns where the old directory is, if there was one.
    fn replace(&self, stage: &Stage<'_>, name: &str) -> Result<Option<String>, Refused> {
        let Self {
            root, exclusive, ..
        } = self;
        loop {
            if !root.no_exchange.load(Ordering::Relaxed) {
                match exchange(root, exclusive, (stage.name(), stage.own()), name) {
                    Ok(true) => return Ok(Some(stage.name().into())),
                    Ok(false) => root.no_exchange.store(true, Ordering::Relaxed),
                    Err(Refused::System(Errno::NOENT)) => {}
                    Err(refused) => return Err(refused),
                }
            }
            if rename_new(root, exclusive, stage.name(), name)? {
                return Ok(None);
            }
            if root.no_exchange.load(Ordering::Relaxed) {
                return step_aside(root, exclusive, stage.name(), name).map(Some);
            }
        }
    }

    /// Brings what was published to disk. What cannot be brought there is taken back.
    pub(crate) fn finish(self) -> Finished {
        let Self {
            root,
            exclusive,
            published,
            refused,
        } = self;
        let mut displaced = Displaced(Vec::with_capacity(published.len()));
        if published.is_empty() {
            return Finished {
                displaced,
                written: 0,
                result: refused,
            };
        }
        let mut on_disk = 0;
        let result = match refused {
            // What has its name got it while the lock was held.
            Ok(()) | Err(Error::Lock(_)) => {
                bring_to_disk(root, exclusive, &published, &mut displaced, &mut on_disk)
                    .and(refused)
            }
            // It may have been an fsync of the root, which is never tried again.
            refused => refused,
        };
        let written = match on_disk == published.len() {
            true => on_disk,
            false => on_disk + take_back(root, exclusive, &published[on_disk..]),
        };
        Finished {
            displaced,
            written,
            result,
        }
    }
}

/// Brings the new names to disk; how many have got there, and what they have displaced.
fn bring_to_disk(
    root: &Root,
    exclusive: &Exclusive,
    published: &[Published],
    displaced: &mut Displaced,
    on_disk: &mut usize,
) -> Result<(), Error> {
    // Before the caller is told so, and before an old directory goes.
    fsync(&root.dir).map_err(|e| Error::io("fsync", &root.path, e))?;
    for Published { stage, old, .. } in published {
        match old {
            Some(old) if old == stage => displaced.0.push(old.clone()),
            Some(old) => match discard(root, exclusive, old) {
                // Leave it to the new holder, which finds that the secret has a directory.
                Err(Error::Lock(_)) => {}
                discarded => displaced.0.extend(discarded?.into_iter().flat_map(|d| d.0)),
            },
            None => {}
        }
        *on_disk += 1;
    }
    Ok(())
}

impl Published {
    /// Takes back what was published when the lock was lost already, or over what another has written.
    fn retract(&self, root: &Root) {
        let Self {
            stage,
            own,
            name,
            old,
        } = self;
        root.swept.store(false, Ordering::Relaxed);
        let retracted = match old {
            Some(old) if old == stage => retract_exchange(root, (stage, *own), name),
            Some(old) => {
                retract(root, stage, (name, Some(*own))) && retract(root, name, (old, None))
            }
            None => retract(root, stage, (name, Some(*own))),
        };
        if !retracted {
            tracing::warn!(path = %root.path_of(name).display(), "came too late, and stands");
        }
    }
}

/// Removes a secret, down to the disk: the one that is `seen`, or whichever there is.
pub(crate) fn remove(
    root: &Root,
    exclusive: &Exclusive,
    id: &Id,
    seen: Option<FileId>,
) -> Result<Displaced, Error> {
    let name = id.directory_name();
    let Some(trash) = move_to_trash(root, exclusive, &name)? else {
        return Err(Error::NotFound { id: id.clone() });
    };
    if seen.is_some_and(|seen| root.id_of(&trash) != Ok(Some(seen))) {
        retract(root, &name, (&trash, None));
        return Err(Error::Overtaken { id: id.clone() });
    }
    discarded(root, exclusive, &name, trash)
}

/// The replacement in two renames, for file systems without `RENAME_EXCHANGE`.
fn step_aside(
    root: &Root,
    exclusive: &Exclusive,
    stage: &str,
    name: &str,
) -> Result<String, Refused> {
    match mkdirat(&root.dir, OLD, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    // On disk before anything is in it, even if another process made it: or a power cut takes it with
    // the secret.
    fsync(&root.dir)?;
    let old = layout::aside(name);
    rename(root, exclusive, name, &old)?;
    if let Err(error) = exclusive.verify() {
        retract(root, name, (&old, None));
        return Err(Refused::Fence(error));
    }
    if let Err(refused) = rename(root, exclusive, stage, name) {
        undo(root, || rename(root, exclusive, &old, name));
        return Err(refused);
    }
    Ok(old)
}

/// Takes the name `name` from what has it, down to the disk; `None` if nothing has. Whatever fails,
/// it has its old name.
///
/// What was set aside must lose its name too, before the lock is released: it stands for the secret,
/// and would come back when that is removed.
pub(crate) fn discard(
    root: &Root,
    exclusive: &Exclusive,
    name: &str,
) -> Result<Option<Displaced>, Error> {
    move_to_trash(root, exclusive, name)?
        .map(|trash| discarded(root, exclusive, name, trash))
        .transpose()
}

fn move_to_trash(root: &Root, exclusive: &Exclusive, name: &str) -> Result<Option<String>, Error> {
    let trash = layout::new_trash().map_err(|e| Error::io("remove", root.path_of(name), e))?;
    match rename(root, exclusive, name, &trash) {
        Ok(()) => {}
        Err(Refused::System(Errno::NOENT)) => return Ok(None),
        Err(refused) => return Err(refused.io(root, "remove", root.path_of(name))),
    }
    // As in [`Batch::confirm`].
    if let Err(error) = exclusive.verify() {
        retract(root, name, (&trash, None));
        return Err(error.into());
    }
    Ok(Some(trash))
}

fn discarded(
    root: &Root,
    exclusive: &Exclusive,
    name: &str,
    trash: String,
) -> Result<Displaced, Error> {
    if let Err(error) = fsync(&root.dir) {
        undo(root, || rename(root, exclusive, &trash, name));
        return Err(Error::io("fsync", &root.path, error));
    }
    Ok(Displaced(vec![trash]))
}

/// Undoes publications that are not on disk for certain; how many of the first stand all the same,
/// since the fence or the system refused. Neither directory is removed: the disk may know either by
/// the secret's name.
fn take_back(root: &Root, exclusive: &Exclusive, published: &[Published]) -> usize {
    // What keeps a stage's name belongs to no writer from here on.
    root.swept.store(false, Ordering::Relaxed);
    // The last first: whenever this ends, what stands are the first.
    for (n, published) in published.iter().enumerate().rev() {
        let Published {
            stage,
            own,
            name,
            old,
        } = published;
        let undone = undo(root, || match old {
            Some(old) if old == stage => exchange(root, exclusive, (name, *own), stage).map(drop),
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
        Err(refused) => refused.io(root, "rename", &root.path),
    };
    tracing::error!(store = %root.path.display(), error = %refused, "could not take a commit back");
    false
}
