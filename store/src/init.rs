//! Making a store.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use posixage_lock::{LockFile, Mode, Wait};

use crate::{
    config::{CONFIG_FILE, Config},
    error::Error,
    rename::rename_new,
    root::Root,
    stage::Stage,
    store::Store,
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
    pub fn init(path: &Path, config: &Config) -> Result<(), Error> {
        let toml = config.to_toml().map_err(|reason| Error::Config {
            path: path.join(CONFIG_FILE),
            reason,
        })?;
        make_root(path)?;
        let root = Root::open(path, false)?;
        root.check_writable()?;
        let dir = root
            .dir
            .try_clone()
            .map_err(|e| Error::io("open store", path, e))?;
        let lock = LockFile::in_directory(dir, path);

        let stage = Stage::new(&root)?;
        stage.write(CONFIG_FILE, toml.as_bytes())?;
        stage.sync()?;
        let exclusive = lock.acquire(Mode::Exclusive, Wait::default())?;
        exclusive.verify()?;
        let staged = format!("{}/{CONFIG_FILE}", stage.name());
        let fails = |e: rustix::io::Errno| Error::io("publish", root.path_of(CONFIG_FILE), e);
        if !rename_new(&root, &staged, CONFIG_FILE).map_err(fails)? {
            return Err(Error::StoreExists { path: path.into() });
        }
        rustix::fs::fsync(&root.dir).map_err(|e| Error::io("fsync", path, e))
    }
}

fn make_root(path: &Path) -> Result<(), Error> {
    let fails = |e| Error::io("make directory", path, e);
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(fails)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(e) => return Err(fails(e)),
    }
    // Whatever the umask took away, or an inherited ACL added.
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fails)?;
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(fails)
}
