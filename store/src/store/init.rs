//! Making a store.

use std::path::Path;

use posixage_lock::{LockFile, Wait};

use crate::{
    commit::{rename::rename_new, stage::Stage},
    disk::{config::StoreConfig, held::Exclusive, layout::CONFIG, root::Root},
    error::Error,
    keys::private_file,
    syscall::fsync,
};

pub(super) fn init(path: &Path, config: &StoreConfig) -> Result<(), Error> {
    let toml = config.to_toml().map_err(|reason| Error::Config {
        path: path.join(CONFIG),
        reason,
    })?;
    make_root(path)?;
    let root = Root::open(path, false)?;
    root.check_writable()?;
    let is_made = root.contains(CONFIG);
    if is_made.map_err(|e| Error::io("stat", root.path_of(CONFIG), e))? {
        return Err(Error::StoreExists { path: path.into() });
    }
    let dir = root
        .dir
        .try_clone()
        .map_err(|e| Error::io("open store", path, e))?;
    let lock = LockFile::in_directory(dir, path);

    let mut stage = Stage::new(&root)?;
    stage.write(CONFIG, toml.as_bytes())?;
    stage.sync()?;
    let exclusive = Exclusive::acquire(&lock, Wait::default())?;
    let staged = format!("{}/{CONFIG}", stage.name());
    let made = rename_new(&root, &exclusive, &staged, CONFIG);
    if !made.map_err(|refused| refused.io("publish", root.path_of(CONFIG)))? {
        return Err(Error::StoreExists { path: path.into() });
    }
    fsync(&root.dir).map_err(|e| Error::io("fsync", path, e))
}

fn make_root(path: &Path) -> Result<(), Error> {
    private_file::create_dirs(path).map_err(|e| Error::io("make directory", path, e))
}
