//! Opening the store with the keys of this run.

use std::path::{Path, PathBuf};

use posixage::{
    Entry, Error, Identity, KeyError, KeyFile, KeySource, KeyType, Pattern, Recipient, Store,
    StoreBuilder, StoreConfig, secrecy::SecretString,
};

use crate::{
    failure::{Code, Failure},
    io::{output::say, password},
    settings::Settings,
};

/// Opens the store for what needs no key: names, metadata, removal, the lock.
pub(crate) fn open_keyless(settings: &Settings) -> Result<Store, Failure> {
    open(settings, builder(settings))
}

/// Opens the store to decrypt with one key.
pub(crate) fn open_with(settings: &Settings, key: KeySource<Identity>) -> Result<Store, Failure> {
    open(settings, builder(settings).identity(key))
}

/// Opens the store to decrypt: every key named is tried, a password last.
pub(crate) fn open_to_read(settings: &Settings) -> Result<Store, Failure> {
    let mut builder = builder(settings);
    let identities = identities(settings)?;
    if identities.is_empty() {
        for key_type in [KeyType::Age, KeyType::Ssh] {
            builder = builder.identity(no_identity(settings, key_type));
        }
    }
    for source in identities {
        builder = builder.identity(source);
    }
    let password = password::configured(settings);
    let password = password.unwrap_or_else(password::prompted);
    open(settings, builder.identity(password))
}

/// Opens the store to check it, unsafe permissions included.
pub(crate) fn open_to_verify(settings: &Settings, decrypt: bool) -> Result<Store, Failure> {
    let mut builder = builder(settings).allow_insecure_permissions(true);
    if decrypt {
        for source in identities(settings)? {
            builder = builder.identity(source);
        }
        if let Some(password) = password::configured(settings) {
            builder = builder.identity(password);
        }
    }
    open(settings, builder)
}

/// Opens the store to encrypt. One at the default place is made if there is none, since nobody can
/// mean another.
pub(crate) fn open_to_write(settings: &Settings) -> Result<Store, Failure> {
    make_if_missing(settings)?;
    let identities = match open_keyless(settings)?.config() {
        Some(_) => Vec::new(),
        // Written for whoever reads here.
        None => identities(settings)?,
    };
    open_to_encrypt(settings, identities)
}

/// Opens the store to encrypt, and to read what is there as far as nobody needs to be asked for the
/// passphrase of a key. Makes one as [`open_to_write`] does.
pub(crate) fn open_to_update(settings: &Settings) -> Result<Store, Failure> {
    make_if_missing(settings)?;
    let locked = |path: &Path| {
        let path = path.display();
        Err(KeyError::Unavailable(format!("key file {path} is locked")))
    };
    open_to_encrypt(settings, unlocked(settings, locked)?)
}

/// Opens the store to read a secret and remove it, or not, under one lock.
pub(crate) fn open_to_compare(settings: &Settings) -> Result<Store, Failure> {
    let mut builder = builder(settings);
    for source in identities(settings)? {
        builder = builder.identity(source);
    }
    let config = open_keyless(settings)?.config().cloned();
    if let Some(password) = password::configured(settings) {
        builder = builder.identity(password);
    } else if config.is_some_and(|config| config.password) {
        builder = builder.identity(password::prompted());
    }
    open(settings, builder)
}

/// Whether there is a store to look into. Where somebody named one it has to be there; opening it
/// tells.
pub(crate) fn is_there(settings: &Settings) -> Result<bool, Failure> {
    Ok(settings.store.named || is_made(settings)?)
}

