//! A store in memory, made once and used for one input after another.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use posixage::{Id, Identity, Secret, Store, StoreConfig, lock::Wait};

pub(super) struct Place {
    /// Everything that belongs to it.
    pub(super) dir: tempfile::TempDir,
    pub(super) root: PathBuf,
    pub(super) identity: Identity,
}

impl Place {
    pub(super) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = tempfile::Builder::new()
            .prefix("posixage-test.")
            .tempdir_in(
                // Inputs come by the thousand, each with its fsyncs.
                if memory.is_dir() {
                    memory
                } else {
                    Path::new("/tmp")
                },
            );
        let dir = dir.expect("a temporary directory");
        let root = dir.path().join("store");
        let identity = Identity::generate();
        let recipient = identity.to_recipient().expect("its public half");
        Store::init(&root, &StoreConfig::new([recipient])).expect("make a store");
        Self {
            dir,
            root,
            identity,
        }
    }

    pub(super) fn store(&self) -> Store {
        let builder = Store::builder(&self.root).identity(self.identity.clone());
        builder.lock_wait(Wait::Try).open().expect("the store")
    }

    /// The ciphertext of a value for this place's identity.
    pub(super) fn seal(&self, value: &str) -> Vec<u8> {
        let (store, id) = (self.store(), id("sealed"));
        store.set(&id, &Secret::new(value)).expect("set");
        let file = self.root.join(id.directory_name()).join("secretage");
        let sealed = fs::read(file).expect("the ciphertext");
        store.remove(&id).expect("remove");
        sealed
    }
}

pub(super) fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

pub(super) fn make_dir(path: &Path, mode: u32) {
    let made = fs::DirBuilder::new().mode(mode).create(path);
    made.expect("make a directory");
}

pub(super) fn write(path: &Path, mode: u32, content: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode);
    let mut file = file.open(path).expect("make a file");
    file.write_all(content).expect("write a file");
}
