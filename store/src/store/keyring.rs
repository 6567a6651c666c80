//! The keys of a store handle, in the order in which they are tried.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, PoisonError},
};

use age::DecryptError;
use zeroize::Zeroizing;

use crate::{
    damage::Damage,
    disk::{root::Root, sealed::Sealed},
    error::{Attempt, Error, Misfit},
    id::Id,
    keys::{
        Identity, KeyError, KeySource, KeyType, MAX_WORK_FACTOR, Recipient,
        cipher::{self, Refusal},
        scrypt,
    },
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
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    /// What decrypts, in the order in which it is tried.
    pub(crate) identities: Vec<KeySource<Identity>>,
    /// What the caller encrypts to instead of the store's own recipients.
    pub(crate) recipients: Vec<KeySource<Recipient>>,
    /// Held while a callback runs: two that ask a person would read each other's answers.
    asking: Arc<Mutex<()>>,
    /// The most scrypt work that is done for a password.
    pub(crate) max_work_factor: u8,
}

impl Default for Keyring {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            recipients: Vec::new(),
            asking: Arc::default(),
            max_work_factor: MAX_WORK_FACTOR,
        }
    }
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

    /// The same of one of its answers; `None` if no more are asked for.
    fn answer<'a, T>(
        &self,
        source: &'a KeySource<T>,
        turn: usize,
    ) -> Option<Result<&'a [T], KeyError>> {
        source.answered(turn).or_else(|| {
            let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            source.answer(turn)
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
        let wanted = |source: &&KeySource<Identity>| only.is_none_or(|t| t == source.key_type());
        for source in self.identities.iter().filter(wanted) {
            tracing::debug!(%id, key = source.name(), "trying");
            let fails = |reason| Attempt {
                key: source.name().into(),
                reason,
            };
            if let Some(Err(error)) = source.peek() {
                attempts.push(fails(Misfit::Unavailable(error)));
                continue;
            }
            let key_type = source.key_type();
            let file = sealed.ciphertexts.iter().find(|(t, _)| *t == key_type);
            let Some((_, file)) = file else {
                // A key that was not fetched was not tried.
                if source.peek().is_some() {
                    attempts.push(fails(Misfit::NoCopy));
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
                attempts.push(fails(Misfit::NotARecipient));
                continue;
            }
            for turn in 0.. {
                let answer = match fetch {
                    Fetch::Allowed => self.answer(source, turn),
                    Fetch::Never => source.answered(turn),
                };
                let identities = match answer {
                    Some(Ok(identities)) => identities,
                    Some(Err(error)) => {
                        attempts.push(fails(Misfit::Unavailable(error)));
                        break;
                    }
                    None => break,
                };
                let mut is_wrong = false;
                for identity in identities {
                    match cipher::decrypt(file, identity, self.max_work_factor) {
                        Ok(value) => return Ok(value),
                        Err(error) => match self.judge(&error, key_type, file) {
                            Ok(misfit) => {
                                is_wrong |= matches!(misfit, Misfit::WrongPassword);
                                attempts.push(fails(misfit));
                            }
                            Err(damage) => {
                                damaged.get_or_insert((key_type, damage));
                            }
                        },
                    }
                }
                // Only a wrong password is asked for again.
                if !is_wrong {
                    break;
                }
            }
            let unusable = source.passed_over().iter().cloned();
            attempts.extend(unusable.map(|error| fails(Misfit::Unavailable(error))));
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

    /// Why a key does not open an age file that may be whole; otherwise what is wrong with the file.
    fn judge(&self, error: &Refusal, key_type: KeyType, file: &[u8]) -> Result<Misfit, Damage> {
        let Refusal::Age(error) = error else {
            return Err(Damage::HeaderTooLarge);
        };
        match error {
            DecryptError::NoMatchingKeys => Ok(Misfit::NotARecipient),
            DecryptError::DecryptionFailed if key_type == KeyType::Password => {
                Ok(Misfit::WrongPassword)
            }
            DecryptError::ExcessiveWork { required, .. } if *required <= MAX_WORK_FACTOR => {
                Ok(Misfit::TooMuchWork {
                    required: *required,
                    limit: self.max_work_factor,
                })
            }
            DecryptError::ExcessiveWork { required, .. } => Err(Damage::WorkFactor {
                required: *required,
            }),
            DecryptError::Io(e) if e.kind() == ErrorKind::OutOfMemory => Ok(Misfit::OutOfMemory {
                needed: scrypt::bytes(work_factor_of(file)),
            }),
            DecryptError::Io(e) if e.kind() == ErrorKind::FileTooLarge => {
                Err(Damage::ValueTooLarge)
            }
            DecryptError::Io(_) => Err(Damage::Altered),
            DecryptError::UnknownFormat => Err(Damage::UnknownVersion),
            DecryptError::InvalidHeader => Err(Damage::Header),
            DecryptError::InvalidMac => Err(Damage::HeaderAltered),
            _ => Err(Damage::Undecryptable),
        }
    }

    /// The recipients of these identities.
    pub(crate) fn readers(&self) -> Result<Vec<Recipient>, Error> {
        let mut recipients = Vec::new();
        for source in &self.identities {
            recipients.extend(self.recipients_of(source)?);
        }
        Ok(recipients)
    }

    /// The first password, fetched if need be.
    pub(crate) fn password(&self) -> Result<Option<Recipient>, Error> {
        let is_password = |s: &&KeySource<Identity>| s.key_type() == KeyType::Password;
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

/// The scrypt work factor that a file for a password asks for.
fn work_factor_of(file: &[u8]) -> u8 {
    let stanzas = cipher::stanzas(file).unwrap_or_default();
    let factor = stanzas.first().and_then(|(_, args)| args.get(1));
    factor
        .and_then(|factor| factor.parse().ok())
        .unwrap_or_default()
}

/// Whether a key that is not there yet can fit `file`: no passphrase is asked for an SSH
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
