//! What a commit that was interrupted left behind, and how the next writer clears it away.

use std::{collections::HashSet, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{
    commit::{discard, rename::rename, tree},
    disk::{
        held::Exclusive,
        layout::{self, Name, OLD},
        root::{FileId, Root},
    },
    error::Error,
    id::Id,
    syscall::{fsync, openat, read_dir, try_flock},
};

/// Puts back what a commit without `RENAME_EXCHANGE` had set aside when it died. Before any change:
/// what is set aside would come back when the secret is removed.
///
/// A secret without a directory takes back the one set aside; with one, the commit was complete.
pub(crate) fn recover(root: &Root, exclusive: &Exclusive) -> Result<(), Error> {
    let fails = |e: Errno| Error::io("recover", root.path_of(OLD), e);
    for id in set_aside(root).map_err(fails)? {
        let name = id.directory_name();
        let old = layout::aside(&name);
        if !root.contains(&name).map_err(fails)? {
            rename(root, exclusive, &old, &name)
                .map_err(|refused| refused.io(root, "recover", root.path_of(OLD)))?;
            fsync(&root.dir).map_err(fails)?;
        } else {
            fsync(&root.dir).map_err(fails)?;
            if let Some(displaced) = discard(root, exclusive, &old)? {
                displaced.remove(root);
            }
        }
    }
    Ok(())
}

/// How many leftovers one write clears away, at most: other processes wait for it.
pub(crate) const AT_ONCE: usize = 64;

/// Removes stages and trash of dead processes; whether none is left.
pub(crate) fn sweep(root: &Root, exclusive: &Exclusive) -> Result<bool, Error> {
    let fails = |e| Error::io("list store", &root.path, e);
    let entries = entries(root).map_err(fails)?;
    let (leftovers, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(name, _)| is_leftover(name));
    let twins = twins(root, &leftovers, &others).map_err(fails)?;
    let mut removed = 0;
    let mut synced = false;
    for (name, _) in &leftovers {
        // After a power cut some file systems know one directory by two names. The secret stays.
        let id = root.id_of(name).map_err(fails)?;
        if id.is_none_or(|id| twins.contains(&id)) {
            continue;
        }
        if removed == AT_ONCE {
            return Ok(false);
        }
        let Some(_claim) = claim(root, name) else {
            continue;
        };
        // A rename whose fsync failed may or may not be on disk. It is before anything is removed,
        // so that nothing is that the disk still calls by a secret's name.
        if !synced {
            fsync(&root.dir).map_err(|e| Error::io("fsync", &root.path, e))?;
            synced = true;
        }
        // The fence: what another writer has displaced has no flock, and it may have to put it back.
        exclusive.verify()?;
        removed += usize::from(tree::remove_or_leave(root, name));
    }
    Ok(true)
}

/// Those of `others` that may be one of the leftovers. A listing tells which, but not on every file
/// system: some number all entries alike. So those that match are looked at, each once.
fn twins(
    root: &Root,
    leftovers: &[(String, u64)],
    others: &[(String, u64)],
) -> Result<HashSet<FileId>, Errno> {
    let inodes: HashSet<u64> = leftovers.iter().map(|(_, inode)| *inode).collect();
    let alike = others.iter().filter(|(_, inode)| inodes.contains(inode));
    alike
        .filter_map(|(name, _)| root.id_of(name).transpose())
        .collect()
}

fn is_leftover(name: &str) -> bool {
    Name::parse(name.as_bytes()).is_leftover()
}

/// The stages and the trash of dead processes.
pub(crate) fn leftovers(root: &Root) -> Result<Vec<String>, Errno> {
    let names = entries(root)?.into_iter().map(|(name, _)| name);
    Ok(names
        .filter(|name| is_leftover(name) && claim(root, name).is_some())
        .collect())
}

/// Names with their inodes. A name that is not UTF-8 is none of ours, but an inode like others.
fn entries(root: &Root) -> Result<Vec<(String, u64)>, Errno> {
    let entry = |entry: Result<rustix::fs::DirEntry, Errno>| {
        let entry = entry?;
        Ok((
            entry.file_name().to_string_lossy().into_owned(),
            entry.ino(),
        ))
    };
    read_dir(&root.dir)?.map(entry).collect()
}

/// Takes the flock by which a stage says that it is alive; `None` if another process has it.
///
/// Held until the directory is gone: a writer that made it and was slower with the flock then finds it
/// without its name, and makes another.
fn claim(root: &Root, name: &str) -> Option<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&root.dir, name, flags, Mode::empty()) {
        Ok(dir) => try_flock(&dir).unwrap_or(false).then_some(Some(dir)),
        Err(Errno::NOTDIR | Errno::LOOP) => Some(None),
        Err(_) => None,
    }
}

