//! Random operations on a store, written down in a file before and after each.
//!
//! `storm STORE IDENTITY LOG SEED COUNT`. The lines, each in one write, are read by
//! `posixage_tests::storm_log`.

use std::{
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::Write,
    process::ExitCode,
};

use posixage::{Change, Error as StoreError, Id, KeyFile, Store};
use posixage_tests::{
    chance::Chance,
    marked,
    storm::now,
    storm_log::{IDS, id, state_word},
    subject,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match storm() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn storm() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [root, identity, log, seed, count] = args.as_slice() else {
        return Err("storm STORE IDENTITY LOG SEED COUNT".into());
    };
    let identity = KeyFile::new(identity).identities()?;
    let store = Store::builder(root).identity(identity).open()?;
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    let seed: u64 = seed.parse()?;
    let mut chance = Chance::of(seed);
    for number in 0..count.parse()? {
        // No two writes have a mark in common.
        let mark = seed * 1_000_000 + number;
        one(&store, &log, &mut chance, mark)?;
    }
    Ok(())
}

fn one(store: &Store, log: &File, chance: &mut Chance, mark: marked::Mark) -> Result<()> {
    let id: Id = id(chance.within(0..IDS));
    let write = |line: String| log.try_clone()?.write_all(line.as_bytes());
    match chance.within(0..100) {
        0..40 => {
            write(format!("set {id} {mark} {}\n", now()))?;
            store.set(&id, &marked::secret(&id, mark))?;
            write(format!("ok {}\n", now()))?;
        }
        40..65 => {
            let begun = now();
            let state = subject::read(store, &id)?;
            write(format!(
                "get {id} {} {begun} {}\n",
                state_word(state),
                now()
            ))?;
        }
        65..85 => {
            write(format!("update {id} {mark} {}\n", now()))?;
            let mut found = None;
            store.update(&id, |current| -> Result<_> {
                found = current
                    .map(|secret| marked::mark_of(&id, secret))
                    .transpose()?;
                Ok(Change::Set(marked::secret(&id, mark)))
            })?;
            write(format!("updated {} {}\n", state_word(found), now()))?;
        }
        85..95 => {
            write(format!("remove {id} {}\n", now()))?;
            match store.remove(&id) {
                // Nothing to be removed: what was there is nothing, too.
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            write(format!("ok {}\n", now()))?;
        }
        _ => {
            for entry in store.list(&"**".parse()?)? {
                entry.metadata?;
            }
            write("list\n".into())?;
        }
    }
    Ok(())
}
