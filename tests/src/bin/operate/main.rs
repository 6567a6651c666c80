//! Writes to a store, step by step, and says before and after each, so that the test that kills it knows
//! what may have happened.
//!
//! `operate STORE IDENTITY increment ID COUNT`, `hold ID VALUE` and `storm LOG SEED COUNT` are in files of
//! their own. `operate STORE IDENTITY STEP…`, a step being `set:ID:MARK`, `create:ID:MARK`, `update:ID:MARK`,
//! `remove:ID`, `try:ID:MARK`, a set that may fail, or `naive:ID:MARK`, which makes the calls of the
//! reference in their order. With
//! `MARK..` instead of the mark the step is repeated for ever, with marks that count up from
//! there; `flip:ID:MARK..` creates and removes in turn, and `naive` keeps its mark, since what it writes
//! is encrypted beforehand.
//!
//! Each step prints `begin STEP` before its first system call in the store, and `ok STEP` when the
//! library has returned `Ok`; a `try` that has failed, `failed try MARK`.

mod storm;
mod update;

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use posixage::{Id, KeyFile, Store};
use posixage_tests::{
    marked::{self, Mark},
    operation::{Operation, set_many},
    place::make_dir,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match operate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many secrets `many-wide` writes beside the one: so many that threads stage and sync them.
const WIDE: usize = 24;

fn operate() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [root, identity, steps @ ..] = args.as_slice() else {
        return Err("operate STORE IDENTITY STEP…".into());
    };
    let identity = KeyFile::new(identity).identities()?;
    let store = Store::builder(root).identity(identity).open()?;
    let words: Vec<&str> = steps.iter().map(String::as_str).collect();
    match words[..] {
        ["increment", id, count] => update::increment(&store, &id.parse()?, count.parse()?),
        ["hold", id, value] => update::hold(&store, &id.parse()?, value),
        ["storm", log, seed, count] => storm::run(&store, log, seed.parse()?, count.parse()?),
        _ => run_steps(&store, &words),
    }
}

fn run_steps(store: &Store, steps: &[&str]) -> Result<()> {
    for step in steps {
        let mut parts = step.split(':');
        let mut part = || parts.next().unwrap_or_default();
        let (kind, id, mark) = (part(), part().parse()?, part());
        let Some(first) = mark.strip_suffix("..") else {
            run(store, kind, &id, mark.parse().unwrap_or_default())?;
            continue;
        };
        if kind == "naive" {
            let prepared = naive::Prepared::new(store, &id, first.parse()?)?;
            loop {
                say(&format!("begin naive {first}\n"));
                prepared.write()?;
                say(&format!("ok naive {first}\n"));
            }
        }
        for mark in first.parse()?.. {
            match kind {
                "flip" => {
                    run(store, "create", &id, mark)?;
                    run(store, "remove", &id, mark)?;
                }
                kind => run(store, kind, &id, mark)?,
            }
        }
    }
    Ok(())
}

fn run(store: &Store, kind: &str, id: &Id, mark: Mark) -> Result<()> {
    let naive = match kind {
        "naive" => Some(naive::Prepared::new(store, id, mark)?),
        _ => None,
    };
    say(&format!("begin {kind} {mark}\n"));
    let operation = Operation::ALL.into_iter().find(|o| o.name() == kind);
    match (operation, naive) {
        (Some(operation), _) => drop(operation.apply(store, id, mark)?),
        (None, Some(naive)) => naive.write()?,
        (None, None) if kind == "try" => {
            if store.set(id, &marked::secret(id, mark)).is_err() {
                say(&format!("failed {kind} {mark}\n"));
                return Ok(());
            }
        }
        (None, None) => set_many(store, ids(kind, id)?, mark)?,
    }
    say(&format!("ok {kind} {mark}\n"));
    Ok(())
}

/// The ids that a step writes together.
fn ids(kind: &str, id: &Id) -> Result<Vec<Id>> {
    let [first, last] = marked::beside(id);
    match kind {
        "many-first" => Ok(vec![id.clone(), last]),
        "many-last" => Ok(vec![first, id.clone()]),
        "many-wide" => {
            let others = (0..WIDE).map(|n| format!("{id}.{n:02}").parse());
            let mut ids = others.collect::<std::result::Result<Vec<Id>, _>>()?;
            ids.insert(WIDE / 2, id.clone());
            Ok(ids)
        }
        kind => Err(format!("no step {kind}").into()),
    }
}

/// In one call, and at once: the reader must know before anything else happens. A failure to
/// print is not what is tested.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
}

/// What the reference does, for the control: a test that does not catch this proves nothing.
mod naive {
    use super::{File, Id, Mark, Path, Result, Store, Write, fs, make_dir, marked};
    use std::path::PathBuf;

    /// A secret's files, to be written.
    pub(crate) struct Prepared {
        root: PathBuf,
        name: String,
        files: Vec<(PathBuf, Vec<u8>)>,
    }

    impl Prepared {
        /// Lets the library encrypt it in the next room.
        pub(crate) fn new(store: &Store, id: &Id, mark: Mark) -> Result<Self> {
            let root = store.path().to_path_buf();
            let scratch = root.with_extension("scratch");
            let Some(config) = store.config() else {
                return Err("a store that names no recipients".into());
            };
            if !scratch.exists() {
                Store::init(&scratch, config)?;
            }
            let aside = Store::builder(&scratch).open()?;
            aside.set(id, &marked::secret(id, mark))?;
            let name = id.directory_name();
            let files = fs::read_dir(scratch.join(&name))?
                .map(|entry| {
                    let entry = entry?;
                    Ok((PathBuf::from(entry.file_name()), fs::read(entry.path())?))
                })
                .collect::<Result<_>>()?;
            Ok(Self { root, name, files })
        }

        /// Removes the old directory, makes a temporary one, writes and fsyncs its files, renames it;
        /// fsyncs no directory.
        #[expect(
            clippy::disallowed_methods,
            reason = "that is what the control is about"
        )]
        pub(crate) fn write(&self) -> Result<()> {
            let target = self.root.join(&self.name);
            remove_files(&target)?;
            let temporary = self.root.join(".posixage.naive");
            if temporary.exists() {
                remove_files(&temporary)?;
            }
            make_dir(&temporary);
            for (name, content) in &self.files {
                let mut options = fs::OpenOptions::new();
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file: File = options
                    .write(true)
                    .create_new(true)
                    .open(temporary.join(name))?;
                file.write_all(content)?;
                file.sync_all()?;
            }
            fs::rename(temporary, target)?;
            Ok(())
        }
    }

    fn remove_files(dir: &Path) -> Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(dir)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(fs::remove_dir(dir)?)
    }
}
