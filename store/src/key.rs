//! Keys: who a value is encrypted to, and who can decrypt it.

use std::{fmt, path::Path, str::FromStr};

use age::secrecy::{ExposeSecret, SecretString};

use crate::{private_file, source::KeyError};

/// The three kinds of key, each with a ciphertext file of its own in a secret's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// A password, stretched with scrypt.
    Password,
    /// A native age key pair (X25519).
    Age,
    /// An SSH key pair (ed25519 or RSA).
    Ssh,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Password, Self::Age, Self::Ssh];

    /// The name of the ciphertext file. No other name in a secret's directory is a ciphertext.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Password => "secretpass",
            Self::Age => "secretage",
            Self::Ssh => "secretssh",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "password",
            Self::Age => "age",
            Self::Ssh => "ssh",
        })
    }
}

/// A password without the white space around it, wiped when dropped.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Trims surrounding white space; `None` if nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        (!trimmed.is_empty()).then(|| Self(trimmed.into()))
    }

    /// The first line of a file.
    ///
    /// # Errors
    /// [`KeyError`]: the file cannot be read, is not a regular file, is open to others (unless
    /// `allow_insecure`), or has nothing on its first line.
    pub fn from_file(path: &Path, allow_insecure: bool) -> Result<Self, KeyError> {
        let bytes = private_file::read(path, allow_insecure)?;
        let line = bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        match std::str::from_utf8(line).map(Self::new) {
            Ok(Some(password)) => Ok(password),
            Ok(None) => Err(KeyError::unusable(
                path,
                "has no password on its first line",
            )),
            Err(_) => Err(KeyError::unusable(path, "is not UTF-8")),
        }
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Somebody a value is encrypted to.
///
/// Parses from `age1…`, `ssh-ed25519 …` and `ssh-rsa …` (a comment behind the key is dropped) and
/// prints as the same; a password comes from [`Recipient::from`] and prints as `password`.
#[derive(Clone)]
pub struct Recipient(pub(crate) RecipientKind);

#[derive(Clone)]
pub(crate) enum RecipientKind {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
    Password(Password),
}

/// Why a text is not a [`Recipient`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParseRecipientError {
    reason: String,
}

impl Recipient {
    /// Which ciphertext file it is for.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match &self.0 {
            RecipientKind::Age(_) => KeyType::Age,
            RecipientKind::Ssh(_) => KeyType::Ssh,
            RecipientKind::Password(_) => KeyType::Password,
        }
    }
}

impl FromStr for Recipient {
    type Err = ParseRecipientError;

    fn from_str(text: &str) -> Result<Self, ParseRecipientError> {
        use age::ssh::ParseRecipientKeyError as Ssh;

        let error = |reason: &str| ParseRecipientError {
            reason: reason.into(),
        };
        let text = text.trim();
        if text.starts_with("ssh-") {
            return text
                .parse()
                .map(RecipientKind::Ssh)
                .map(Self)
                .map_err(|e| match e {
                    Ssh::RsaModulusTooSmall => error("the RSA key is shorter than 2048 bits"),
                    Ssh::RsaModulusTooLarge => error("the RSA key is longer than 4096 bits"),
                    Ssh::Unsupported(kind) => {
                        error(&format!("SSH keys of type {kind} cannot decrypt"))
                    }
                    _ => error("not an ssh-ed25519 or ssh-rsa public key"),
                });
        }
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(error(
                "this is a private key; a recipient is its public half, age1…",
            ));
        }
        if text.starts_with("age1pq1") {
            return Err(error("post-quantum recipients are not supported"));
        }
        match text.parse() {
            Ok(recipient) => Ok(Self(RecipientKind::Age(recipient))),
            Err(_) => Err(error("neither age1…, ssh-ed25519 … nor ssh-rsa …")),
        }
    }
}