/// The secrets in `.posixage.old/`. Only what decodes was put there by a commit.
pub(crate) fn set_aside(root: &Root) -> Result<Vec<Id>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(&root.dir, OLD, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut ids = Vec::new();
    for entry in read_dir(&dir)? {
        ids.extend(Id::from_directory_name(entry?.file_name().to_bytes()));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        path::Path,
    };

    use posixage_lock::{LockFile, Wait};

    use super::*;

    /// Takes the lock, makes a directory, loses the lock if so wished, and clears the directory away.
    fn cleared(name: &str, lose: bool, clear: fn(&Root, &Exclusive) -> Result<(), Error>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        let lock = LockFile::in_directory(root.dir.try_clone().unwrap(), dir.path());
        let exclusive = Exclusive::acquire(&lock, Wait::Try).unwrap();
        fs::create_dir_all(dir.path().join(name)).unwrap();
        if lose {
            let lock = dir.path().join(posixage_lock::FILE_NAME);
            fs::remove_file(&lock).unwrap();
            File::create_new(lock).unwrap();
        }
        match clear(&root, &exclusive) {
            Ok(()) => assert!(!lose),
            Err(Error::Lock(error)) => assert!(lose && error.is_lost(), "{error}"),
            Err(error) => panic!("{error}"),
        }
        !root.path_of(Path::new(name)).exists()
    }

    fn swept(root: &Root, exclusive: &Exclusive) -> Result<(), Error> {
        sweep(root, exclusive).map(drop)
    }

    #[test]
    fn many_leftovers_are_cleared_away_by_several_writes() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        let lock = LockFile::in_directory(root.dir.try_clone().unwrap(), dir.path());
        let exclusive = Exclusive::acquire(&lock, Wait::Try).unwrap();
        for _ in 0..3 * AT_ONCE - 1 {
            fs::create_dir(root.path_of(layout::new_stage().unwrap())).unwrap();
        }
        let left = || leftovers(&root).unwrap().len();
        for (all, expected) in [(false, 2 * AT_ONCE - 1), (false, AT_ONCE - 1), (true, 0)] {
            assert_eq!(sweep(&root, &exclusive).unwrap(), all);
            assert_eq!(left(), expected);
        }
    }

    /// As after a power cut, and on a file system that numbers all entries alike.
    #[test]
    fn only_what_is_the_same_directory_is_a_secrets_twin() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), None, true).unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir(root.path_of(name)).unwrap();
        }
        let id = |name| root.id_of(name).unwrap().unwrap();
        let entry = |name: &str, inode| (String::from(name), inode);
        let twins = |inodes: [u64; 3]| {
            let others = [entry("b", inodes[1]), entry("c", inodes[2])];
            twins(&root, &[entry("a", inodes[0])], &others).unwrap()
        };
        assert!(!twins([1, 1, 1]).contains(&id("a")));
        assert_eq!(twins([1, 1, 2]), HashSet::from([id("b")]));
        assert!(twins([1, 2, 3]).is_empty());
    }

    #[test]
    fn nothing_is_cleared_away_on_a_lock_that_was_lost() {
        let stage = layout::new_stage().unwrap();
        let trash = layout::new_trash().unwrap();
        let old = layout::aside("YQ==");
        for (name, clear) in [
            (&*stage, swept as fn(&_, &_) -> _),
            (&trash, swept),
            (&*old, recover),
        ] {
            assert!(cleared(name, false, clear), "{name}");
            assert!(!cleared(name, true, clear), "{name}");
        }
    }
}
