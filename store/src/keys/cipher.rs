//! Encrypting a value to recipients, and decrypting it with an identity, with the age crate.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::Mutex,
};

use age::{DecryptError, Decryptor, EncryptError, Encryptor, secrecy::SecretString};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use crate::{
    keys::{
        Identity, IdentityKind, KeyType, Recipient, RecipientKind,
        scrypt::{self, Scarce, Share},
        ssh,
    },
    secret::MAX_VALUE_LEN,
};

/// The scrypt work factor (log2 of N) that is written unless told otherwise: age's own default.
pub const DEFAULT_WORK_FACTOR: u8 = 18;

/// The largest header of an age file that is read or written, in bytes (64 KiB): some 600 age
/// recipients, or 80 RSA keys. The time that age takes for one grows with its square.
pub const MAX_HEADER_LEN: usize = 64 << 10;

/// The largest age file that can hold a value: the value, a tag for each 64 KiB, and a header.
pub(crate) const MAX_CIPHERTEXT_LEN: usize = MAX_VALUE_LEN + MAX_VALUE_LEN / 4096 + MAX_HEADER_LEN;

/// What comes before the last line of a header, and nowhere else in it.
const HEADER_END: &[u8] = b"\n---";

/// Why an age file was not opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its header is over [`MAX_HEADER_LEN`].
    HeaderTooLarge,
    Age(DecryptError),
}

impl<E: Into<DecryptError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Age(error.into())
    }
}

/// Why a value was not encrypted.
#[derive(Debug)]
pub(crate) enum NotEncrypted {
    Scarce(Scarce),
    Age(EncryptError),
}

impl<E: Into<EncryptError>> From<E> for NotEncrypted {
    fn from(error: E) -> Self {
        Self::Age(error.into())
    }
}

/// Whether a file can be encrypted to all of these within [`MAX_HEADER_LEN`]. age puts a few
/// stanzas of its own devising among them.
pub(crate) fn fit_into_header<'r>(recipients: impl IntoIterator<Item = &'r Recipient>) -> bool {
    const FRAME: usize = 2048;
    let mut len: BTreeMap<KeyType, usize> = BTreeMap::new();
    for recipient in recipients {
        *len.entry(recipient.key_type()).or_insert(FRAME) += recipient.stanza_len();
    }
    len.into_values().all(|len| len <= MAX_HEADER_LEN)
}

/// The file, if its header ends within [`MAX_HEADER_LEN`].
fn checked(file: &[u8]) -> Result<&[u8], Refusal> {
    if file.len() <= MAX_HEADER_LEN {
        return Ok(file);
    }
    let mut windows = file[..MAX_HEADER_LEN].windows(HEADER_END.len());
    match windows.any(|window| window == HEADER_END) {
        true => Ok(file),
        false if file.starts_with(b"age-encryption.org/v1\n") => Err(Refusal::HeaderTooLarge),
        false => Err(DecryptError::InvalidHeader.into()),
    }
}

/// The value once per key type among the recipients.
pub(crate) fn encrypt(
    value: &[u8],
    recipients: &[Recipient],
    work_factor: u8,
) -> Result<BTreeMap<KeyType, Vec<u8>>, NotEncrypted> {
    let mut by_type: BTreeMap<KeyType, Vec<Box<dyn age::Recipient>>> = BTreeMap::new();
    for recipient in recipients {
        let age: Box<dyn age::Recipient> = match &recipient.0 {
            RecipientKind::Age(recipient) => Box::new(recipient.clone()),
            RecipientKind::Ssh(recipient) => ssh::to_age(recipient),
            RecipientKind::Password(password) => {
                let mut scrypt = age::scrypt::Recipient::new(password.secret().clone());
                // The crate's own choice times the machine: a weaker file on a busy one.
                scrypt.set_work_factor(work_factor);
                Box::new(scrypt)
            }
        };
        by_type.entry(recipient.key_type()).or_default().push(age);
    }
    let encrypt_one = |(key_type, recipients): (KeyType, Vec<Box<dyn age::Recipient>>)| {
        let _share = match key_type {
            KeyType::Password => Some(Share::wait_for(work_factor).map_err(NotEncrypted::Scarce)?),
            _ => None,
        };
        let recipients = recipients.iter().map(Box::as_ref);
        let mut file = Vec::with_capacity(value.len() + value.len() / 4096 + 1024);
        let mut writer = Encryptor::with_recipients(recipients)?.wrap_output(&mut file)?;
        writer.write_all(value)?;
        writer.finish()?;
        Ok((key_type, file))
    };
    by_type.into_iter().map(encrypt_one).collect()
}

