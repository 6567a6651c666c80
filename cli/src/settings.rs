//! What holds for this run: the command line, then the environment, then `config.toml`, then the
//! default.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{User, getuid};
use posixage::lock::Wait;

use crate::{
    args::{Global, parse_duration},
    failure::{Code, Failure},
    io::output::say,
    named_keys::{self, Key, Named},
    user_config::{Config, PasswordCommand},
};

/// Where systemd puts what a service's `LoadCredential=` names, and the names that we look for.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
const IDENTITY_CREDENTIAL: &str = "posixage.identity";
const PASSWORD_CREDENTIAL: &str = "posixage.password";

const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Settings {
    /// None where no place was named and there is no home.
    store: Option<Place>,
    /// The keys that were named, in the order in which they are tried.
    pub(crate) identities: Vec<Key>,
    /// The identity that `init` makes, and that is used if no other is named.
    pub(crate) default_identity: Option<PathBuf>,
    pub(crate) password_file: Option<Named>,
    /// The password that systemd hands over.
    pub(crate) password_credential: Option<Named>,
    pub(crate) password_command: Option<PasswordCommand>,
    /// The most scrypt work that is done for a password or a passphrase.
    pub(crate) max_work_factor: u8,
    pub(crate) lock_wait: Wait,
    pub(crate) allow_insecure: bool,
    credentials: Option<PathBuf>,
    pub(crate) quiet: bool,
}

/// Where the store is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Whether it was named: such a place is not made unasked.
    pub(crate) named: bool,
}

impl Settings {
    /// For programs that have no options.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        Self::resolve(Global::default())
    }

    pub(crate) fn resolve(global: Global) -> Result<Self, Failure> {
        let insecure = env::var_os("POSIXAGE_ALLOW_INSECURE_PERMISSIONS");
        let allow_insecure =
            global.allow_insecure_permissions || insecure.is_some_and(|value| value == "1");
        let config_dir = base_dir("XDG_CONFIG_HOME", ".config");
        let config = match &config_dir {
            Some(dir) => Config::read(dir, allow_insecure)?,
            None => Config::default(),
        };
        let store = global
            .store
            .or_else(|| path_from("POSIXAGE_STORE"))
            .or(config.store);
        let store = match store {
            Some(path) => Some(Place { path, named: true }),
            None => {
                base_dir("XDG_DATA_HOME", ".local/share").map(|path| Place { path, named: false })
            }
        };
        let credentials = path_from(CREDENTIALS_DIRECTORY);
        let credential = |name: &str| {
            let path = credentials.as_ref()?.join(name);
            let by = CREDENTIALS_DIRECTORY;
            path.exists().then_some(Named { path, by })
        };
        let named = |paths: Vec<PathBuf>, by| {
            let key = |path| Key::named(path, by);
            paths.into_iter().map(key).collect::<Vec<_>>()
        };
        let identities = [
            named(global.identities, "-i"),
            from_environment(named),
            credential(IDENTITY_CREDENTIAL)
                .map(Key::File)
                .into_iter()
                .collect(),
            named(config.identities, "`identities` in config.toml"),
        ]
        .into_iter()
        .find(|keys| !keys.is_empty())
        .unwrap_or_default();
        named_keys::check(&identities)?;
        let lock_wait = match global.lock_timeout.map_or_else(lock_timeout, Ok)? {
            timeout if timeout.is_zero() => Wait::Try,
            timeout => Wait::For(timeout),
        };
        Ok(Self {
            store,
            identities,
            default_identity: config_dir.map(|dir| dir.join("identity.txt")),
            password_file: global
                .password_file
                .map(|path| Named {
                    path,
                    by: "--password-file",
                })
                .or_else(|| {
                    let by = "POSIXAGE_PASSWORD_FILE";
                    Some(Named {
                        path: path_from(by)?,
                        by,
                    })
                }),
            password_credential: credential(PASSWORD_CREDENTIAL),
            password_command: config.password_command,
            max_work_factor: config
                .max_scrypt_work_factor
                .unwrap_or(posixage::MAX_WORK_FACTOR),
            lock_wait,
            allow_insecure,
            credentials,
            quiet: global.quiet,
        })
    }

    /// Where the store is.
    pub(crate) fn place(&self) -> Result<&Place, Failure> {
        self.store.as_ref().ok_or_else(|| {
            Failure::new(
                "cannot tell where the store is: HOME is not set, and this user has no home",
            )
            .hint("name it: --store DIR or POSIXAGE_STORE")
        })
    }

    /// Whether there is a place at all where the store may be.
    pub(crate) fn has_place(&self) -> bool {
        self.store.is_some()
    }

    /// Whether a key file is taken although others than its owner may read it: if an option says so,
    /// or if systemd handed it over. Such a file can be root's, with an entry for the service's user
    /// in its access control list; in its mode that shows as a group that may read.
    pub(crate) fn allows_insecure(&self, path: &Path) -> bool {
        let is_handed_over = || {
            let credentials = self.credentials.as_ref()?;
            let mode = fs::metadata(path).ok()?.permissions().mode();
            Some(path.starts_with(credentials) && mode & 0o037 == 0)
        };
        self.allow_insecure || is_handed_over().unwrap_or(false)
    }

    /// Says something that is neither a result nor an error.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            say(format_args!("posixage: {text}"));
        }
    }
}

/// The keys that the environment names, and the one that it holds.
fn from_environment(named: impl Fn(Vec<PathBuf>, &'static str) -> Vec<Key>) -> Vec<Key> {
    let by = "POSIXAGE_IDENTITY";
    let mut keys = named(paths_from(by), by);
    if path_from(named_keys::VARIABLE).is_some() {
        keys.push(Key::Variable);
    }
    keys
}

/// `posixage` below the XDG directory, or below its default in the home directory.
fn base_dir(variable: &str, default: &str) -> Option<PathBuf> {
    // The XDG specification: a relative path is to be ignored.
    let base = path_from(variable).filter(|path| path.is_absolute());
    let home = || home().map(|home| home.join(default));
    Some(base.or_else(home)?.join("posixage"))
}

/// `$HOME`, or else the user's home in the system's user database, as docker and podman have it.
pub(crate) fn home() -> Option<PathBuf> {
    let of_user = || Some(User::from_uid(getuid()).ok()??.dir);
    path_from("HOME")
        .or_else(of_user)
        .filter(|home| home.is_absolute())
}

fn lock_timeout() -> Result<Duration, Failure> {
    const VARIABLE: &str = "POSIXAGE_LOCK_TIMEOUT";
    let Some(value) = path_from(VARIABLE) else {
        return Ok(DEFAULT_LOCK_TIMEOUT);
    };
    let fails = |e: String| Failure::new(format_args!("{VARIABLE}: {e}")).code(Code::Usage);
    parse_duration(&value.to_string_lossy()).map_err(fails)
}

/// An empty variable is one that is not set.
fn path_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn paths_from(variable: &str) -> Vec<PathBuf> {
    let value = env::var_os(variable).unwrap_or_default();
    env::split_paths(&value)
        .filter(|path| path != Path::new(""))
        .collect()
}
