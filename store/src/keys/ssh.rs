//! SSH keys (ed25519, RSA), as age encrypts to them. Without the crate feature `ssh`, `no_ssh.rs` stands
//! in its place.

use age::{
    secrecy::SecretString,
    ssh::{ParseRecipientKeyError, UnsupportedKey},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};

use crate::keys::ParseKeyError;

pub(crate) use age::ssh::{Identity, Recipient};

/// A private key as it lies in a file.
pub(crate) enum PrivateKey {
    Open(Identity),
    Locked(LockedKey),
}

/// A passphrase-protected private key.
pub(crate) struct LockedKey(Identity);

pub(crate) fn parse_recipient(text: &str) -> Result<Recipient, ParseKeyError> {
    text.parse().map_err(|e| refusal(&e))
}

/// The public half.
pub(crate) fn recipient_of(identity: &Identity) -> Result<Recipient, ParseKeyError> {
    let recipient = Recipient::try_from(identity.clone()).map_err(|e| refusal(&e))?;
    // Only the parser refuses RSA keys under 2048 bits: what is written down must be read again.
    parse_recipient(&recipient.to_string())
}

fn refusal(error: &ParseRecipientKeyError) -> ParseKeyError {
    use ParseRecipientKeyError as Ssh;
    match error {
        Ssh::RsaModulusTooSmall => ParseKeyError::new("the RSA key is shorter than 2048 bits"),
        Ssh::RsaModulusTooLarge => ParseKeyError::new("the RSA key is longer than 4096 bits"),
        Ssh::Unsupported(kind) => {
            ParseKeyError::new(format!("SSH keys of type {kind} cannot decrypt"))
        }
        _ => ParseKeyError::new("not an ssh-ed25519 or ssh-rsa public key"),
    }
}

/// What a PEM block holds that is no key we can use, and what to do about it.
fn misplaced(text: &str) -> Option<&'static str> {
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    Some(match label {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
            "the format PKCS#8 is not supported; convert a copy of the file: ssh-keygen -p -f COPY"
        }
        "RSA PRIVATE KEY" if rest.contains("DEK-Info:") => {
            "the old encrypted PEM format is not supported; convert a copy of the file: \
             ssh-keygen -p -f COPY"
        }
        "EC PRIVATE KEY" => "ECDSA keys cannot decrypt; ed25519 and RSA keys can",
        "DSA PRIVATE KEY" => "DSA keys cannot decrypt; ed25519 and RSA keys can",
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "SSH2 PUBLIC KEY" => {
            "this is a public key; the private half is needed"
        }
        "CERTIFICATE" => "this is a certificate; a private key is needed",
        "PGP PRIVATE KEY BLOCK" | "PGP PUBLIC KEY BLOCK" => {
            "this is a PGP key, which age cannot use"
        }
        _ => return None,
    })
}

pub(crate) fn parse_private_key(text: &str) -> Result<PrivateKey, ParseKeyError> {
    if let Some(reason) = misplaced(text) {
        return Err(ParseKeyError::new(reason));
    }
    let unsupported = match Identity::from_buffer(text.as_bytes(), None) {
        Ok(key @ Identity::Unencrypted(_)) => return Ok(PrivateKey::Open(key)),
        Ok(key @ Identity::Encrypted(_)) => return Ok(PrivateKey::Locked(LockedKey(key))),
        Ok(Identity::Unsupported(key)) => key,
        Err(_) => {
            return Err(ParseKeyError::new(
                "not an SSH private key of type ed25519 or RSA",
            ));
        }
    };
    Err(match unsupported {
        UnsupportedKey::EncryptedPem => ParseKeyError::new(
            "the old encrypted PEM format is not supported; convert a copy of the file: \
             ssh-keygen -p -f COPY",
        ),
        UnsupportedKey::EncryptedSsh(cipher) => ParseKeyError::new(format!(
            "the SSH key is locked with the cipher {cipher}, which is not supported"
        )),
        UnsupportedKey::Hardware(kind) | UnsupportedKey::Type(kind) => ParseKeyError::new(format!(
            "SSH keys of type {kind} cannot decrypt; ed25519 and RSA keys can"
        )),
    })
}

impl LockedKey {
    /// The public half; a file shows it without the passphrase.
    pub(crate) fn recipient(&self) -> Result<Recipient, ParseKeyError> {
        recipient_of(&self.0)
    }

    /// `None`: the passphrase is wrong.
    pub(crate) fn unlock(&self, passphrase: SecretString) -> Option<Identity> {
        match &self.0 {
            Identity::Encrypted(key) => key.decrypt(passphrase).ok().map(Identity::from),
            open => Some(open.clone()),
        }
    }
}

pub(crate) fn to_age(recipient: &Recipient) -> Box<dyn age::Recipient> {
    Box::new(recipient.clone())
}

/// How the header of an age file names a recipient: the first four bytes of the SHA-256 of the public
/// key in SSH's wire format (C2SP age-ssh).
pub(crate) fn tag(recipient: &Recipient) -> Option<String> {
    let text = recipient.to_string();
    let wire = BASE64_STANDARD.decode(text.split(' ').nth(1)?).ok()?;
    Some(BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(wire)[..4]))
}
