//! `posixage status`

use std::collections::BTreeSet;

use posixage::{
    Attempt, Error, Identity, KeyError, KeySource, Misfit, Pattern, Problem, Recipient, Store,
    VerifyOptions,
    lock::{self, Mode, Wait},
};
use serde::Serialize;

use crate::{
    args::Status,
    failure::Failure,
    io::{
        output::{print, print_json},
        password,
    },
    session::Session,
    settings::Settings,
};

/// How many secrets are looked at for recipients that differ.
const MOST_LOOKED_AT: usize = 1000;

/// How many secrets a key is tried on, at most, until one is encrypted for its type.
const MOST_TRIED: usize = 16;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    store: String,
    secrets: usize,
    /// How many of them are encrypted to others than the store names; null where that is not known.
    stale: Option<usize>,
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
        if let Some(stale @ 1..) = report.stale {
            let of = report.secrets;
            line(
                "stale",
                &format_args!("{stale} of {of} secrets: encrypted to others, see posixage verify"),
            )?;
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
    // Says how things are now, and waits for nothing.
    let store = session.keyless().with_lock_wait(Wait::Try);
    let config = store.config();
    let mut keys = Vec::new();
    for source in session.unasked()? {
        let decrypts = decrypts(&store, &source);
        let is_recipient = || is_recipient(&source, &config?.recipients);
        keys.push(Key {
            name: source.name().into(),
            key_type: source.key_type().to_string(),
            fits: decrypts.or_else(is_recipient),
        });
    }
    let password = password::configured(settings);
    if password.is_some() || session.has_password() {
        let source = password.unwrap_or_else(password::prompted);
        keys.push(Key {
            name: source.name().into(),
            key_type: source.key_type().to_string(),
            fits: match password::is_at_hand(settings) {
                true => decrypts(&store, &source),
                false => None,
            },
        });
    }
    let secrets = store.count()?;
    Ok(Report {
        store: store.path().display().to_string(),
        secrets,
        stale: match secrets {
            0..=MOST_LOOKED_AT => stale(&store),
            _ => None,
        },
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

/// Whether a key decrypts the first secret that is encrypted for its type; `None` where that cannot be
/// told.
fn decrypts(store: &Store, source: &KeySource<Identity>) -> Option<bool> {
    let reader = store.with_identity(source.clone());
    for entry in store.list(&Pattern::all()).ok()?.take(MOST_TRIED) {
        let attempts = match reader.get(&entry.id) {
            Ok(_) => return Some(true),
            Err(Error::NoKeyFits { has, .. }) if !has.contains(&source.key_type()) => continue,
            Err(Error::NoKeyFits { attempts, .. }) => attempts,
            Err(_) => return None,
        };
        // A locked key is not opened for this.
        let is_locked = |attempt: &Attempt| {
            matches!(
                attempt.reason,
                Misfit::Unavailable(KeyError::Unavailable(_))
            )
        };
        return (!attempts.iter().any(is_locked)).then_some(false);
    }
    None
}

/// How many secrets are encrypted to others than the store names, as far as their headers tell; `None`
/// where that cannot be told now.
fn stale(store: &Store) -> Option<usize> {
    store.config()?;
    let mut stale = BTreeSet::new();
    let looked = store.verify(VerifyOptions::new(), |finding| {
        if let Problem::Recipients { .. } | Problem::NoCopy { .. } = finding.problem {
            stale.extend(finding.id);
        }
    });
    looked.ok().map(|()| stale.len())
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
