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
    keys::{Identity, IdentityKind, KeyType, Recipient, RecipientKind, scrypt, ssh},
    secret::MAX_VALUE_LEN,
};

/// The scrypt work factor (log2 of N) that is written unless told otherwise: age's own default.
pub const DEFAULT_WORK_FACTOR: u8 = 18;

/// The largest age file that can hold a value: the value, a tag for each 64 KiB, and a header.
pub(crate) const MAX_CIPHERTEXT_LEN: usize = MAX_VALUE_LEN + MAX_VALUE_LEN / 4096 + (1 << 20);

/// The value once per key type among the recipients.
pub(crate) fn encrypt(
    value: &[u8],
    recipients: &[Recipient],
    work_factor: u8,
) -> Result<BTreeMap<KeyType, Vec<u8>>, EncryptError> {
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
        let _share = (key_type == KeyType::Password).then(|| scrypt::Share::wait_for(work_factor));
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
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let decryptor = Decryptor::new_buffered(file)?;
    match &identity.0 {
        IdentityKind::Age(identity) => decrypt_with(decryptor, identity, file.len()),
        IdentityKind::Ssh(identity) => decrypt_with(decryptor, identity, file.len()),
        IdentityKind::Password(password) => {
            decrypt_scrypt(decryptor, password.secret().clone(), file.len())
        }
    }
}

pub(crate) fn decrypt_scrypt<R: Read>(
    decryptor: Decryptor<R>,
    passphrase: SecretString,
    capacity: usize,
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    decrypt_with(decryptor, &scrypt::Identity::new(passphrase), capacity)
}

/// `capacity`, the length of the ciphertext, is more than the value takes: a buffer that grows
/// leaves copies of the value behind.
fn decrypt_with<R: Read>(
    decryptor: Decryptor<R>,
    identity: &dyn age::Identity,
    capacity: usize,
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let mut reader = decryptor.decrypt(std::iter::once(identity))?;
    let mut value = Zeroizing::new(Vec::with_capacity(capacity));
    reader.read_to_end(&mut value)?;
    if value.len() > MAX_VALUE_LEN {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
    }
    Ok(value)
}

/// The tags and arguments of the recipient stanzas in the header of `file`.
///
/// # Errors
/// The header is not that of an age file.
pub(crate) fn stanzas(file: &[u8]) -> Result<Vec<(String, Vec<String>)>, DecryptError> {
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
    match Decryptor::new_buffered(file)?.decrypt(std::iter::once(&recorder as _)) {
        Ok(_) | Err(DecryptError::NoMatchingKeys) => {}
        Err(error) => return Err(error),
    }
    Ok(recorder.0.into_inner().unwrap_or_default())
}
