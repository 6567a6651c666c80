//! The programs that are killed: one write each, or an endless row of them.

use std::env;

use posixage::{Change, Id, Store};

use crate::{
    Program, Sandbox,
    marked::{self, Mark},
    subject::{State, Subject},
};

/// What a write of the library may fail with.
pub type WriteError = Box<dyn std::error::Error + Send + Sync>;

/// `operate` with these steps, on the sandbox's store.
pub fn operate<A: AsRef<str>>(sandbox: &Sandbox, steps: impl IntoIterator<Item = A>) -> Program {
    // TARGET/PROFILE/deps/TEST; cargo builds the package's programs before its tests.
    let test = env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("a profile's directory");
    let steps = steps.into_iter().map(|step| step.as_ref().to_owned());
    sandbox
        .program(profile.join("operate"))
        .arg(sandbox.store())
        .arg(sandbox.identity())
        .args(steps)
}

/// One write to the subject's id; the mark is given when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Of a secret that is not there yet, by `posixage set`.
    Create,
    /// Of one that is, by `posixage set --force`.
    Overwrite,
    /// By `posixage rm`.
    Delete,
    /// A read-modify-write, by the library.
    Update,
    /// Of it and of one before and one behind it, by the library's `set_many`.
    Many,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Overwrite,
        Self::Delete,
        Self::Update,
        Self::Many,
    ];

    /// What the id holds before.
    #[must_use]
    pub fn before(self, mark: Mark) -> State {
        match self {
            Self::Create => None,
            Self::Overwrite | Self::Delete | Self::Update | Self::Many => Some(mark - 1),
        }
    }

    /// What it holds after the write `mark` succeeded.
    #[must_use]
    pub fn after(self, mark: Mark) -> State {
        match self {
            Self::Delete => None,
            Self::Create | Self::Overwrite | Self::Update | Self::Many => Some(mark),
        }
    }

    /// Its name as a step of `operate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Overwrite => "set",
            Self::Delete => "remove",
            Self::Update => "update",
            Self::Many => "many",
        }
    }

    /// Makes the write by the library. What an update found; `None` of any other.
    ///
    /// # Errors
    /// The library's, or what an update found is not what one write wrote.
    pub fn apply(self, store: &Store, id: &Id, mark: Mark) -> Result<State, WriteError> {
        let secret = marked::secret(id, mark);
        let mut found = None;
        match self {
            Self::Create => store.create(id, &secret)?,
            Self::Overwrite => store.set(id, &secret)?,
            Self::Delete => store.remove(id)?,
            Self::Update => store.update(id, |current| -> Result<_, WriteError> {
                found = current.map(|old| marked::mark_of(id, old)).transpose()?;
                Ok(Change::Set(secret))
            })?,
            Self::Many => {
                let [first, last] = marked::beside(id);
                set_many(store, [first, id.clone(), last], mark)?;
            }
        }
        Ok(found)
    }

    /// The program that makes the write.
    pub fn program(self, subject: &Subject, mark: Mark) -> Program {
        let id = subject.id();
        let posixage = |args: &[&str]| subject.sandbox().posixage(args).arg(id.as_str());
        let set = |args: &[&str]| {
            posixage(args)
                .args(["--metadata", &marked::metadata_argument(mark)])
                .input(marked::value(id, mark))
        };
        match self {
            Self::Create => set(&["set", "--raw"]),
            Self::Overwrite => set(&["set", "--raw", "--force"]),
            Self::Delete => posixage(&["rm"]),
            Self::Update | Self::Many => subject.operate([format!("{}:{id}:{mark}", self.name())]),
        }
    }
}

/// Writes these ids by one `set_many`.
///
/// # Errors
/// The library's.
pub fn set_many(
    store: &Store,
    ids: impl IntoIterator<Item = Id>,
    mark: Mark,
) -> Result<(), WriteError> {
    let secrets = ids.into_iter().map(|id| {
        let secret = marked::secret(&id, mark);
        (id, secret)
    });
    Ok(store.set_many(secrets.collect::<Vec<_>>())?)
}
