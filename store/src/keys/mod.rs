//! Keys: recipients to encrypt to, and identities to decrypt with.

pub(crate) mod cipher;
mod error;
mod file;
mod memory;
pub(crate) mod password;
pub(crate) mod private_file;
pub(crate) mod scrypt;
pub(crate) mod source;
#[cfg_attr(not(feature = "ssh"), path = "no_ssh.rs")]
mod ssh;

pub use self::{
    cipher::{DEFAULT_WORK_FACTOR, MAX_HEADER_LEN},
    error::KeyError,
    file::KeyFile,
    password::Password,
    scrypt::MAX_WORK_FACTOR,
    source::KeySource,
};

use std::{fmt, str::FromStr};

use age::secrecy::SecretString;

/// The three kinds of key, each with a ciphertext file of its own in a secret's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
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

/// A public key or password that a value is encrypted to.
///
/// Parses from `age1…`, `ssh-ed25519 …` and `ssh-rsa …` (a comment after the key is dropped) and
/// prints as the same; a password comes from [`Recipient::from`] and prints as `password`.
#[derive(Clone)]
pub struct Recipient(pub(crate) RecipientKind);

#[derive(Clone)]
pub(crate) enum RecipientKind {
    Age(age::x25519::Recipient),
    Ssh(ssh::Recipient),
    Password(Password),
}

/// Why a text is no key that can be used. Does not quote the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParseKeyError {
    reason: String,
}

impl ParseKeyError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
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

    /// How many bytes it takes in the header of an age file, at most.
    pub(crate) fn stanza_len(&self) -> usize {
        match &self.0 {
            // Two lines: 32 bytes each, in base64.
            RecipientKind::Age(_) => 99,
            RecipientKind::Ssh(_) if self.to_string().starts_with("ssh-ed25519") => 124,
            // As many bytes as the key has, up to 512, in lines of 64.
            RecipientKind::Ssh(_) => 720,
            RecipientKind::Password(_) => 0,
        }
    }

    /// How the header of an age file names an SSH recipient; it does not name others.
    pub(crate) fn ssh_tag(&self) -> Option<String> {
        match &self.0 {
            RecipientKind::Ssh(recipient) => ssh::tag(recipient),
            _ => None,
        }
    }
}

impl FromStr for Recipient {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return Err(ParseKeyError::new(
                "this is a file's content; a recipient is a line, age1… or ssh-ed25519 …",
            ));
        }
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(ParseKeyError::new(
                "this is a private key; a recipient is its public half, age1…",
            ));
        }
        let starts = ["age1", "ssh-ed25519", "ssh-rsa", "ecdsa-", "sk-ssh-"];
        let is_start = |word: &&str| starts.iter().any(|start| word.starts_with(start));
        if text.lines().nth(1).is_some() || text.split_whitespace().filter(is_start).count() > 1 {
            return Err(ParseKeyError::new("several recipients where one belongs"));
        }
        if text.starts_with("ssh-") {
            return ssh::parse_recipient(text).map(RecipientKind::Ssh).map(Self);
        }
        if let Ok(recipient) = text.parse() {
            return Ok(Self(RecipientKind::Age(recipient)));
        }
        Err(ParseKeyError::new(if text.starts_with("age1pq1") {
            "post-quantum recipients are not supported"
        } else if text.starts_with("ecdsa-") || text.starts_with("sk-") {
            "SSH keys of this type cannot decrypt; ssh-ed25519 and ssh-rsa can"
        } else if let Some((_, rest)) = text.split_once("age1")
            && text.starts_with("age1")
            && rest.contains('1')
        {
            "recipients of age plugins are not supported"
        } else if text.starts_with("age1") {
            "this age recipient has a wrong checksum: a character is mistyped or missing"
        } else {
            "neither age1…, ssh-ed25519 … nor ssh-rsa …"
        }))
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

/// What decrypts: the private half of a key pair, or a password.
///
/// Parses from `AGE-SECRET-KEY-1…`, and from the text of an SSH private key (ed25519 or RSA) without
/// passphrase; a password comes from [`Identity::from`]. One in a file, locked or not, comes from
/// [`KeyFile::identities`](crate::KeyFile::identities).
#[derive(Clone)]
pub struct Identity(pub(crate) IdentityKind);