fn make_if_missing(settings: &Settings) -> Result<(), Failure> {
    if is_there(settings)? {
        return Ok(());
    }
    match make_store(settings, &[], false, posixage::DEFAULT_WORK_FACTOR) {
        Ok(made) => made.announce(settings),
        // Somebody else was faster, and made the same.
        Err(failure) if failure.exit_code() == Code::AlreadyExists => {}
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// With the password that the store is encrypted with too, if it is.
fn open_to_encrypt(
    settings: &Settings,
    identities: Vec<KeySource<Identity>>,
) -> Result<Store, Failure> {
    let config = open_keyless(settings)?.config().cloned();
    let mut builder = builder(settings);
    for source in identities {
        builder = builder.identity(source);
    }
    if let Some(password) = password::configured(settings) {
        builder = builder.identity(password);
    } else if config.is_some_and(|config| config.password) {
        builder = builder.identity(ask_password(settings)?);
    }
    open(settings, builder)
}

/// Asks for the password that new secrets are encrypted with. It must be that of the secrets that are
/// there: with a slip of the finger one would be lost, and nobody would notice before it is needed.
fn ask_password(settings: &Settings) -> Result<KeySource<Identity>, Failure> {
    let password = password::ask("password of the store: ")?;
    let store = open_with(settings, password.clone().into())?;
    // One after the other: each that is decrypted takes a second.
    for Entry { id, .. } in store.list(&Pattern::all())? {
        match store.get(&id) {
            Ok(_) => return Ok(password.into()),
            Err(Error::NoKeyFits { has, .. }) if has.contains(&KeyType::Password) => {
                return Err(Failure::new("wrong password")
                    .code(Code::NoKeyFits)
                    .hint(format_args!("{id} is encrypted with another")));
            }
            Err(error @ Error::Lock(_)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    // The first secret: nothing to compare with but the password itself.
    if password::ask("the same again: ")? != password {
        return Err(Failure::new("the two answers differ"));
    }
    Ok(password.into())
}

/// Whether there is a store; an empty directory is one whose making was interrupted.
fn is_made(settings: &Settings) -> Result<bool, Failure> {
    match builder(settings).open() {
        Ok(store) => Ok(store.config().is_some() || store.count()? > 0),
        Err(Error::NoStore { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What [`make_store`] made.
pub(crate) struct Made {
    /// Whether the default identity is new.
    pub(crate) new_identity: bool,
    /// Whether the default identity is the store's key.
    pub(crate) default_identity: bool,
    pub(crate) config: StoreConfig,
}

impl Made {
    /// Says what nobody asked for by name.
    fn announce(&self, settings: &Settings) {
        settings.note(format_args!(
            "made a store at {}",
            settings.store.path.display()
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
    // Before a key is made that nobody needs.
    if builder(settings)
        .open()
        .is_ok_and(|store| store.config().is_some())
    {
        let path = settings.store.path.clone();
        return Err(Error::StoreExists { path }.into());
    }
    let password = password::configured(settings);
    if let Some(password) = &password {
        // Before there is a store that nobody can write to.
        password.recipients()?;
    }
    let mut config = StoreConfig::new(recipients.to_vec())
        .with_password(with_password || password.is_some())
        .with_work_factor(work_factor);
    for source in named_identities(settings)? {
        config.recipients.extend(source.recipients()?);
    }
    let mut made = Made {
        new_identity: false,
        default_identity: config.recipients.is_empty() && !config.password,
        config: StoreConfig::new([]),
    };
    if made.default_identity {
        let path = settings.default_identity.as_ref().ok_or_else(|| {
            Failure::new("cannot tell where to keep a key: HOME is not set")
                .hint("name one: -i FILE")
        })?;
        made.new_identity = KeyFile::create(path)?;
        config.recipients = read(settings, path, password::ask_passphrase)?.recipients()?;
    }
    Store::init(&settings.store.path, &config)?;
    made.config = config;
    Ok(made)
}

/// The keys to decrypt with: those named, else the default identity if it is there.
pub(crate) fn identities(settings: &Settings) -> Result<Vec<KeySource<Identity>>, Failure> {
    unlocked(settings, password::ask_passphrase)
}

/// The same, with what to do about a key behind a passphrase when it is needed.
fn unlocked(
    settings: &Settings,
    passphrase: AskPassphrase,
) -> Result<Vec<KeySource<Identity>>, Failure> {
    let default = settings.default_identity.iter();
    let paths: Vec<&PathBuf> = match settings.identities.is_empty() {
        true => default.filter(|path| path.exists()).collect(),
        false => settings.identities.iter().collect(),
    };
    let read = |path: &PathBuf| read(settings, path, passphrase);
    paths.into_iter().map(read).collect()
}

/// Stands for the identity that nobody has: where one is needed the error says where it was looked
/// for.
fn no_identity(settings: &Settings, key_type: KeyType) -> KeySource<Identity> {
    let default = settings.default_identity.as_ref();
    let default = default.map_or("HOME is not set".into(), |path| {
        format!("{} is not there", path.display())
    });
    KeySource::callback(key_type, "identity", move || {
        Err(KeyError::Unavailable(format!(
            "none named by -i, POSIXAGE_IDENTITY, $CREDENTIALS_DIRECTORY or config.toml, and {default}"
        )))
    })
}

fn named_identities(settings: &Settings) -> Result<Vec<KeySource<Identity>>, Failure> {
    settings
        .identities
        .iter()
        .map(|path| read(settings, path, password::ask_passphrase))
        .collect()
}

type AskPassphrase = fn(&Path) -> Result<SecretString, KeyError>;

fn read(
    settings: &Settings,
    path: &Path,
    passphrase: AskPassphrase,
) -> Result<KeySource<Identity>, Failure> {
    Ok(KeyFile::new(path)
        .allow_insecure_permissions(settings.allows_insecure(path))
        .passphrase(passphrase)
        .identities()?)
}

fn builder(settings: &Settings) -> StoreBuilder {
    let quiet = settings.quiet;
    Store::builder(&settings.store.path)
        .lock_wait(settings.lock_wait)
        .allow_insecure_permissions(settings.allow_insecure)
        .on_wait(move |status| {
            if !quiet {
                say(format_args!("posixage: waiting for the lock: {status}"));
            }
        })
}

fn open(settings: &Settings, builder: StoreBuilder) -> Result<Store, Failure> {
    builder.open().map_err(|error| match error {
        Error::NoStore { .. } if settings.store.named => {
            let path = settings.store.path.to_string_lossy();
            let path = shlex::try_quote(&path).unwrap_or_default();
            Failure::from(error).hint(format_args!("make one: posixage --store {path} init"))
        }
        Error::NoStore { .. } => Failure::from(error).hint("make one: posixage init"),
        error => error.into(),
    })
}
