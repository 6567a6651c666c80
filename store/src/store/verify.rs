//! Checking a store against its own rules, and repairing what needs no guess.

use std::{
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, unlinkat},
    io::Errno,
};

use crate::{
    commit::sweep,
    damage::Damage,
    disk::{
        held::{Exclusive, Shared},
        layout::{self, File, Name, OLD},
        root::{ReadError, lets_others_in, look_at},
        sealed::Sealed,
    },
    error::Error,
    id::Id,
    keys::KeyType,
    store::{
        Store,
        finding::{Finding, Problem},
        header,
        keyring::Fetch,
        read,
    },
    syscall::{openat, read_dir},
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

pub(super) fn verify(
    store: &Store,
    what: VerifyOptions,
    mut found: impl FnMut(Finding),
) -> Result<(), Error> {
    if what.repair {
        store.inner.root.check_writable()?;
    }
    let mut check = Check {
        store,
        repair: what.repair,
        exposed: fstat(&store.inner.root.dir).is_ok_and(|stat| lets_others_in(&stat)),
        findings: Vec::new(),
    };
    let checked = check.locked(Check::root);
    check.findings.drain(..).for_each(&mut found);
    checked?;
    let mut second_looks = SECOND_LOOKS;
    for id in read::all_ids(store)? {
        let mut seen = check.all_of(&id, what.decrypt);
        if second_looks > 0 && check.is_in_doubt(&seen) {
            second_looks -= 1;
            check.findings.retain(|finding| finding.repaired);
            thread::sleep(PAUSE);
            seen = check.all_of(&id, what.decrypt);
        }
        check.findings.drain(..).for_each(&mut found);
        seen?;
    }
    Ok(())
}

/// How many secrets get a second look when they seem damaged, at most, and how long a writer that does
/// not keep to the lock has before it to come to an end.
const SECOND_LOOKS: usize = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// The lock as a check needs it: exclusive only to repair.
enum Held {
    Shared(Shared),
    Exclusive(Exclusive),
}

impl Held {
    fn shared(&self) -> &Shared {
        match self {
            Self::Shared(shared) => shared,
            Self::Exclusive(exclusive) => exclusive,
        }
    }

    /// Whether to repair what is found now. Asks the fence: nothing is changed on a lost lock.
    fn repairs(&self) -> Result<bool, Error> {
        match self {
            Self::Shared(_) => Ok(false),
            Self::Exclusive(exclusive) => Ok(exclusive.verify().map(|()| true)?),
        }
    }
}

struct Check<'a> {
    store: &'a Store,
    repair: bool,
    /// Whether the root let other users in, before it was repaired.
    exposed: bool,
    /// What is to be told when the lock is not held: the caller may want it, or take its time.
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Looks under the lock.
    fn locked<T>(
        &mut self,
        look: impl FnOnce(&mut Self, &Held) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let held = match self.repair {
            true => Held::Exclusive(self.store.exclusive()?),
            false => Held::Shared(self.store.shared()?),
        };
        let seen = look(self, &held);
        // On a lost lock another may have replaced it meanwhile.
        if self.findings.iter().any(is_damage) {
            held.shared().verify()?;
        }
        seen
    }

    fn all_of(&mut self, id: &Id, decrypt: bool) -> Result<(), Error> {
        let sealed = self.locked(|check, held| check.secret(held, id))?;
        // Without the lock: the writer of these files decides how long it takes to parse them.
        if let Some(sealed) = &sealed {
            self.headers(id, sealed);
            if decrypt {
                self.values(id, sealed);
            }
        }
        Ok(())
    }

    /// Whether it is worth a second look.
    fn is_in_doubt(&self, seen: &Result<(), Error>) -> bool {
        match seen {
            Err(Error::Lock(error)) => error.is_lost() && !self.repair,
            _ => self.findings.iter().any(is_damage),
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
    fn root(&mut self, held: &Held) -> Result<(), Error> {
        let root = &self.store.inner.root;
        let set_aside =
            sweep::set_aside(root).map_err(|e| Error::io("list", root.path_of(OLD), e))?;
        let left = sweep::leftovers(root).map_err(|e| Error::io("list store", &root.path, e))?;
        if let Held::Exclusive(exclusive) = held {
            sweep::recover(root, exclusive)?;
            for _ in 0..=left.len() / sweep::AT_ONCE {
                sweep::sweep(root, exclusive)?;
            }
        }
        for id in set_aside {
            let old = layout::aside(&id.directory_name());
            self.left(Path::new(&old), Some(&id), Problem::SetAside)?;
        }
        for name in left {
            self.left(Path::new(&name), None, Problem::Leftover)?;
        }
        let path = root.path.clone();
        let place = Place {
            path,
            id: None,
            dir: &root.dir,
            name: Path::new("."),
            exposed: true,
        };
        self.mode_of(held, place)?;
        for name in root.names(|name| Some(OsStr::from_bytes(name).to_owned()))? {
            let path = root.path_of(&name);
            match Name::parse(name.as_bytes()) {
                Name::Lock | Name::Config => {
                    let place = Place {
                        path,
                        id: None,
                        dir: &root.dir,
                        name: Path::new(&name),
                        exposed: self.exposed,
                    };
                    self.mode_of(held, place)?;
                }
                Name::Secret(_) | Name::Stage | Name::Trash | Name::Old => {}
                Name::Foreign => self.report(path, None, Problem::Foreign, false),
            }
        }
        Ok(())
    }

    /// What an interrupted write left, if it is not there any more: repaired.
    fn left(&mut self, name: &Path, id: Option<&Id>, problem: Problem) -> Result<(), Error> {
        let root = &self.store.inner.root;
        let path = root.path_of(name);
        let there = look_at(&root.dir, name).map_err(|e| Error::io("stat", &path, e))?;
        self.report(path, id, problem, self.repair && there.is_none());
        Ok(())
    }

    /// A secret's directory and files. What could be read of them, if that is enough to decrypt.
    ///
    /// What cannot be read is found: on a bad disk, say, the others are to be checked all the more.
    fn secret(&mut self, held: &Held, id: &Id) -> Result<Option<Sealed>, Error> {
        match self.look_at(held, id) {
            Err(Error::Io { path, error, .. }) => {
                let reason = posixage_lock::reason(&error).to_string();
                self.report(path, Some(id), Problem::Unreadable { reason }, false);
                Ok(None)
            }
            looked => looked,
        }
    }

    fn look_at(&mut self, held: &Held, id: &Id) -> Result<Option<Sealed>, Error> {
        let root = &self.store.inner.root;
        let name = id.directory_name();
        let path = root.path_of(&name);
        let stat = match look_at(&root.dir, &*name) {
            Ok(Some(stat)) => stat,
            // Removed since, or set aside.
            Ok(None) => return Ok(None),
            Err(e) => return Err(Error::io("stat", path, e)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let reason = Damage::NotADirectory;
            self.report(path, Some(id), Problem::Damaged { reason }, false);
            return Ok(None);
        }
        let place = Place {
            path: path.clone(),
            id: Some(id),
            dir: &root.dir,
            name: Path::new(&name),
            exposed: self.exposed,
        };
        self.mode(held, place, &stat)?;
        let dir = match root.open_dir(&name) {
            Ok(Some(dir)) => dir,
            Ok(None) => return Ok(None),
            Err(ReadError::Io(e)) => return Err(Error::io("open", path, e)),
            Err(_) => return Ok(None),
        };
        let exposed = self.exposed && lets_others_in(&stat);
        if !self.files(held, id, &path, &dir, exposed)? {
            let repaired =
                held.repairs()? && unlinkat(&root.dir, &*name, AtFlags::REMOVEDIR).is_ok();
            self.report(path, Some(id), Problem::Empty, repaired);
            return Ok(None);
        }
        match Sealed::read(root, held.shared(), id) {
            Ok(sealed) => Ok(Some(sealed)),
            Err(Error::Damaged { path, reason, .. }) => {
                self.report(path, Some(id), Problem::Damaged { reason }, false);
                Ok(None)
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies in a secret's directory; whether anything does.
    fn files(
        &mut self,
        held: &Held,
        id: &Id,
        path: &Path,
        dir: &OwnedFd,
        exposed: bool,
    ) -> Result<bool, Error> {
        let fails = |e: Errno| Error::io("list", path, e);
        let mut any = false;
        for entry in read_dir(dir).map_err(fails)? {
            let entry = entry.map_err(fails)?;
            let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
            any = true;
            match File::parse(entry.file_name().to_bytes()) {
                File::Metadata | File::Ciphertext => {
                    let place = Place {
                        path: path.join(name),
                        id: Some(id),
                        dir,
                        name,
                        exposed,
                    };
                    self.mode_of(held, place)?;
                }
                File::Foreign => {
                    self.report(path.join(name), Some(id), Problem::Foreign, false);
                }
            }
        }
        Ok(any)
    }

    /// What the ciphertexts say about themselves without being decrypted.
    fn headers(&mut self, id: &Id, sealed: &Sealed) {
        let path = self.store.inner.root.path_of(id.directory_name());
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
            self.report(path.clone(), Some(id), Problem::NoCopy { key_type }, false);
        }
    }

    /// Decrypts every copy for which there is a key.
    fn values(&mut self, id: &Id, sealed: &Sealed) {
        let path = self.store.inner.root.path_of(id.directory_name());
        let mut first = None;
        for (key_type, _) in sealed.ciphertexts.iter().filter(|(_, file)| file.is_ok()) {
            let keyring = &self.store.keyring;
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
                    let reason = Damage::NotForItsRecipient;
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
        let sources = self.store.keyring.identities.iter();
        sources
            .filter(|source| source.key_type() == key_type)
            .filter_map(|source| source.known_recipients())
            .flatten()
            .any(|recipient| config.recipients.contains(&recipient))
    }

    fn mode_of(&mut self, held: &Held, place: Place<'_>) -> Result<(), Error> {
        match look_at(place.dir, place.name) {
            Ok(Some(stat)) => self.mode(held, place, &stat),
            Ok(None) => Ok(()),
            Err(e) => Err(Error::io("stat", place.path, e)),
        }
    }

    /// Owner and permission bits. A missing write permission of the owner is no finding: a store may be
    /// kept read-only on purpose.
    fn mode(&mut self, held: &Held, place: Place<'_>, stat: &Stat) -> Result<(), Error> {
        let expected = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => 0o600,
            // Where a file belongs, too: without the owner's x it could not be cleared away.
            FileType::Directory => 0o700,
            // What it is instead is said where it is read.
            _ => return Ok(()),
        };
        let owner = stat.st_uid;
        if owner != self.store.inner.root.owner() {
            self.report(
                place.path.clone(),
                place.id,
                Problem::Owner { owner },
                false,
            );
        }
        let mode = stat.st_mode & 0o777;
        if mode & !expected == 0 {
            return Ok(());
        }
        let repaired = self.tighten(held, &place, expected)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && stat.st_nlink > 1 {
            let problem = Problem::HardLinks {
                count: stat.st_nlink,
            };
            self.report(place.path.clone(), place.id, problem, false);
        }
        let problem = match place.exposed {
            true => Problem::Mode { mode, expected },
            false => Problem::Loose { mode, expected },
        };
        self.report(place.path, place.id, problem, repaired);
        Ok(())
    }

    /// Takes away the permissions that are not `expected`; whether it did.
    ///
    /// By a descriptor, so that a link swapped in meanwhile is not followed, and not if the file has
    /// other names: it may be another's file, that a hard link has brought here.
    fn tighten(&self, held: &Held, place: &Place<'_>, expected: u32) -> Result<bool, Error> {
        if !self.repair {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(place.dir, place.name, flags, Mode::empty()) else {
            return Ok(false);
        };
        let Ok(stat) = fstat(&file) else {
            return Ok(false);
        };
        let is_ours = stat.st_uid == self.store.inner.root.owner();
        let is_alone = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => expected == 0o600 && stat.st_nlink == 1,
            FileType::Directory => expected == 0o700,
            _ => false,
        };
        let mode = Mode::from_raw_mode(stat.st_mode & expected);
        Ok(is_ours && is_alone && held.repairs()? && fchmod(&file, mode).is_ok())
    }
}

/// Whether a writer at work could have made it look so.
fn is_damage(finding: &Finding) -> bool {
    let problem = &finding.problem;
    matches!(
        problem,
        Problem::Damaged { .. }
            | Problem::Empty
            | Problem::NoCopy { .. }
            | Problem::Unreadable { .. }
    )
}

/// A file or directory that is checked.
struct Place<'a> {
    path: PathBuf,
    id: Option<&'a Id>,
    dir: &'a OwnedFd,
    name: &'a Path,
    /// Whether the directories above it let other users in.
    exposed: bool,
}
