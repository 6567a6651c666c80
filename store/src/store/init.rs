//! Making a store: the directory, and `.posixage.toml` in it.

use std::path::{Path, PathBuf};

use crate::{
    commit::{rename::rename_new, stage::Stage},
    disk::{
        config::StoreConfig,
        layout::{CONFIG, Name},
        root::Root,
    },
    error::Error,
    keys::private_file,
    store::{Store, builder::StoreBuilder},
    syscall::fsync,
};

impl StoreBuilder {
    /// Makes a store and opens it: the directory (0700) if it is missing, its parents if need be, and
    /// `.posixage.toml` in it, which names its recipients.
    ///
    /// An existing directory must be ours alone. One that holds secrets already, such as a store by
    /// the reference, keeps them. Of two processes that make the same store one succeeds; when this
    /// returns `Ok`, the store survives a power cut. It waits for the lock as the store would. A
    /// failure removes the directories that this call has made, unless another process uses them.
    ///
    /// # Errors
    /// [`Error::StoreExists`] if there is a `.posixage.toml`; [`Error::Config`] for a work factor out
    /// of range; [`Error::InsecurePermissions`], [`Error::ForeignOwner`], and those of the lock and of
    /// writing.
    pub fn init(self, config: &StoreConfig) -> Result<Store, Error> {
        // A config that cannot be written is refused before anything is made.
        toml_of(config, &self.path)?;
        self.init_with(|| Ok(config.clone()))
    }

    /// Does the same with the config that `config` returns. It is asked once the directory is known
    /// to be fit for a store and writable, and not under the lock: the place to make a key that would
    /// be of no use without a store.
    ///
    /// # Errors
    /// Those of [`init`](Self::init), and those of `config`.
    pub fn init_with<E: From<Error>>(
        self,
        config: impl FnOnce() -> Result<StoreConfig, E>,
    ) -> Result<Store, E> {
        self.check()?;
        let made = self.make_directories()?;
        let store = self.unmade().map_err(E::from);
        let store = store.and_then(|store| make(store, config));
        if store.is_err() {
            private_file::remove_dirs(&made);
        }
        store
    }

    /// The store in its directory, if it has no config yet.
    fn unmade(self) -> Result<Store, Error> {
        let root = self.root()?;
        root.check_writable()?;
        if has_config(&root)? {
            return Err(Error::StoreExists { path: root.path });
        }
        Store::assemble(root, self)
    }

    /// Opens the store; if there is none, makes it first.
    pub(super) fn open_or_make(self, config: StoreConfig) -> Result<Store, Error> {
        let (made, root) = match self.root() {
            Ok(root) => (Vec::new(), root),
            Err(Error::NoStore { .. }) => {
                toml_of(&config, &self.path)?;
                (self.make_directories()?, self.root()?)
            }
            Err(error) => return Err(error),
        };
        if is_made(&root)? {
            return Store::assemble(root, self);
        }
        let store = Store::assemble(root, self)?;
        match make(store.clone(), || Ok(config)) {
            // Another process was faster.
            Err(Error::StoreExists { .. }) => store.read_config(),
            Err(error) => {
                private_file::remove_dirs(&made);
                Err(error)
            }
            made => made,
        }
    }

    fn make_directories(&self) -> Result<Vec<PathBuf>, Error> {
        match self.directory {
            Some(_) => Ok(Vec::new()),
            None => private_file::create_dirs(&self.path)
                .map_err(|e| Error::io("make directory", &self.path, e)),
        }
    }
}

/// Gives a store that has none its config.
fn make<E: From<Error>>(
    store: Store,
    config: impl FnOnce() -> Result<StoreConfig, E>,
) -> Result<Store, E> {
    let root = &store.inner.root;
    root.check_writable()?;
    let mut stage = Stage::new(root)?;
    let config = config()?;
    let toml = toml_of(&config, &root.path)?;
    publish(&store, &mut stage, &toml)?;
    drop(stage);
    Ok(store.read_config()?)
}

fn publish(store: &Store, stage: &mut Stage<'_>, toml: &str) -> Result<(), Error> {
    let root = &store.inner.root;
    stage.write(CONFIG, toml.as_bytes())?;
    stage.sync()?;
    let exclusive = store.exclusive()?;
    let staged = format!("{}/{CONFIG}", stage.name());
    let made = rename_new(root, &exclusive, &staged, CONFIG);
    if !made.map_err(|refused| refused.io(root, "publish", root.path_of(CONFIG)))? {
        let path = root.path.clone();
        return Err(Error::StoreExists { path });
    }
    fsync(&root.dir).map_err(|e| Error::io("fsync", &root.path, e))
}

fn toml_of(config: &StoreConfig, path: &Path) -> Result<String, Error> {
    config.to_toml().map_err(|reason| Error::Config {
        path: path.join(CONFIG),
        reason,
    })
}

/// Whether there is a store, one by the reference included; an empty directory is one whose making
/// was interrupted.
fn is_made(root: &Root) -> Result<bool, Error> {
    Ok(has_config(root)? || !root.names(|name| Name::parse(name).secret())?.is_empty())
}

fn has_config(root: &Root) -> Result<bool, Error> {
    let stat = |e| Error::io("stat", root.path_of(CONFIG), e);
    root.contains(CONFIG).map_err(stat)
}
