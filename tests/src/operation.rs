//! The programs that are killed: one write each, or an endless row of them.

use std::{env, path::PathBuf};

use crate::{
    Program, Sandbox,
    marked::{self, Mark},
    subject::{State, Subject},
};

/// A program of this package.
///
/// # Panics
/// Its place cannot be told.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    // TARGET/PROFILE/deps/TEST; cargo builds the package's programs before its tests.
    let test = env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("a profile's directory");
    profile.join(name)
}

/// `operate` with these steps, on the sandbox's store.
pub fn operate<A: AsRef<str>>(sandbox: &Sandbox, steps: impl IntoIterator<Item = A>) -> Program {
    let steps = steps.into_iter().map(|step| step.as_ref().to_owned());
    sandbox
        .program(program("operate"))
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
            Self::Update => subject.operate([format!("update:{id}:{mark}")]),
            Self::Many => subject.operate([format!("many:{id}:{mark}")]),
        }
    }
}
