//! Changes a secret with `Store::update`.
//!
//! `increment ID COUNT` adds one to a number, COUNT times, each on its own. `hold ID VALUE` prints `held`
//! with the lock held, and writes VALUE when it has read a line.

use std::io::{self, Write};

use posixage::{Change, Id, Secret, Store};

use super::Result;

pub(crate) fn increment(store: &Store, id: &Id, count: u32) -> Result<()> {
    (0..count).try_for_each(|_| increment_once(store, id))
}

fn increment_once(store: &Store, id: &Id) -> Result<()> {
    store.update(id, |current| -> Result<_> {
        let number: u32 = match current {
            Some(secret) => std::str::from_utf8(secret.expose())?.parse()?,
            None => 0,
        };
        Ok(Change::Set(Secret::new((number + 1).to_string())))
    })?;
    Ok(())
}

pub(crate) fn hold(store: &Store, id: &Id, value: &str) -> Result<()> {
    store.update(id, |_| -> Result<_> {
        println!("held");
        io::stdout().flush()?;
        io::stdin().read_line(&mut String::new())?;
        Ok(Change::Set(Secret::new(value)))
    })?;
    Ok(())
}
