//! A store to which something bad is done, and what must hold afterwards.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use posixage::{
    Error, Id, Identity, Store, StoreConfig, VerifyOptions, lock::Wait, secrecy::ExposeSecret,
};

use crate::{
    Program, Sandbox,
    marked::{self, Mark},
    operation::operate,
    tree::Snapshot,
};

/// What one id may be found to hold: the secret of one write, or none.
pub type State = Option<Mark>;

/// A store with two secrets that stay untouched and one, [`Subject::id`], that is written.
pub struct Subject {
    sandbox: Sandbox,
    identity: Identity,
    id: Id,
    neighbours: Vec<(Id, Snapshot)>,
}

/// Marks of writes that are not under test.
const OTHER: Mark = 7;

impl Default for Subject {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject {
    /// In a new sandbox.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self::in_sandbox(Sandbox::new())
    }

    /// In this sandbox, where there is none yet.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn in_sandbox(sandbox: Sandbox) -> Self {
        let identity = Identity::generate();
        let key = identity.to_age_secret_key().expect("an age identity");
        sandbox.file("home/.config/posixage/identity.txt", key.expose_secret());
        let config = StoreConfig::new([identity.to_recipient().expect("a recipient")]);
        Store::init(sandbox.store(), &config).expect("make a store");
        Self::with(sandbox, identity)
    }

    /// The store that is in the sandbox, with the identity that is.
    fn with(sandbox: Sandbox, identity: Identity) -> Self {
        let mut subject = Self {
            sandbox,
            identity,
            id: "some/secret".parse().expect("an id"),
            neighbours: Vec::new(),
        };
        let store = subject.open();
        for name in ["some/neighbour", "some"] {
            let id: Id = name.parse().expect("an id");
            store.set(&id, &marked::secret(&id, OTHER)).expect("set");
            let snapshot = Snapshot::of(&subject.store().join(id.directory_name()));
            subject.neighbours.push((id, snapshot));
        }
        subject
    }

    /// The id under test.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Its home.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The store's root.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.sandbox.store()
    }

    /// A new handle, which waits for no lock: no process that might hold one is alive.
    #[must_use]
    pub fn open(&self) -> Store {
        open(&self.store(), &self.identity)
    }

    /// Takes the lock from its holder: puts a new file at its path.
    ///
    /// # Panics
    /// There is no lock file.
    pub fn take_the_lock(&self) {
        let lock = self.store().join(".posixage.lock");
        fs::remove_file(&lock).expect("remove the lock file");
        let mut another = fs::OpenOptions::new();
        let another = another.write(true).create_new(true).mode(0o600).open(lock);
        another.expect("another lock file");
    }

    /// `operate` on this store; see there.
    pub fn operate<A: AsRef<str>>(&self, steps: impl IntoIterator<Item = A>) -> Program {
        operate(&self.sandbox, steps)
    }

    /// Makes the id hold this.
    pub fn put(&self, state: State) {
        put(&self.open(), &self.id, state);
    }

    /// What the id holds.
    ///
    /// # Errors
    /// It cannot be read, or is not what one write wrote.
    pub fn read(&self) -> Result<State, String> {
        read(&self.open(), &self.id)
    }

    /// What the ids hold that are written with [`Subject::id`] where many are.
    ///
    /// # Errors
    /// One cannot be read, or is not what one write wrote.
    pub fn beside(&self) -> Result<[State; 2], String> {
        let store = self.open();
        let [first, last] = marked::beside(&self.id);
        Ok([read(&store, &first)?, read(&store, &last)?])
    }

    /// Asserts all that must hold after a death at any moment, of a process that may have left the
    /// id with any of `allowed`; returns which it was.
    ///
    /// # Errors
    /// What was lost.
    pub fn survives(&self, allowed: &[State]) -> Result<State, String> {
        let found = self.survives_at(&self.store(), allowed)?;
        for (id, snapshot) in &self.neighbours {
            if Snapshot::of(&self.store().join(id.directory_name())) != *snapshot {
                return Err(format!("{id} was touched"));
            }
        }
        Ok(found)
    }

    /// The same for a copy of the store.
    ///
    /// # Errors
    /// What was lost.
    pub fn survives_at(&self, root: &Path, allowed: &[State]) -> Result<State, String> {
        let read = |id| read(&open(root, &self.identity), id);
        let found = read(&self.id)?;
        if !allowed.contains(&found) {
            return Err(format!("found {found:?}, not one of {allowed:?}"));
        }
        // The next write, of another id, waits for no lock, and leaves nothing that is temporary.
        next_write(&open(root, &self.identity))?;
        let left = leftovers(root);
        if !left.is_empty() {
            return Err(format!("left after the next write: {left:?}"));
        }
        let later = read(&self.id)?;
        if later != found {
            return Err(format!(
                "found {found:?}, and {later:?} after the next write"
            ));
        }
        for (id, _) in &self.neighbours {
            let found = read(id)?;
            if found != Some(OTHER) {
                return Err(format!("found {found:?} in {id}"));
            }
        }
        let mut findings = Vec::new();
        let verified = open(root, &self.identity)
            .verify(VerifyOptions::new().with_decrypt(true), |finding| {
                findings.push(format!("{finding:?}"))
            });
        verified.map_err(|e| format!("verify: {e}"))?;
        match findings.is_empty() {
            true => Ok(found),
            false => Err(format!("verify: {findings:?}")),
        }
    }
}

fn open(store: &Path, identity: &Identity) -> Store {
    let builder = Store::builder(store).identity(identity.clone());
    builder.lock_wait(Wait::Try).open().expect("open the store")
}

/// Makes `id` hold this.
///
/// # Panics
/// It cannot be written.
pub fn put(store: &Store, id: &Id, state: State) {
    match state {
        Some(mark) => store.set(id, &marked::secret(id, mark)).expect("set"),
        None => match store.remove(id) {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => panic!("remove: {error}"),
        },
    }
}

/// What `id` holds.
///
/// # Errors
/// It cannot be read, or is not what one write wrote.
pub fn read(store: &Store, id: &Id) -> Result<State, String> {
    match store.get(id) {
        Ok(secret) => marked::mark_of(id, &secret).map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A write to an id that is not under test.
///
/// # Errors
/// It fails.
pub fn next_write(store: &Store) -> Result<(), String> {
    let id: Id = "next/write".parse().expect("an id");
    let written = store.set(&id, &marked::secret(&id, OTHER));
    written.map_err(|e| format!("the next write: {e}"))
}

/// What is ours and temporary in a root: what a commit leaves behind when it dies.
///
/// # Panics
/// The root cannot be listed.
#[must_use]
pub fn leftovers(root: &Path) -> Vec<PathBuf> {
    let known: HashSet<&str> = [".posixage.lock", ".posixage.toml", ".posixage.old"].into();
    let names = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("list the store");
        entries.map(|e| e.expect("an entry").path()).collect()
    };
    let mut left = names(root);
    left.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') && !known.contains(&*name)
    });
    // An empty directory is kept for the next commit.
    let old = root.join(".posixage.old");
    if old.is_dir() {
        left.extend(names(&old));
    }
    left
}
