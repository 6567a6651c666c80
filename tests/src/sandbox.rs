//! A home of its own for each test.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    binary,
    output::Output,
    process::{ORDINARY_USER, Program},
    tools, tree,
};

/// An empty home, and `posixage` run in it with nothing in the environment but `HOME` and `PATH`.
pub struct Sandbox {
    dir: TempDir,
    ordinary: bool,
    binary: PathBuf,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// For the user that runs the test.
    #[must_use]
    pub fn new() -> Self {
        Self::of(false)
    }

    /// For a user bound by file modes, whether or not root runs the test.
    #[must_use]
    pub fn ordinary() -> Self {
        Self::of(tools::is_root())
    }

    fn of(ordinary: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("posixage-test.").tempdir();
        let dir = dir.expect("a temporary directory");
        let mut binary = binary::posixage().to_path_buf();
        if ordinary {
            // Where the binary was built may be out of that user's reach. Copied by a process of its
            // own: whatever another thread starts while this one has the copy open for writing
            // would keep it open, and it could not be executed.
            let copy = dir.path().join("posixage");
            let cp = Program::new(tools::need("cp", "coreutils"));
            cp.args([&binary, &copy]).run().succeeds();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
            binary = copy;
        }
        let sandbox = Self {
            dir,
            ordinary,
            binary,
        };
        sandbox.directory("home");
        sandbox
    }

    /// The directory that all of it is in, gone when the sandbox is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `$HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Where the store is unless told otherwise.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home().join(".local/share/posixage")
    }

    /// Where the identity is that `init` makes.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.home().join(".config/posixage/identity.txt")
    }

    /// Writes the person's `config.toml`.
    pub fn config(&self, toml: &str) {
        self.file("home/.config/posixage/config.toml", toml);
    }

    /// A directory (0700), and those above it, if they are not there.
    pub fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let mut path = self.path().to_path_buf();
        for component in name.as_ref() {
            path.push(component);
            if !path.is_dir() {
                let made = fs::DirBuilder::new().mode(0o700).create(&path);
                made.unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
                self.give(&path);
            }
        }
        path
    }

    /// A file (0600) with that content.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let name = name.as_ref();
        self.directory(name.parent().unwrap_or(Path::new("")));
        let path = self.path().join(name);
        fs::write(&path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        self.give(&path);
        path
    }

    /// A copy of a tree as it should lie on disk: 0700 and 0600, which git does not keep.
    pub fn copy(&self, from: &Path, name: impl AsRef<Path>) -> PathBuf {
        let to = self.path().join(name);
        tree::copy(from, &to);
        for path in tree::walk(&to) {
            self.give(&path);
        }
        to
    }

    /// Whether it is for a user whom file modes bind though root runs the test.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        self.ordinary
    }

    fn give(&self, path: &Path) {
        if self.ordinary {
            chown(path, Some(ORDINARY_USER), Some(ORDINARY_USER)).expect("chown");
        }
    }

    /// `posixage` with these arguments.
    pub fn posixage<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Program {
        self.program(&self.binary).args(args)
    }

    /// One of our other programs, such as `git-credential-posixage`.
    pub fn helper(&self, name: &str) -> Program {
        self.program(binary::directory().join(name))
    }

    /// Any program, in this home, with ours in its `PATH`.
    pub fn client(&self, program: impl AsRef<OsStr>) -> Program {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::iter::once(binary::directory().to_path_buf());
        let path = std::env::join_paths(dirs.chain(std::env::split_paths(&path)));
        self.program(program)
            .env("PATH", path.expect("directories without a colon"))
    }

    /// Any program, in this home.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Program {
        let program = Program::new(program)
            .env("HOME", self.home())
            .current_dir(self.home());
        match self.ordinary {
            true => program.as_ordinary_user(),
            false => program,
        }
    }

    /// Runs `posixage` with these arguments.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.posixage(args).run()
    }

    /// Makes the store and the identity, by `posixage init`.
    #[track_caller]
    #[must_use]
    pub fn initialised(self) -> Self {
        self.run(["init"]).succeeds();
        self
    }

    /// Sets a secret to these bytes exactly.
    #[track_caller]
    pub fn set(&self, id: &str, value: impl Into<Vec<u8>>) {
        let set = self.posixage(["set", "--raw", "--force", id]).input(value);
        set.run().succeeds();
    }

    /// The value of a secret.
    #[track_caller]
    #[must_use]
    pub fn get(&self, id: &str) -> Vec<u8> {
        self.run(["get", id]).succeeds_silently().stdout
    }
}
