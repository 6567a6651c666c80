//! Making a store.

use std::path::Path;

use posixage_lock::{LockFile, Mode, Wait};

use crate::{
    commit::{rename::rename_new, stage::Stage},
    disk::{
        config::{CONFIG_FILE, StoreConfig},
        root::Root,
    },
    error::Error,
    keys::private_file,
    store::Store,
    syscall::fsync,
};

impl Store {
    /// Makes a store at `path`: the directory (0700) if it is not there, its parents if need be, and
    /// `.posixage.toml` in it, which says who its secrets are encrypted to.
    ///
    /// A directory that is there must be ours alone. One that holds secrets already, such as a store
    /// by the reference, keeps them. Of two processes that make the same store one succeeds; when
    /// this returns `Ok`, the store survives a power cut.
    ///
    /// # Errors
    /// [`Error::StoreExists`] if there is a `.posixage.toml`; [`Error::Config`] for a work factor out
    /// of range; [`Error::InsecurePermissions`], [`Error::ForeignOwner`], and those of the lock and of
    /// writing.
    pub fn init(path: impl AsRef<Path>, config: &StoreConfig) -> Result<(), Error> {
        let path = path.as_ref();
        let toml = config.to_toml().map_err(|reason| Error::Config {
            path: path.join(CONFIG_FILE),
            reason,
        })?;
        make_root(path)?;
        let root = Root::open(path, false)?;
        root.check_writable()?;
        let is_made = root.contains(CONFIG_FILE);
        if is_made.map_err(|e| Error::io("stat", root.path_of(CONFIG_FILE), e))? {
            return Err(Error::StoreExists { path: path.into() });
        }
        let dir = root
            .dir
            .try_clone()
            .map_err(|e| Error::io("open store", path, e))?;
        let lock = LockFile::in_directory(dir, path);

        let mut stage = Stage::new(&root)?;
        stage.write(CONFIG_FILE, toml.as_bytes())?;
        stage.sync()?;
        let exclusive = lock.acquire(Mode::Exclusive, Wait::default())?;
        let staged = format!("{}/{CONFIG_FILE}", stage.name());
        let made = rename_new(&root, &exclusive, &staged, CONFIG_FILE);
        if !made.map_err(|refused| refused.io("publish", root.path_of(CONFIG_FILE)))? {
            return Err(Error::StoreExists { path: path.into() });
        }
        fsync(&root.dir).map_err(|e| Error::io("fsync", path, e))
    }
}

fn make_root(path: &Path) -> Result<(), Error> {
    private_file::create_dirs(path).map_err(|e| Error::io("make directory", path, e))
}
