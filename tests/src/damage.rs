//! Damaged stores, and what must hold of each.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Output, Program, Sandbox, binary, golden, tree::Snapshot};

/// The directory of the secret `broken`.
pub const BROKEN: &str = "YnJva2Vu";

/// A store with a whole secret `a` and a damaged one, and what `get broken` says of it.
pub struct Case {
    /// Where it is.
    pub sandbox: Sandbox,
    /// The store.
    pub store: PathBuf,
    /// The exit code of `get broken`.
    pub code: i32,
    /// What it says.
    pub says: &'static str,
    /// Whether `list`, which reads the metadata, finds it damaged as well.
    pub listed: bool,
}

impl Case {
    /// From `fixtures/damaged`.
    #[must_use]
    pub fn kept(name: &str, code: i32, says: &'static str, listed: bool) -> Self {
        let sandbox = Sandbox::new();
        let from = binary::workspace().join("fixtures/damaged").join(name);
        let store = sandbox.copy(&from, "store");
        Self {
            sandbox,
            store,
            code,
            says,
            listed,
        }
    }

    /// A whole store, then damaged by `damage` in the secret's directory.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn made(code: i32, says: &'static str, listed: bool, damage: impl FnOnce(&Path)) -> Self {
        let case = Self::kept("ciphertext-missing", code, says, listed);
        let broken = case.store.join(BROKEN);
        fs::copy(case.store.join("YQ==/secretage"), broken.join("secretage")).expect("copy");
        damage(&broken);
        case
    }

    /// With 64 MiB of memory and a second of work at the most: these must not depend on what
    /// a file claims to be.
    pub fn posixage(&self, command: &[&str]) -> Program {
        let key = golden::key(&self.sandbox, "age-1.txt");
        self.sandbox
            .posixage(["--store"])
            .arg(&self.store)
            .arg("-i")
            .arg(key)
            .args(command)
            .behind(["prlimit", "--data=67108864", "--cpu=1", "--"])
    }

    /// The same, run.
    #[must_use]
    pub fn run(&self, command: &[&str]) -> Output {
        self.posixage(command).run()
    }

    /// Asserts what must hold, whatever the damage; then repairs it by a new write.
    ///
    /// # Panics
    /// It does not hold.
    #[track_caller]
    pub fn check(&self) {
        let before = Snapshot::of(&self.store);
        self.run(&["get", "broken"])
            .fails(self.code)
            .says([self.says, "broken"]);

        let whole = self.run(&["get", "a"]).succeeds_silently();
        golden::expected_in("age")
            .iter()
            .find(|secret| secret.id == "a")
            .expect("a")
            .assert_value(&whole.stdout);

        let list = self.run(&["list"]);
        if self.listed {
            assert_eq!(list.complains(self.code).out(), "a\n");
        } else {
            assert_eq!(list.succeeds_silently().out(), "a\nbroken\n");
        }
        assert!(
            Snapshot::of(&self.store) == before,
            "reading changed the store"
        );

        let verify = self.run(&["verify", "--decrypt"]);
        assert_eq!(verify.status.code(), Some(7), "{verify:?}");
        assert!(verify.out().contains(BROKEN), "{verify:?}");
        let repair = self.run(&["verify", "--repair"]);
        assert!(matches!(repair.status.code(), Some(0 | 7)), "{repair:?}");

        self.posixage(&["set", "-f", "broken"])
            .input("mended")
            .run()
            .succeeds();
        assert_eq!(self.run(&["get", "broken"]).succeeds().out(), "mended");
        self.run(&["verify", "--decrypt"]).succeeds();
    }
}

/// A FIFO (0600).
///
/// # Panics
/// It cannot be made.
pub fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("make a FIFO");
}

/// A file (0600) of that length with nothing in it.
///
/// # Panics
/// It cannot be made.
pub fn sparse(path: &Path, len: u64) {
    File::create(path)
        .and_then(|file| file.set_len(len))
        .expect("make a sparse file");
    private(path);
}

/// Makes a file private to its owner.
///
/// # Panics
/// It cannot.
pub fn private(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
}