impl From<Password> for Recipient {
    fn from(password: Password) -> Self {
        Self(RecipientKind::Password(password))
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (RecipientKind::Password(a), RecipientKind::Password(b)) => a == b,
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RecipientKind::Age(recipient) => recipient.fmt(f),
            RecipientKind::Ssh(recipient) => recipient.fmt(f),
            RecipientKind::Password(_) => f.write_str("password"),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// Somebody who can decrypt: the private half of a key pair, or a password.
#[derive(Clone)]
pub struct Identity(pub(crate) IdentityKind);

#[derive(Clone)]
pub(crate) enum IdentityKind {
    Age(age::x25519::Identity),
    Ssh(age::ssh::Identity),
    Password(Password),
}

impl Identity {
    /// A new age identity, from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(IdentityKind::Age(age::x25519::Identity::generate()))
    }

    /// Which ciphertext file it reads.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match &self.0 {
            IdentityKind::Age(_) => KeyType::Age,
            IdentityKind::Ssh(_) => KeyType::Ssh,
            IdentityKind::Password(_) => KeyType::Password,
        }
    }

    /// The public half; a password is its own.
    ///
    /// # Errors
    /// An SSH key whose public half age cannot encrypt to.
    pub fn to_recipient(&self) -> Result<Recipient, ParseRecipientError> {
        Ok(Recipient(match &self.0 {
            IdentityKind::Age(identity) => RecipientKind::Age(identity.to_public()),
            IdentityKind::Ssh(identity) => ssh_recipient(identity)?,
            IdentityKind::Password(password) => RecipientKind::Password(password.clone()),
        }))
    }

    /// The `AGE-SECRET-KEY-1…` line of a native age identity, to be written to a file that nobody
    /// else may read; `None` for other types.
    #[must_use]
    pub fn to_age_secret_key(&self) -> Option<SecretString> {
        match &self.0 {
            IdentityKind::Age(identity) => Some(identity.to_string()),
            _ => None,
        }
    }
}

pub(crate) fn ssh_recipient(
    identity: &age::ssh::Identity,
) -> Result<RecipientKind, ParseRecipientError> {
    age::ssh::Recipient::try_from(identity.clone())
        .map(RecipientKind::Ssh)
        .map_err(|_| ParseRecipientError {
            reason: "age cannot encrypt to this SSH key".into(),
        })
}

impl From<Password> for Identity {
    fn from(password: Password) -> Self {
        Self(IdentityKind::Password(password))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ..)", self.key_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_trimmed_and_an_empty_one_is_none() {
        assert_eq!(
            Password::new(" \tpass word\r\n"),
            Password::new("pass word")
        );
        assert_eq!(Password::new(" \n"), None);
    }

    #[test]
    fn recipients_print_as_they_parse() {
        let ed25519 =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDBv/efB2fIMPGH3Xo7XYg6o1QRNDEMPCX+5TycA4GVE";
        let age = Identity::generate().to_recipient().unwrap().to_string();
        for text in [ed25519, &age] {
            assert_eq!(text.parse::<Recipient>().unwrap().to_string(), text);
        }
        let commented = format!("  {ed25519} zoe@example.com\n");
        assert_eq!(commented.parse::<Recipient>().unwrap().to_string(), ed25519);
    }

    #[test]
    fn what_is_no_recipient_says_why_without_quoting_it() {
        let secret = Identity::generate().to_age_secret_key().unwrap();
        let error = secret.expose_secret().parse::<Recipient>().unwrap_err();
        assert!(error.to_string().contains("private key"));
        assert!(!error.to_string().contains("AGE-SECRET"));
        assert!("age1xyz".parse::<Recipient>().is_err());
        assert!("ssh-dss AAAA".parse::<Recipient>().is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = Identity::generate();
        let password = Password::new("canary").unwrap();
        let shown = format!(
            "{identity:?} {password:?} {:?} {:?}",
            Identity::from(password.clone()),
            Recipient::from(password.clone())
        );
        assert!(
            !shown.contains("canary") && !shown.contains("SECRET"),
            "{shown}"
        );
    }
}