/// The value in `file`, if `identity` can decrypt it.
pub(crate) fn decrypt(
    file: &[u8],
    identity: &Identity,
    max_work_factor: u8,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let open = |identity: &dyn age::Identity| {
        let decryptor = Decryptor::new_buffered(checked(file)?)?;
        decrypt_with(decryptor, identity, file.len())
    };
    match &identity.0 {
        IdentityKind::Age(identity) => open(identity),
        IdentityKind::Ssh(identity) => open(identity),
        IdentityKind::Password(password) => {
            decrypt_scrypt(file, password.secret().clone(), max_work_factor)
        }
    }
}

/// What is in an age file that a passphrase opens.
pub(crate) fn decrypt_scrypt(
    file: &[u8],
    passphrase: SecretString,
    max_work_factor: u8,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let decryptor = Decryptor::new_buffered(checked(file)?)?;
    let identity = scrypt::Identity::new(passphrase, max_work_factor);
    decrypt_with(decryptor, &identity, file.len())
}

/// Whether an age file, of which the header is read, is one that a passphrase opens.
pub(crate) fn is_scrypt(file: &[u8]) -> Result<bool, Refusal> {
    Ok(Decryptor::new_buffered(checked(file)?)?.is_scrypt())
}

/// `capacity`, the length of the ciphertext, is more than the value takes: a buffer that grows
/// leaves copies of the value behind.
fn decrypt_with<R: Read>(
    decryptor: Decryptor<R>,
    identity: &dyn age::Identity,
    capacity: usize,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut reader = decryptor.decrypt(std::iter::once(identity))?;
    let mut value = Zeroizing::new(Vec::with_capacity(capacity));
    reader.read_to_end(&mut value)?;
    if value.len() > MAX_VALUE_LEN {
        return Err(DecryptError::from(io::Error::from(io::ErrorKind::FileTooLarge)).into());
    }
    Ok(value)
}

/// The tags and arguments of the recipient stanzas in the header of `file`.
///
/// # Errors
/// The header is not that of an age file, or too large.
pub(crate) fn stanzas(file: &[u8]) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    /// An identity that fits nothing and remembers what it was shown.
    struct Recorder(Mutex<Vec<(String, Vec<String>)>>);

    impl age::Identity for Recorder {
        fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
            if let Ok(mut seen) = self.0.lock() {
                seen.push((stanza.tag.clone(), stanza.args.clone()));
            }
            None
        }
    }

    let recorder = Recorder(Mutex::default());
    match Decryptor::new_buffered(checked(file)?)?.decrypt(std::iter::once(&recorder as _)) {
        Ok(_) | Err(DecryptError::NoMatchingKeys) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(recorder.0.into_inner().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(count: usize) -> Vec<Recipient> {
        let recipient = |_| Identity::generate().to_recipient().expect("a recipient");
        (0..count).map(recipient).collect()
    }

    #[test]
    fn as_many_recipients_as_fit_are_written_and_read() {
        let mut all = recipients(600);
        let identity = Identity::generate();
        all.push(identity.to_recipient().unwrap());
        assert!(fit_into_header(&all));
        let files = encrypt(b"value", &all, 1).unwrap();
        let value = decrypt(&files[&KeyType::Age], &identity, 22).unwrap();
        assert_eq!(*value, b"value");
        assert!(!fit_into_header(&recipients(650)));
    }

    /// age would work on the largest of these for minutes.
    #[test]
    fn a_header_over_the_limit_is_refused_unparsed() {
        let line = "-> X25519 CqQFkcnC5eAMMIbB3XoaIwN4Hjt5pdOMAQHSgmJbLxg\n";
        let body = "uY9Pp8cTwTVRcGG5vzOgy0zkWhOiVUN1oZuKPgkLmzc\n";
        let stanza = format!("{line}{body}");
        let long_line = format!("-> x {}\n\n", "a".repeat(MAX_HEADER_LEN));
        let long_body = format!("-> x\n{}\n", format!("{}\n", "A".repeat(64)).repeat(2000));
        for stanzas in [stanza.repeat(100_000), long_line, long_body] {
            let file = format!("age-encryption.org/v1\n{stanzas}--- AAAA\nvalue");
            let refused = stanzas_of(&file).unwrap_err();
            assert!(matches!(refused, Refusal::HeaderTooLarge), "{refused:?}");
            let refused = decrypt(file.as_bytes(), &Identity::generate(), 22).unwrap_err();
            assert!(matches!(refused, Refusal::HeaderTooLarge), "{refused:?}");
        }
        let zeros = "\0".repeat(10 << 20);
        assert!(matches!(stanzas_of(&zeros), Err(Refusal::Age(_))));
    }

    fn stanzas_of(file: &str) -> Result<Vec<(String, Vec<String>)>, Refusal> {
        stanzas(file.as_bytes())
    }
}
