//! Random operations on a store, written down in a file before and after each.
//!
//! `storm LOG SEED COUNT`. The lines, each in one write, are read by `posixage_tests::storm_log`.

use std::{
    fs::{File, OpenOptions},
    io::Write,
};

use posixage::{Error as StoreError, Id, Store};
use posixage_tests::{
    chance::Chance,
    marked,
    operation::Operation,
    storm::now,
    storm_log::{IDS, id, state_word},
    subject,
};

use super::Result;

pub(crate) fn run(store: &Store, log: &str, seed: u64, count: u64) -> Result<()> {
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    let mut chance = Chance::of(seed);
    for number in 0..count {
        // No two writes have a mark in common.
        let mark = seed * 1_000_000 + number;
        one(store, &log, &mut chance, mark)?;
    }
    Ok(())
}

fn one(store: &Store, log: &File, chance: &mut Chance, mark: marked::Mark) -> Result<()> {
    let id: Id = id(chance.within(0..IDS));
    let write = |line: String| log.try_clone()?.write_all(line.as_bytes());
    match chance.within(0..100) {
        0..40 => {
            write(format!("set {id} {mark} {}\n", now()))?;
            Operation::Overwrite.apply(store, &id, mark)?;
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
            let found = Operation::Update.apply(store, &id, mark)?;
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