#[derive(Clone)]
pub(crate) enum IdentityKind {
    Age(age::x25519::Identity),
    Ssh(ssh::Identity),
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
    /// An SSH key whose public half age does not encrypt to: RSA over 4096 bits.
    pub fn to_recipient(&self) -> Result<Recipient, ParseKeyError> {
        Ok(Recipient(match &self.0 {
            IdentityKind::Age(identity) => RecipientKind::Age(identity.to_public()),
            IdentityKind::Ssh(identity) => RecipientKind::Ssh(ssh::recipient_of(identity)?),
            IdentityKind::Password(password) => RecipientKind::Password(password.clone()),
        }))
    }

    /// The `AGE-SECRET-KEY-1…` line of a native age identity, to be written to a file that no
    /// other user can read; `None` for other types.
    #[must_use]
    pub fn to_age_secret_key(&self) -> Option<SecretString> {
        match &self.0 {
            IdentityKind::Age(identity) => Some(identity.to_string()),
            _ => None,
        }
    }
}

impl FromStr for Identity {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return match ssh::parse_private_key(text)? {
                ssh::PrivateKey::Open(identity) => Ok(Self(IdentityKind::Ssh(identity))),
                ssh::PrivateKey::Locked(_) => Err(ParseKeyError::new(
                    "this SSH key is locked with a passphrase",
                )),
            };
        }
        if let Ok(identity) = text.parse() {
            return Ok(Self(IdentityKind::Age(identity)));
        }
        Err(ParseKeyError::new(if text.parse::<Recipient>().is_ok() {
            "this is a public key; the private half is needed"
        } else if text.starts_with("AGE-PLUGIN-") {
            "this needs an age plugin, which is not supported"
        } else if text.starts_with("AGE-SECRET-KEY-PQ-") {
            "this is a post-quantum identity, which is not supported"
        } else if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-1") {
            "this age identity has a wrong checksum: a character is mistyped or missing"
        } else {
            "this is no age identity"
        }))
    }
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
    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn recipients_print_as_they_parse() {
        let ed25519 =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDBv/efB2fIMPGH3Xo7XYg6o1QRNDEMPCX+5TycA4GVE";
        let age = Identity::generate().to_recipient().unwrap().to_string();
        assert_eq!(age.parse::<Recipient>().unwrap().to_string(), age);
        let commented = format!("  {ed25519} zoe@example.com\n");
        for text in [ed25519, &commented] {
            let parsed = text
                .parse::<Recipient>()
                .map(|recipient| recipient.to_string());
            match cfg!(feature = "ssh") {
                true => assert_eq!(parsed.unwrap(), ed25519),
                false => assert!(parsed.unwrap_err().to_string().contains("without support")),
            }
        }
    }

    #[test]
    fn an_identity_comes_back_from_its_text() {
        let identity = Identity::generate();
        let text = identity.to_age_secret_key().unwrap();
        let parsed: Identity = format!(" {}\n", text.expose_secret()).parse().unwrap();
        assert_eq!(
            parsed.to_recipient().unwrap(),
            identity.to_recipient().unwrap()
        );
    }

    #[test]
    fn what_is_no_identity_says_why_without_quoting_it() {
        let public = Identity::generate().to_recipient().unwrap().to_string();
        for (text, why) in [
            (&*public, "public key"),
            ("AGE-PLUGIN-YUBIKEY-1CANARY", "plugin"),
            ("AGE-SECRET-KEY-PQ-1CANARY", "post-quantum"),
            ("AGE-SECRET-KEY-1CANARY", "wrong checksum"),
            ("age-secret-key-1canary", "wrong checksum"),
            ("-----BEGIN CANARY-----", "SSH"),
            ("", "no age identity"),
        ] {
            let error = text.parse::<Identity>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("CANARY") && !error.contains(&public));
        }
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
    fn several_recipients_in_one_text_are_none() {
        let [a, b] = [(); 2].map(|()| Identity::generate().to_recipient().unwrap().to_string());
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDBv/efB2fIMPGH3Xo7XYg6o1QRNDEMPCX+5TycA4GVE";
        for text in [
            format!("{a} {b}"),
            format!("{a}\n{b}\n"),
            format!("{a},{b}"),
            format!("# mine\n{a}"),
            format!("{ssh} {a}"),
            format!("{ssh} zoe@example.com {ssh}"),
            format!("{ssh}\n{a}"),
        ] {
            assert!(text.parse::<Recipient>().is_err(), "{text:?}");
        }
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
