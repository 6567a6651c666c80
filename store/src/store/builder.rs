//! Opening a store.

use std::{os::fd::OwnedFd, path::PathBuf};

use posixage_lock::{Status, Takeover, Wait};

use crate::{
    disk::{
        config::{StoreConfig, check_work_factor},
        layout,
        root::Root,
    },
    error::Error,
    keys::{Identity, KeySource, MAX_WORK_FACTOR, Recipient},
    store::{Store, keyring::Keyring},
};

/// How to open a [`Store`]; from [`Store::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use posixage::{KeyFile, Store, lock::Wait};
///
/// let store = Store::builder("/var/lib/tool/secrets")
///     .identity(KeyFile::new("/etc/tool/identity.txt").identities()?)
///     .lock_wait(Wait::For(Duration::from_secs(5)))
///     .on_wait(|status| eprintln!("tool: waiting for the secrets: {status}"))
///     .open()?;
/// # Ok::<(), posixage::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is opened before `open` is called"]
pub struct StoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) directory: Option<OwnedFd>,
    pub(crate) keys: Keyring,
    missing: Option<StoreConfig>,
    pub(crate) work_factor: Option<u8>,
    pub(crate) wait: Wait,
    pub(crate) on_wait: Option<Notice>,
    pub(crate) takeover: Takeover,
    pub(crate) allow_insecure: bool,
}

pub(crate) struct Notice(pub(crate) Box<dyn Fn(&Status) + Send + Sync>);

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notice(..)")
    }
}

impl StoreBuilder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            directory: None,
            keys: Keyring::default(),
            missing: None,
            work_factor: None,
            wait: Wait::default(),
            on_wait: None,
            takeover: Takeover::default(),
            allow_insecure: false,
        }
    }

    /// Takes this directory as the root instead of looking the path up, which then only says what
    /// messages call the store. For a program that was handed the directory, or has changed its root.
    pub fn directory(mut self, dir: impl Into<OwnedFd>) -> Self {
        self.directory = Some(dir.into());
        self
    }

    /// Adds keys to decrypt with, tried after those added before: an [`Identity`], a
    /// [`Password`](crate::Password), or a [`KeySource`]. With none, secrets can be listed, written
    /// and removed, not read. An open store takes more: [`Store::with_identity`].
    pub fn identity(mut self, source: impl Into<KeySource<Identity>>) -> Self {
        self.keys.identities.push(source.into());
        self
    }

    /// Adds keys to encrypt to, in place of those of the store: a [`Recipient`], a
    /// [`Password`](crate::Password), or a [`KeySource`]. With none, secrets are encrypted to the
    /// recipients in the store's [`StoreConfig`](crate::StoreConfig), or, where there is none, so that every
    /// identity can decrypt. An open store takes more: [`Store::with_recipient`].
    pub fn recipient(mut self, source: impl Into<KeySource<Recipient>>) -> Self {
        self.keys.recipients.push(source.into());
        self
    }

    /// Has [`open`](Self::open) make the store, as [`init`](Self::init) does, where there is none: no
    /// directory, or one with neither a `.posixage.toml` nor a secret in it. Of several processes that
    /// try at the same time one makes it, and all open it.
    pub fn create_if_missing(mut self, config: StoreConfig) -> Self {
        self.missing = Some(config);
        self
    }

    /// The scrypt work factor (log2 of N, 1..=22) of what is encrypted with a password. By default
    /// the store's, or [`DEFAULT_WORK_FACTOR`](crate::DEFAULT_WORK_FACTOR).
    pub fn work_factor(mut self, work_factor: u8) -> Self {
        self.work_factor = Some(work_factor);
        self
    }

    /// The most scrypt work (log2 of N, 1..=22) that is done to try or to use a password, whatever the
    /// store's files ask for: 22 by default, which takes 4 GiB and some ten seconds. Who can write the
    /// store's files decides how much is asked for.
    pub fn max_work_factor(mut self, work_factor: u8) -> Self {
        self.keys.max_work_factor = work_factor.min(MAX_WORK_FACTOR);
        self
    }

    /// How long a call may wait for the store's lock: 30 s by default. For one call:
    /// [`Store::with_lock_wait`].
    pub fn lock_wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Calls `notice` once for each wait for the lock that takes longer than a second, with its holders, from
    /// the thread that waits.
    pub fn on_wait(mut self, notice: impl Fn(&Status) + Send + Sync + 'static) -> Self {
        self.on_wait = Some(Notice(Box::new(notice)));
        self
    }

    /// What to do about a holder whose heartbeat has not moved for 30 s: wait, by default.
    pub fn takeover(mut self, policy: Takeover) -> Self {
        self.takeover = policy;
        self
    }

    /// Takes a store that others can read or write, or that another user owns; refused by default.
    /// For secrets that are mounted into a container.
    pub fn allow_insecure_permissions(mut self, allow: bool) -> Self {
        self.allow_insecure = allow;
        self
    }

    /// Opens the store. Touches no key, and takes no lock unless it makes the store.
    ///
    /// # Errors
    /// [`Error::NoStore`] if there is no directory, or one with neither a `.posixage.toml`, nor a lock
    /// file, nor a secret in it; [`Error::InsecurePermissions`] and
    /// [`Error::ForeignOwner`] of the root; [`Error::Config`] if its `.posixage.toml` cannot be
    /// understood, or a work factor is not in 1..=22; [`Error::Io`]. With
    /// [`create_if_missing`](Self::create_if_missing) also those of [`init`](Self::init).
    pub fn open(mut self) -> Result<Store, Error> {
        self.check()?;
        match self.missing.take() {
            Some(config) => self.open_or_make(config),
            None => Store::assemble(self.root_of_store()?, self),
        }
    }

    /// The root, if it is one: a directory that is no store is not written to, and nothing is said of
    /// its mode or owner, which are as they should be.
    fn root_of_store(&self) -> Result<Root, Error> {
        let no_store = || Error::NoStore {
            path: self.path.clone(),
        };
        match self.root() {
            Ok(root) if !root.has_marks()? => Err(no_store()),
            Err(Error::InsecurePermissions { .. } | Error::ForeignOwner { .. })
                if self.directory.is_none() && !layout::has_marks(&self.path) =>
            {
                Err(no_store())
            }
            root => root,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(work_factor) = self.work_factor else {
            return Ok(());
        };
        check_work_factor(work_factor).map_err(|reason| Error::Config {
            path: self.path.clone(),
            reason,
        })
    }

    pub(super) fn root(&self) -> Result<Root, Error> {
        Root::open(&self.path, self.directory.as_ref(), self.allow_insecure)
    }
}
