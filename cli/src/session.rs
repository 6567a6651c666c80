//! Opening the store with the keys of this run.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use posixage::{
    Entry, Error, Identity, KeyError, KeyFile, KeySource, KeyType, Misfit, Pattern, Recipient,
    Store, StoreBuilder, StoreConfig,
};

use crate::{
    failure::{Code, Failure},
    io::{output::say, password},
    named_keys::{AskPassphrase, Key, Named},
    settings::Settings,
};

/// A store that is open, once, and the settings of this run. Each step of a command takes it with the
/// keys that the step needs.
pub(crate) struct Session<'s> {
    settings: &'s Settings,
    store: Store,
}

impl<'s> Session<'s> {
    /// Opens the store, which must exist.
    pub(crate) fn open(settings: &'s Settings) -> Result<Self, Failure> {
        let store = open(settings, builder(settings)?)?;
        Ok(Self { settings, store })
    }

    /// Opens the store if there is one to look into. One that was named must exist.
    pub(crate) fn find(settings: &'s Settings) -> Result<Option<Self>, Failure> {
        if !settings.has_place() {
            return Ok(None);
        }
        if settings.place()?.named {
            return Self::open(settings).map(Some);
        }
        match builder(settings)?.open() {
            // An empty directory is a store whose making was interrupted.
            Ok(store) if store.config().is_none() && store.count()? == 0 => Ok(None),
            Ok(store) => Ok(Some(Self { settings, store })),
            Err(Error::NoStore { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the store to write to it. One at the default place is made if there is none, since
    /// no other can be meant.
    pub(crate) fn open_or_make(settings: &'s Settings) -> Result<Self, Failure> {
        if let Some(session) = Self::find(settings)? {
            return Ok(session);
        }
        match make_store(settings, &[], false, posixage::DEFAULT_WORK_FACTOR) {
            Ok(made) => {
                made.announce(settings);
                let store = made.store;
                Ok(Self { settings, store })
            }
            // Another process was faster, and made the same.
            Err(failure) if failure.exit_code() == Code::AlreadyExists => Self::open(settings),
            Err(failure) => Err(failure),
        }
    }

    /// Opens the store to check it, unsafe permissions included.
    pub(crate) fn open_to_check(settings: &'s Settings) -> Result<Self, Failure> {
        let builder = builder(settings)?.allow_insecure_permissions(true);
        let store = open(settings, builder)?;
        Ok(Self { settings, store })
    }

    /// The store for what needs no key: names, metadata, removal, the lock.
    pub(crate) fn keyless(&self) -> &Store {
        &self.store
    }

    /// The store to decrypt with one key.
    pub(crate) fn with(&self, key: KeySource<Identity>) -> Store {
        self.store.with_identity(key)
    }

    /// The store to decrypt: every key named is tried, a password last.
    pub(crate) fn reader(&self) -> Result<Store, Failure> {
        let settings = self.settings;
        let mut identities = identities(settings)?;
        if identities.is_empty() {
            let none = |key_type| no_identity(settings, key_type);
            identities.extend([KeyType::Age, KeyType::Ssh].map(none));
        }
        let password = password::configured(settings);
        identities.push(password.unwrap_or_else(password::prompted));
        Ok(self.with_all(identities))
    }

    /// The store to decrypt as far as no question has to be asked but for passphrases.
    pub(crate) fn checker(&self) -> Result<Store, Failure> {
        let mut identities = identities(self.settings)?;
        identities.extend(password::configured(self.settings));
        Ok(self.with_all(identities))
    }

    /// The store to find out which secrets can be read, asking nothing; and whether every key that may
    /// fit is in use. `None` if each key takes a question.
    pub(crate) fn prober(&self) -> Option<(Store, bool)> {
        let known = |source: &KeySource<Identity>| source.known_recipients().is_some();
        let identities = identities(self.settings).ok()?;
        let is_complete = identities.iter().all(known)
            && self.store.config().is_some_and(|config| !config.password);
        let known: Vec<_> = identities.into_iter().filter(known).collect();
        (!known.is_empty()).then(|| (self.with_all(known), is_complete))
    }

    /// The store to encrypt.
    pub(crate) fn writer(&self) -> Result<Store, Failure> {
        let identities = match self.store.config() {
            Some(_) => Vec::new(),
            // Written for the keys that read here.
            None => identities(self.settings)?,
        };
        self.encrypting(identities)
    }

    /// The store to encrypt, and to read what is there as far as that takes no passphrase of a key.
    pub(crate) fn updater(&self) -> Result<Store, Failure> {
        self.encrypting(self.unasked()?)
    }

    /// The keys that were named, of which none asks for its passphrase.
    pub(crate) fn unasked(&self) -> Result<Vec<KeySource<Identity>>, Failure> {
        let locked = |path: &Path| {
            let path = path.display();
            Err(KeyError::Unavailable(format!("key file {path} is locked")))
        };
        unlocked(self.settings, locked)
    }

    /// The store to read a secret and remove it, or not, under one lock.
    pub(crate) fn comparer(&self) -> Result<Store, Failure> {
        let mut identities = identities(self.settings)?;
        if let Some(password) = password::configured(self.settings) {
            identities.push(password);
        } else if self.has_password() {
            identities.push(password::prompted());
        }
        Ok(self.with_all(identities))
    }

    /// With the password that the store is encrypted with too, if it is.
    fn encrypting(&self, mut identities: Vec<KeySource<Identity>>) -> Result<Store, Failure> {
        if let Some(password) = password::configured(self.settings) {
            if self.store.config().is_none_or(|config| config.password) {
                self.is_known(&password)?;
            }
            identities.push(password);
        } else if self.has_password() {
            identities.push(self.ask_password()?);
        }
        Ok(self.with_all(identities))
    }

    /// Whether the store says that its secrets are encrypted with a password.
    pub(crate) fn has_password(&self) -> bool {
        self.store.config().is_some_and(|config| config.password)
    }

    fn with_all(&self, identities: Vec<KeySource<Identity>>) -> Store {
        let with = |store: Store, source| store.with_identity(source);
        identities.into_iter().fold(self.store.clone(), with)
    }

    /// Asks for the password that new secrets are encrypted with, again while it is wrong.
    fn ask_password(&self) -> Result<KeySource<Identity>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let password = password::ask("password of the store: ")?;
            match self.is_known(&password.clone().into()) {
                Ok(true) => return Ok(password.into()),
                Ok(false) => {}
                Err(failure) if failure.exit_code() == Code::NoKeyFits && tries < 3 => {
                    say("posixage: wrong password");
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            // The first secret: nothing to compare with but the password itself.
            if password::ask("repeat: ")? != password {
                return Err(Failure::new("the two answers differ"));
            }
            return Ok(password.into());
        }
    }

    /// Whether a secret is encrypted with this password; not if none is with any. It must not be
    /// another than that of the existing secrets: a typo would lose the new one, unnoticed until it
    /// is needed.
    fn is_known(&self, password: &KeySource<Identity>) -> Result<bool, Failure> {
        let store = self.with(password.clone());
        // One after the other: each that is decrypted takes a second.
        for Entry { id, .. } in store.list(&Pattern::all())? {
            let attempts = match store.get(&id) {
                Ok(_) => return Ok(true),
                Err(Error::NoKeyFits { attempts, .. }) => attempts,
                Err(error @ Error::Lock(_)) => return Err(error.into()),
                Err(_) => continue,
            };
            match attempts.into_iter().next().map(|attempt| attempt.reason) {
                Some(Misfit::WrongPassword) => {
                    return Err(Failure::new("wrong password")
                        .code(Code::NoKeyFits)
                        .hint(format_args!("{id} is encrypted with another")));
                }
                Some(Misfit::Unavailable(error)) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(false)
    }
}

/// What [`make_store`] made.
pub(crate) struct Made {
    /// Whether the default identity is new.
    pub(crate) new_identity: bool,
    /// Whether the default identity is the store's key.
    pub(crate) default_identity: bool,
    pub(crate) store: Store,
}

impl Made {
    /// Says what was done unasked.
    fn announce(&self, settings: &Settings) {
        settings.note(format_args!(
            "made a store at {}",
            self.store.path().display()
        ));
        if let (true, Some(path)) = (self.new_identity, &settings.default_identity) {
            let path = path.display();
            settings.note(format_args!(
                "made its key at {path}; without it nothing can be read: keep a copy"
            ));
        }
    }
}

/// Makes the store, encrypted to `recipients` and to the keys that are named; with none at all, to
/// the default identity, which is made if need be.
pub(crate) fn make_store(
    settings: &Settings,
    recipients: &[Recipient],
    with_password: bool,
    work_factor: u8,
) -> Result<Made, Failure> {
    let mut new_identity = false;
    let mut default_identity = false;
    let config = || {
        let password = password::configured(settings);
        if let Some(password) = &password {
            // Before there is a store that cannot be written to.
            password.recipients()?;
        }
        let mut config = StoreConfig::new(recipients.to_vec())
            .with_password(with_password || password.is_some())
            .with_work_factor(work_factor);
        // All of them or an error: a store for fewer keys than were named loses secrets.
        for key in &settings.identities {
            let source = key.read(settings, password::ask_passphrase);
            let source = source.map_err(|error| key.failure(error))?;
            config.recipients.extend(source.recipients()?);
        }
        default_identity = config.recipients.is_empty() && !config.password;
        if default_identity {
            let path = settings.default_identity.as_ref().ok_or_else(|| {
                Failure::new(
                    "cannot tell where to keep a key: HOME is not set, and this user has no home",
                )
                .hint("name one: -i FILE")
            })?;
            new_identity = KeyFile::create(path)?;
            for key in keys(settings) {
                let source = key.read(settings, password::ask_passphrase)?;
                config.recipients.extend(source.recipients()?);
            }
        }
        Ok::<_, Failure>(config)
    };
    if let Err(Error::NoStore { path }) = builder(settings)?.open() {
        let mode = fs::metadata(&path).map_or(0, |stat| stat.permissions().mode() & 0o777);
        // A system's own directory, perhaps: not one to shut others out of.
        if mode & 0o077 != 0 && !settings.allow_insecure && is_something_else(settings) {
            return Err(Failure::from(Error::InsecurePermissions { path, mode })
                .hint("a store needs a directory of its own: --store DIR"));
        }
    }
    let store = builder(settings)?.init_with(config)?;
    Ok(Made {
        new_identity,
        default_identity,
        store,
    })
}

/// The keys to decrypt with: those named, else the default identity if there is one.
pub(crate) fn identities(settings: &Settings) -> Result<Vec<KeySource<Identity>>, Failure> {
    unlocked(settings, password::ask_passphrase)
}

/// The same, with what to do about a passphrase-protected key when it is needed.
///
/// A key that cannot be used is passed over beside one that can. It keeps its place, so that an error
/// names it if none fits.
fn unlocked(
    settings: &Settings,
    passphrase: AskPassphrase,
) -> Result<Vec<KeySource<Identity>>, Failure> {
    let mut sources = Vec::new();
    let mut failure = None;
    let mut any = password::configured(settings).is_some();
    for key in keys(settings) {
        sources.push(match key.read(settings, passphrase) {
            Ok(source) => {
                any = true;
                source
            }
            Err(error) => {
                failure.get_or_insert_with(|| key.failure(error.clone()));
                KeySource::unavailable(key.name(), error)
            }
        });
    }
    match failure {
        Some(failure) if !any => Err(failure),
        _ => Ok(sources),
    }
}

fn keys(settings: &Settings) -> Vec<Key> {
    if !settings.identities.is_empty() {
        return settings.identities.clone();
    }
    let default = settings.default_identity.iter();
    let by = "default";
    let key = |path: &PathBuf| {
        Key::File(Named {
            path: path.clone(),
            by,
        })
    };
    // A path that cannot be looked at is read all the same: the error says why it cannot be.
    let is_there = |path: &&PathBuf| path.try_exists().unwrap_or(true);
    default.filter(is_there).map(key).collect()
}

/// Stands for the identity that is missing: where one is needed the error says where it was looked
/// for.
fn no_identity(settings: &Settings, key_type: KeyType) -> KeySource<Identity> {
    let default = settings.default_identity.as_ref();
    let default = default.map_or("HOME is not set".into(), |path| {
        format!("{} is not there", path.display())
    });
    KeySource::callback(key_type, "identity", move || {
        Err(KeyError::Unavailable(format!(
            "none named by -i, POSIXAGE_IDENTITY, POSIXAGE_IDENTITY_KEY, $CREDENTIALS_DIRECTORY or \
             config.toml, and {default}"
        )))
    })
}

fn builder(settings: &Settings) -> Result<StoreBuilder, Failure> {
    let quiet = settings.quiet;
    let builder = Store::builder(&settings.place()?.path)
        .lock_wait(settings.lock_wait)
        .max_work_factor(settings.max_work_factor)
        .allow_insecure_permissions(settings.allow_insecure)
        .on_wait(move |status| {
            if !quiet {
                say(format_args!("posixage: waiting for the lock: {status}"));
            }
        });
    Ok(builder)
}

fn open(settings: &Settings, builder: StoreBuilder) -> Result<Store, Failure> {
    builder.open().map_err(|error| match error {
        Error::NoStore { .. } if is_something_else(settings) => Failure::from(error)
            .hint("name the store's own directory: --store DIR or POSIXAGE_STORE"),
        Error::NoStore { ref path } if settings.place().is_ok_and(|place| place.named) => {
            let path = path.to_string_lossy();
            let path = shlex::try_quote(&path).unwrap_or_default();
            let hint = format!("make one: posixage --store {path} init");
            Failure::from(error).hint(hint)
        }
        Error::NoStore { .. } => Failure::from(error).hint("make one: posixage init"),
        error => error.into(),
    })
}

/// Whether there is a directory with something in it; asked where it is no store.
fn is_something_else(settings: &Settings) -> bool {
    let entries = settings.place().map(|place| fs::read_dir(&place.path));
    entries.is_ok_and(|entries| entries.is_ok_and(|mut entries| entries.next().is_some()))
}
