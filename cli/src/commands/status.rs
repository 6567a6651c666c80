//! `posixage status`

use posixage::{
    Error, Identity, KeySource, Pattern, Recipient,
    lock::{self, Mode},
};
use serde::Serialize;

use crate::{
    args::Status,
    failure::Failure,
    io::output::{print, print_json},
    session::{self, Session},
    settings::Settings,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    store: String,
    secrets: usize,
    /// The recipients; null for a store that does not record them.
    recipients: Option<Vec<String>>,
    /// Whether they are encrypted with a password too; null likewise.
    password: Option<bool>,
    keys: Vec<Key>,
    lock: Lock,
}

#[derive(Serialize)]
struct Key {
    name: String,
    #[serde(rename = "type")]
    key_type: String,
    /// Whether it decrypts the store's secrets; null where that cannot be told without asking for a
    /// password.
    fits: Option<bool>,
}

#[derive(Serialize)]
struct Lock {
    /// Null where that cannot be told.
    held: Option<bool>,
    holders: Vec<Holder>,
    waiters: Vec<u32>,
    heartbeat_age_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Holder {
    pid: u32,
    mode: &'static str,
    command: Option<String>,
    stopped: bool,
}

pub(crate) fn run(settings: &Settings, args: &Status) -> Result<(), Failure> {
    let session = Session::open(settings)?;
    let lock = session.keyless().lock_status()?;
    let report = report(settings, &session, &lock)?;
    if args.json {
        return print_json(&report);
    }
    print(|out| {
        let mut line = |name: &str, text: &dyn std::fmt::Display| writeln!(out, "{name:12}{text}");
        line("store", &report.store)?;
        line("secrets", &report.secrets)?;
        match &report.recipients {
            Some(recipients) => {
                for recipient in recipients {
                    line("recipient", recipient)?;
                }
            }
            None => line(
                "recipients",
                &"not written down; secrets go to the keys in use",
            )?,
        }
        if report.password == Some(true) {
            line("recipient", &"password")?;
        }
        for key in &report.keys {
            let fits = match key.fits {
                Some(true) => "fits",
                Some(false) => "does not fit",
                None => "not tried",
            };
            line("key", &format_args!("{}: {fits}", key.name))?;
        }
        if report.keys.is_empty() {
            line("key", &"none")?;
        }
        if lock.held == Some(false) {
            line("lock", &"free")
        } else {
            line("lock", &lock)
        }
    })
}

fn report(
    settings: &Settings,
    session: &Session<'_>,
    lock: &lock::Status,
) -> Result<Report, Failure> {
    let store = session.keyless();
    let config = store.config();
    let mut keys = Vec::new();
    for source in session::identities(settings)? {
        keys.push(Key {
            name: source.name().into(),
            key_type: source.key_type().to_string(),
            fits: match config {
                Some(config) => is_recipient(&source, &config.recipients),
                None => decrypts(session, source),
            },
        });
    }
    Ok(Report {
        store: store.path().display().to_string(),
        secrets: store.count()?,
        recipients: config.map(|c| c.recipients.iter().map(ToString::to_string).collect()),
        password: config.map(|config| config.password),
        keys,
        lock: Lock {
            held: lock.held,
            holders: lock.holders.iter().map(holder).collect(),
            waiters: lock.waiters.clone(),
            heartbeat_age_seconds: lock.heartbeat_age.map(|age| age.as_secs()),
        },
    })
}

fn is_recipient(source: &KeySource<Identity>, recipients: &[Recipient]) -> Option<bool> {
    let known = source.known_recipients()?;
    Some(known.iter().any(|recipient| recipients.contains(recipient)))
}

/// Whether a key decrypts the first secret of a store that does not record its recipients.
fn decrypts(session: &Session<'_>, source: KeySource<Identity>) -> Option<bool> {
    source.known_recipients()?;
    let store = session.with(source);
    let first = store.list(&Pattern::all()).ok()?.next()?.id;
    match store.get(&first) {
        Ok(_) => Some(true),
        Err(Error::NoKeyFits { .. }) => Some(false),
        Err(_) => None,
    }
}

fn holder(holder: &lock::Holder) -> Holder {
    Holder {
        pid: holder.pid,
        mode: match holder.mode {
            Mode::Shared => "shared",
            Mode::Exclusive => "exclusive",
        },
        command: holder.command.clone(),
        stopped: holder.is_stopped(),
    }
}
