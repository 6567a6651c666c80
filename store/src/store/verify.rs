//! Checking a store against its own rules, and repairing what needs no guess.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use posixage_lock::{FILE_NAME, Guard, Mode as LockMode};
use rustix::{
    fs::{AtFlags, FileType, Mode, Stat, chmodat, statat, unlinkat},
    io::Errno,
};

use crate::{
    commit::{OLD, sweep},
    disk::{
        config::CONFIG_FILE,
        root::ReadError,
        sealed::{METADATA_FILE, Sealed},
    },
    error::Error,
    id::Id,
    keys::KeyType,
    store::{
        Store,
        finding::{Finding, Problem},
        header,
        keyring::Fetch,
    },
    syscall::read_dir,
};

/// What [`Store::verify`] does beyond looking.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Decrypt every copy that a key fits, and compare the copies.
    pub decrypt: bool,
    /// Repair what can be repaired without a guess: modes, what interrupted writes left, empty
    /// directories. No ciphertext is ever removed.
    pub repair: bool,
}

impl VerifyOptions {
    /// To look, and no more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`decrypt`](Self::decrypt).
    #[must_use]
    pub fn with_decrypt(self, decrypt: bool) -> Self {
        Self { decrypt, ..self }
    }

    /// Sets [`repair`](Self::repair).
    #[must_use]
    pub fn with_repair(self, repair: bool) -> Self {
        Self { repair, ..self }
    }
}

impl Store {
    /// Checks the store: names, types, modes, owners, metadata, age headers, recipients as far as the
    /// headers tell, what interrupted writes left; with [`VerifyOptions::decrypt`] the values too.
    ///
    /// Calls `found` for each finding, in no promised order, and not while it holds the lock. Open the
    /// store with [`allow_insecure_permissions`](crate::StoreBuilder::allow_insecure_permissions), or it is
    /// refused before it can be checked. Takes the lock for one secret at a time.
    ///
    /// # Errors
    /// Those of the lock and of the root's own files; what is wrong with a secret is a finding.
    /// What was found before is told all the same.
    pub fn verify(&self, what: VerifyOptions, mut found: impl FnMut(Finding)) -> Result<(), Error> {
        if what.repair {
            self.inner.root.check_writable()?;
        }
        let mut check = Check {
            store: self,
            repair: what.repair,
            guard: None,
            findings: Vec::new(),
        };
        let checked = check.locked(Check::root);
        check.findings.drain(..).for_each(&mut found);
        checked?;
        for id in self.all_ids()? {
            let sealed = check.locked(|check| check.secret(&id));
            if let (true, Ok(Some(sealed))) = (what.decrypt, &sealed) {
                check.values(&id, sealed);
            }
            check.findings.drain(..).for_each(&mut found);
            sealed?;
        }
        Ok(())
    }
}

