//! The helper as docker finds it: a program in `PATH`, which may not be the one that was built with
//! this.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use posixage::{Entry, Error, MAX_VALUE_LEN, Store};
use zeroize::Zeroizing;

use crate::{
    docker_setup::{config_file::quoted, stored::Credentials},
    failure::{Failure, reason},
    helpers::docker::{
        credential::{Credential, credentials, id_of},
        protocol::{NAME, NOT_FOUND},
    },
    io::{input, output::to_json},
};

/// What the servers of probes are called, before the process that made one and what keeps two apart.
const PROBE: &str = "posixage-probe-";

/// A helper that was found.
pub(crate) struct Installed {
    pub(crate) path: PathBuf,
}

/// What one run of a helper gave: its answer, or the text of its error.
type Answer = Result<Zeroizing<Vec<u8>>, String>;

impl Installed {
    /// The first `docker-credential-posixage` in `PATH`.
    pub(crate) fn find() -> Option<Self> {
        Self::find_program(NAME).map(|path| Self { path })
    }

    /// The first program of a name in `PATH`.
    pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let runs = |file: &PathBuf| {
            let stat = file.metadata();
            stat.is_ok_and(|stat| stat.is_file() && stat.permissions().mode() & 0o111 != 0)
        };
        env::split_paths(&path)
            // Docker runs nothing from the directory that it happens to be in.
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(runs)
    }

    /// Says that there is none, and where one is.
    pub(crate) fn missing() -> Failure {
        let beside = env::current_exe().ok().and_then(|exe| {
            let helper = exe.parent()?.join(NAME);
            helper.is_file().then_some(helper)
        });
        let failure = Failure::new(format_args!(
            "{NAME} is not in PATH, where docker looks for it"
        ));
        match beside {
            Some(helper) => failure.hint(format_args!(
                "ln -s {} /usr/local/bin/, or add its directory to PATH",
                quoted(&helper)
            )),
            None => failure.hint("cargo install --locked --path cli installs it beside posixage"),
        }
    }

    /// Stores, fetches and erases a made-up credential, and looks into `store` for it.
    pub(crate) fn probe(&self, store: &Store) -> Result<(), Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|e| Failure::new(format_args!("random: {e}")))?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        clear_away(store)?;
        let probe = Credential {
            server_url: format!("{PROBE}{}-{random}.invalid", std::process::id()),
            username: Zeroizing::new("posixage".into()),
            secret: Zeroizing::new(random),
        };
        let tried = self.try_probe(&probe, store);
        if tried.is_err() {
            let _ = self.run("erase", probe.server_url.as_bytes());
        }
        tried
    }

    fn try_probe(&self, probe: &Credential, store: &Store) -> Result<(), Failure> {
        let url = probe.server_url.as_bytes();
        self.succeeds("store", &to_json(probe))?;
        match store.metadata(&id_of(&probe.server_url)) {
            Ok(_) => {}
            Err(Error::NotFound { .. }) => {
                let (path, store) = (self.path.display(), store.path().display());
                return Err(Failure::new(format_args!(
                    "{path} keeps its secrets in another store than {store}"
                ))
                .hint(
                    "docker gives it no options: name the store and its key in POSIXAGE_STORE and \
                     POSIXAGE_IDENTITY, or in config.toml",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let answer = self.succeeds("get", url)?;
        if serde_json::from_slice(&answer).ok().as_ref() != Some(probe) {
            return Err(self.fails("get", "it did not give back what was stored"));
        }
        self.succeeds("erase", url)?;
        match self.run("get", url) {
            Ok(Err(text)) if text == NOT_FOUND => Ok(()),
            _ => Err(self.fails("erase", "what was erased is still there")),
        }
    }

    /// Which of the credentials it does not list, since it cannot read them, and whether it decrypts the
    /// first one that it does list; `None` if there are no credentials.
    pub(crate) fn usable(
        &self,
        credentials: &Credentials,
    ) -> Result<Option<(Vec<String>, bool)>, Failure> {
        let answer = self.succeeds("list", b"unused")?;
        let listed: BTreeMap<String, String> = serde_json::from_slice(&answer)
            .map_err(|_| self.fails("list", "it did not answer with an object"))?;
        let (listed, lost): (Vec<_>, Vec<_>) = credentials
            .by_url
            .iter()
            .partition(|(url, _)| listed.contains_key(*url));
        let Some((url, _)) = listed.first().or(lost.first()) else {
            return Ok(None);
        };
        self.succeeds("get", url.as_bytes())?;
        let lost = lost.iter().map(|(_, id)| id.to_string()).collect();
        Ok(Some((lost, true)))
    }

    fn succeeds(&self, action: &str, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let ran = self.run(action, input);
        ran.map_err(|e| self.fails(action, &reason(&e)))?
            .map_err(|text| self.fails(action, &text))
    }

    fn run(&self, action: &str, input: &[u8]) -> io::Result<Answer> {
        let mut child = Command::new(&self.path)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It says there what it says on standard output.
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that wants no input may have ended.
            match stdin.write_all(input) {
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(e),
                _ => {}
            }
        }
        let answer = match child.stdout.take() {
            Some(stdout) => input::read_from(stdout, 2 * MAX_VALUE_LEN, |_, _| false),
            None => Ok(None),
        };
        let status = child.wait()?;
        let answer = answer?.ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(match status.success() {
            true => Ok(answer),
            false => Err(String::from_utf8_lossy(&answer).trim().to_owned()),
        })
    }

    fn fails(&self, action: &str, why: &str) -> Failure {
        let path = self.path.display();
        let why = why.trim_start_matches("posixage: ");
        match why.split_once("\nhint: ") {
            Some((why, hint)) => Failure::new(format_args!("{path} {action}: {why}")).hint(hint),
            None => Failure::new(format_args!("{path} {action}: {why}")),
        }
    }
}

/// Removes the probes of processes that were killed.
fn clear_away(store: &Store) -> Result<(), Failure> {
    for Entry { id, .. } in store.list(&credentials())? {
        let probe = id.as_str().split('/').nth(1);
        let pid = probe.and_then(|name| name.strip_prefix(PROBE)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            match store.remove(&id) {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
