//! Changes a secret with `Store::update`.
//!
//! `update STORE IDENTITY ID increment COUNT` adds one to a number, COUNT times, each on its own.
//! `update STORE IDENTITY ID hold VALUE` prints `held` with the lock held, and writes VALUE when it has
//! read a line.

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use posixage::{Change, Id, KeyFile, Secret, Store};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("update: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [root, identity, id, what, argument] = args.as_slice() else {
        return Err("update STORE IDENTITY ID increment COUNT | hold VALUE".into());
    };
    let identity = KeyFile::new(identity).identities()?;
    let store = Store::builder(root).identity(identity).open()?;
    let id: Id = id.parse()?;
    match what.as_str() {
        "increment" => (0..argument.parse()?).try_for_each(|_| increment(&store, &id)),
        "hold" => hold(&store, &id, argument),
        what => Err(format!("no change {what}").into()),
    }
}

fn increment(store: &Store, id: &Id) -> Result<()> {
    store.update(id, |current| -> Result<_> {
        let number: u32 = match current {
            Some(secret) => std::str::from_utf8(secret.expose())?.parse()?,
            None => 0,
        };
        Ok(Change::Set(Secret::new((number + 1).to_string())))
    })?;
    Ok(())
}

fn hold(store: &Store, id: &Id, value: &str) -> Result<()> {
    store.update(id, |_| -> Result<_> {
        println!("held");
        io::stdout().flush()?;
        io::stdin().read_line(&mut String::new())?;
        Ok(Change::Set(Secret::new(value)))
    })?;
    Ok(())
}