struct Check<'a> {
    store: &'a Store,
    repair: bool,
    guard: Option<Guard>,
    /// What is to be told when the lock is not held: whoever is told may want it, or take his time.
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Looks under the lock.
    fn locked<T>(&mut self, look: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let mode = match self.repair {
            true => LockMode::Exclusive,
            false => LockMode::Shared,
        };
        self.guard = Some(self.store.acquire(mode)?);
        let seen = look(self);
        self.guard = None;
        seen
    }

    /// Whether to repair what is found now. Asks the fence: nothing is changed on a lost lock.
    fn repairs(&self) -> Result<bool, Error> {
        match &self.guard {
            Some(guard) if self.repair => Ok(guard.verify().map(|()| true)?),
            _ => Ok(false),
        }
    }

    fn report(&mut self, path: PathBuf, id: Option<&Id>, problem: Problem, repaired: bool) {
        self.findings.push(Finding {
            path,
            id: id.cloned(),
            problem,
            repaired,
        });
    }

    /// The root's own files, and whatever else lies beside the secrets.
    fn root(&mut self) -> Result<(), Error> {
        let root = &self.store.inner.root;
        let set_aside =
            sweep::set_aside(root).map_err(|e| Error::io("list", root.path_of(OLD), e))?;
        let left = sweep::leftovers(root).map_err(|e| Error::io("list store", &root.path, e))?;
        if let (true, Some(exclusive)) = (self.repair, &self.guard) {
            sweep::recover(root, exclusive)?;
            sweep::sweep(root, exclusive)?;
        }
        let ids = set_aside
            .iter()
            .filter_map(|name| Id::from_directory_name(name));
        for id in ids {
            self.left(
                &Path::new(OLD).join(id.directory_name()),
                Some(&id),
                Problem::SetAside,
            )?;
        }
        for name in left {
            self.left(Path::new(&name), None, Problem::Leftover)?;
        }
        self.mode_of(root.path.clone(), None, &root.dir, Path::new("."), 0o700)?;
        for name in root.names(|name| Some(name.to_vec()))? {
            let name = String::from_utf8_lossy(&name).into_owned();
            match name.as_str() {
                "." | ".." | OLD => {}
                FILE_NAME | CONFIG_FILE => {
                    self.mode_of(
                        root.path_of(&name),
                        None,
                        &root.dir,
                        Path::new(&name),
                        0o600,
                    )?;
                }
                _ if sweep::is_leftover(&name) || name.starts_with(FILE_NAME) => {}
                _ if Id::from_directory_name(name.as_bytes()).is_some() => {}
                _ => self.report(root.path_of(&name), None, Problem::Foreign, false),
            }
        }
        Ok(())
    }

    /// What an interrupted write left, if it is not there any more: repaired.
    fn left(&mut self, name: &Path, id: Option<&Id>, problem: Problem) -> Result<(), Error> {
        let root = &self.store.inner.root;
        let path = root.path_of(name);
        let there = match statat(&root.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(e) => return Err(Error::io("stat", path, e)),
        };
        self.report(path, id, problem, self.repair && !there);
        Ok(())
    }

    /// A secret's directory and files. What could be read of them, if that is enough to decrypt.
    ///
    /// What cannot be read is found: on a bad disk, say, the others are to be checked all the more.
    fn secret(&mut self, id: &Id) -> Result<Option<Sealed>, Error> {
        match self.look_at(id) {
            Err(Error::Io { path, source, .. }) => {
                let reason = posixage_lock::reason(&source).to_string();
                self.report(path, Some(id), Problem::Unreadable { reason }, false);
                Ok(None)
            }
            // Its mode is found already.
            Err(Error::InsecurePermissions { .. }) => Ok(None),
            looked => looked,
        }
    }

    fn look_at(&mut self, id: &Id) -> Result<Option<Sealed>, Error> {
        let root = &self.store.inner.root;
        let name = id.directory_name();
        let path = root.path_of(&name);
        let stat = match statat(&root.dir, &*name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since, or set aside.
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(Error::io("stat", path, e)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let reason = "is not a directory".into();
            self.report(path, Some(id), Problem::Damaged { reason }, false);
            return Ok(None);
        }
        self.mode(
            path.clone(),
            Some(id),
            &root.dir,
            Path::new(&name),
            &stat,
            0o700,
        )?;
        let dir = match root.open_dir(&name) {
            Ok(Some(dir)) => dir,
            Ok(None) => return Ok(None),
            Err(ReadError::Io(e)) => return Err(Error::io("open", path, e)),
            Err(_) => return Ok(None),
        };
        if !self.files(id, &path, &dir)? {
            let repaired =
                self.repairs()? && unlinkat(&root.dir, &*name, AtFlags::REMOVEDIR).is_ok();
            self.report(path, Some(id), Problem::Empty, repaired);
            return Ok(None);
        }
        match Sealed::read(root, id) {
            Ok(sealed) => {
                self.headers(id, &path, &sealed);
                Ok(Some(sealed))
            }
            Err(Error::Damaged { path, reason, .. }) => {
                self.report(path, Some(id), Problem::Damaged { reason }, false);
                Ok(None)
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies in a secret's directory; whether anything does.
    fn files(&mut self, id: &Id, path: &Path, dir: &OwnedFd) -> Result<bool, Error> {
        let fails = |e: Errno| Error::io("list", path, e);
        let mut any = false;
        for entry in read_dir(dir).map_err(fails)? {
            let name = entry
                .map_err(fails)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if matches!(name.as_str(), "." | "..") {
                continue;
            }
            any = true;
            let known = KeyType::ALL
                .map(KeyType::file_name)
                .contains(&name.as_str());
            if known || name == METADATA_FILE {
                self.mode_of(path.join(&name), Some(id), dir, Path::new(&name), 0o600)?;
            } else {
                self.report(path.join(&name), Some(id), Problem::Foreign, false);
            }
        }
        Ok(any)
    }

    /// What the ciphertexts say about themselves without being decrypted.
    fn headers(&mut self, id: &Id, path: &Path, sealed: &Sealed) {
        let config = self.store.config();
        for (key_type, file) in &sealed.ciphertexts {
            let path = path.join(key_type.file_name());
            let problem = match file {
                Ok(file) => header::check(file, *key_type, config),
                Err(reason) => Some(Problem::Damaged {
                    reason: reason.clone(),
                }),
            };
            if let Some(problem) = problem {
                self.report(path, Some(id), problem, false);
            }
        }
        let Some(config) = config else { return };
        let there = |key_type| {
            sealed
                .ciphertexts
                .iter()
                .any(|(there, _)| *there == key_type)
        };
        for key_type in KeyType::ALL
            .into_iter()
            .filter(|t| config.wants(*t) && !there(*t))
        {
            self.report(path.into(), Some(id), Problem::NoCopy { key_type }, false);
        }
    }

    /// Decrypts every copy for which there is a key.
    fn values(&mut self, id: &Id, sealed: &Sealed) {
        let path = self.store.inner.root.path_of(id.directory_name());
        let mut first = None;
        for (key_type, _) in sealed.ciphertexts.iter().filter(|(_, file)| file.is_ok()) {
            let keyring = &self.store.inner.keyring;
            let copy = path.join(key_type.file_name());
            match keyring.open(
                &self.store.inner.root,
                id,
                sealed,
                Some(*key_type),
                Fetch::Allowed,
            ) {
                Ok(value) => match &first {
                    None => first = Some(value),
                    Some(first) if *first == value => {}
                    Some(_) => self.report(copy, Some(id), Problem::CopiesDiffer, false),
                },
                Err(Error::Damaged { reason, .. }) => {
                    self.report(copy, Some(id), Problem::Damaged { reason }, false);
                }
                Err(_) if self.has_recipient(*key_type) => {
                    let reason = "does not decrypt with a key of the store".into();
                    self.report(copy, Some(id), Problem::Damaged { reason }, false);
                }
                Err(_) => {
                    let key_type = *key_type;
                    self.report(copy, Some(id), Problem::NotOpened { key_type }, false);
                }
            }
        }
    }

    /// Whether a key of this type is there that the store names as a recipient.
    fn has_recipient(&self, key_type: KeyType) -> bool {
        let Some(config) = self.store.config() else {
            return false;
        };
        let sources = self.store.inner.keyring.identities.iter();
        sources
            .filter(|source| source.key_type() == key_type)
            .filter_map(|source| source.known_recipients())
            .flatten()
            .any(|recipient| config.recipients.contains(&recipient))
    }

    fn mode_of(
        &mut self,
        path: PathBuf,
        id: Option<&Id>,
        dir: &OwnedFd,
        name: &Path,
        expected: u32,
    ) -> Result<(), Error> {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(Error::io("stat", path, e)),
        };
        self.mode(path, id, dir, name, &stat, expected)
    }

    /// Owner and permission bits. A file without the owner's write permission is none of our
    /// business: a store may be kept read-only on purpose.
    fn mode(
        &mut self,
        path: PathBuf,
        id: Option<&Id>,
        dir: impl AsFd,
        name: &Path,
        stat: &Stat,
        expected: u32,
    ) -> Result<(), Error> {
        let expected = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => expected,
            // Where a file belongs, too: without the owner's x nobody could clear it away.
            FileType::Directory => 0o700,
            // What it is instead is said where it is read.
            _ => return Ok(()),
        };
        let owner = stat.st_uid;
        if owner != self.store.inner.root.owner() {
            self.report(path.clone(), id, Problem::Owner { owner }, false);
        }
        let mode = stat.st_mode & 0o777;
        if mode & !expected == 0 {
            return Ok(());
        }
        let repaired = self.repairs()?
            && chmodat(
                dir,
                name,
                Mode::from_raw_mode(mode & expected),
                AtFlags::empty(),
            )
            .is_ok();
        self.report(path, id, Problem::Mode { mode, expected }, repaired);
        Ok(())
    }
}
