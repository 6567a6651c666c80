//! The keys of a store handle, in the order in which they are tried.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use age::DecryptError;
use zeroize::Zeroizing;

use crate::{
    disk::{root::Root, sealed::Sealed},
    error::{Attempt, Error},
    id::Id,
    keys::{Identity, KeyError, KeySource, KeyType, MAX_WORK_FACTOR, Recipient, cipher},
    secret::MAX_VALUE_LEN,
};

/// Whether a key that is not there yet may be fetched, which may mean to ask a person.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// Run its callback. Never while the lock is held.
    Allowed,
    /// Use what is there.
    Never,
}

/// A clone shares the keys: what one has fetched the other has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyring {
    /// What decrypts, in the order in which it is tried.
    pub(crate) identities: Vec<Arc<KeySource<Identity>>>,
    /// What the caller encrypts to instead of the store's own recipients.
    pub(crate) recipients: Vec<Arc<KeySource<Recipient>>>,
    /// Held while a callback runs: two that ask a person would read each other's answers.
    asking: Arc<Mutex<()>>,
}

impl Keyring {
    /// Whether there is a key of this type.
    pub(crate) fn has(&self, key_type: KeyType) -> bool {
        let mut sources = self.identities.iter();
        sources.any(|source| source.key_type() == key_type)
    }

    /// The keys of `source`, one of the handle's; waits while another's callback runs.
    pub(crate) fn load<'a, T>(&self, source: &'a KeySource<T>) -> Result<&'a [T], KeyError> {
        source.peek().unwrap_or_else(|| {
            let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            source.load()
        })
    }

    /// The value in `sealed`, by the first identity that fits. A key type that the secret lacks is
    /// passed over, as is an identity that cannot be had or does not fit. `only` leaves out the
    /// copies for other types of key.
    ///
    /// # Errors
    /// `Damaged` if a file that a key was there for is damaged, else `NoKeyFits`.
    pub(crate) fn open(
        &self,
        root: &Root,
        id: &Id,
        sealed: &Sealed,
        only: Option<KeyType>,
        fetch: Fetch,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut attempts = Vec::new();
        let mut damaged = None;
        let wanted =
            |source: &&Arc<KeySource<Identity>>| only.is_none_or(|t| t == source.key_type());
        for source in self.identities.iter().filter(wanted) {
            tracing::debug!(%id, key = source.name(), "trying");
            let fails = |reason: &str| Attempt {
                key: source.name().into(),
                reason: reason.into(),
            };
            let key_type = source.key_type();
            let file = sealed.ciphertexts.iter().find(|(t, _)| *t == key_type);
            let Some((_, file)) = file else {
                // A key that nobody has fetched was not tried.
                if source.peek().is_some() {
                    attempts.push(fails("the secret has no copy for this type of key"));
                }
                continue;
            };
            let file = match file {
                Ok(file) => file,
                Err(reason) => {
                    damaged.get_or_insert((key_type, reason.clone()));
                    continue;
                }
            };
            if !may_fit(source, file) {
                attempts.push(fails("not a recipient"));
                continue;
            }
            let identities = match fetch {
                Fetch::Allowed => self.load(source),
                Fetch::Never => source.peek().unwrap_or(Ok(&[])),
            };
            let identities = match identities {
                Ok(identities) => identities,
                Err(error) => {
                    attempts.push(fails(&error.to_string()));
                    continue;
                }
            };
            for identity in identities {
                match cipher::decrypt(file, identity) {
                    Ok(value) => return Ok(value),
                    Err(error) => match misfit(&error, key_type) {
                        Some(reason) => attempts.push(fails(reason)),
                        None => {
                            damaged.get_or_insert((key_type, damage(&error)));
                        }
                    },
                }
            }
        }
        Err(match damaged {
            Some((key_type, reason)) => Error::Damaged {
                id: id.clone(),
                path: root.path_of(id.directory_name()).join(key_type.file_name()),
                reason,
            },
            None => Error::NoKeyFits {
                id: id.clone(),
                has: sealed.key_types(),
                attempts,
            },
        })
    }

    /// Whom to encrypt to so that each of these identities can decrypt.
    pub(crate) fn readers(&self) -> Result<Vec<Recipient>, Error> {
        let mut recipients = Vec::new();
        for source in &self.identities {
            recipients.extend(self.recipients_of(source)?);
        }
        Ok(recipients)
    }

    /// The first password, fetched if need be.
    pub(crate) fn password(&self) -> Result<Option<Recipient>, Error> {
        let is_password = |s: &&Arc<KeySource<Identity>>| s.key_type() == KeyType::Password;
        match self.identities.iter().find(is_password) {
            Some(source) => Ok(self.recipients_of(source)?.into_iter().next()),
            None => Ok(None),
        }
    }

    fn recipients_of(&self, source: &KeySource<Identity>) -> Result<Vec<Recipient>, KeyError> {
        if source.public().is_none() {
            self.load(source)?;
        }
        source.recipients()
    }
}

/// Why a key does not fit an age file that may be whole; `None` if the file is damaged.
fn misfit(error: &DecryptError, key_type: KeyType) -> Option<&'static str> {
    match (error, key_type) {
        (DecryptError::NoMatchingKeys, _) => Some("not a recipient"),
        (DecryptError::DecryptionFailed, KeyType::Password) => Some("wrong password"),
        _ => None,
    }
}

fn damage(error: &DecryptError) -> String {
    match error {
        DecryptError::ExcessiveWork { required, .. } => {
            format!("asks for scrypt work factor {required}; the limit is {MAX_WORK_FACTOR}")
        }
        DecryptError::UnknownFormat => {
            "is of an unknown age version, or its header is damaged".into()
        }
        DecryptError::InvalidHeader => "is not an age file, or its header is damaged".into(),
        DecryptError::InvalidMac => "has a damaged header".into(),
        DecryptError::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            format!("holds a value over the limit of {MAX_VALUE_LEN} bytes")
        }
        DecryptError::Io(_) => "is truncated or altered".into(),
        _ => "does not decrypt".into(),
    }
}

/// Whether a key that is not there yet can fit `file`: nobody is asked for the passphrase of an SSH
/// key that the file was not encrypted to. Its header names each SSH recipient.
fn may_fit(source: &KeySource<Identity>, file: &[u8]) -> bool {
    let (None, Some(public)) = (source.peek(), source.public()) else {
        return true;
    };
    let (Some(tag), Ok(stanzas)) = (public.ssh_tag(), cipher::stanzas(file)) else {
        return true;
    };
    let is_ours = |(kind, args): &(String, Vec<String>)| {
        kind.starts_with("ssh-") && args.first() == Some(&tag)
    };
    stanzas.iter().any(is_ours)
}
