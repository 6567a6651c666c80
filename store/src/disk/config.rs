//! `.posixage.toml`: the recipients of a store. The reference ignores it.

use serde::{Deserialize, Serialize};

use crate::{
    disk::{
        layout,
        root::{ReadError, Root},
    },
    error::Error,
    keys::{
        DEFAULT_WORK_FACTOR, KeyType, MAX_HEADER_LEN, MAX_WORK_FACTOR, Recipient,
        cipher::fit_into_header,
    },
};

/// What is wrong with a list of recipients that no header holds.
const TOO_MANY: &str = "names more recipients than an age header of 64 KiB holds";

/// The largest `.posixage.toml` in bytes (1 MiB).
const MAX_CONFIG_LEN: usize = 1 << 20;

/// The recipients of a store. Kept in the store, so that every writer
/// it encrypts to the same keys.
///
/// ```
/// # use posixage::{StoreConfig, Identity};
/// let mine = Identity::generate().to_recipient()?;
/// let backup = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj".parse()?;
/// let config = StoreConfig::new([mine, backup]);
/// # Ok::<(), posixage::ParseKeyError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreConfig {
    /// The age and SSH keys. A password is not among them: see [`password`](Self::password).
    pub recipients: Vec<Recipient>,
    /// Whether secrets are encrypted with a password as well.
    pub password: bool,
    /// The scrypt work factor (log2 of N) for new ciphertexts, 1..=22.
    pub work_factor: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    format: u32,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    password: bool,
    #[serde(default = "default_work_factor")]
    scrypt_work_factor: u8,
}

fn default_work_factor() -> u8 {
    DEFAULT_WORK_FACTOR
}

impl StoreConfig {
    /// Secrets are encrypted to these age and SSH keys. A password among them stands for
    /// [`with_password(true)`](Self::with_password): it is not kept.
    pub fn new(recipients: impl IntoIterator<Item = Recipient>) -> Self {
        let is_password = |recipient: &Recipient| recipient.key_type() == KeyType::Password;
        let (passwords, recipients): (Vec<_>, _) = recipients.into_iter().partition(is_password);
        Self {
            recipients,
            password: !passwords.is_empty(),
            work_factor: DEFAULT_WORK_FACTOR,
        }
    }

    /// The same with or without a password, which is not written down: each handle that writes is
    /// given it as an [`identity`](crate::StoreBuilder::identity).
    #[must_use]
    pub fn with_password(self, password: bool) -> Self {
        Self { password, ..self }
    }

    /// The same with this scrypt work factor (log2 of N, 1..=22) for what is encrypted with the
    /// password. Each step doubles the time and the memory that it takes to try one: 18, the default,
    /// takes about a second and 256 MiB.
    #[must_use]
    pub fn with_work_factor(self, work_factor: u8) -> Self {
        Self {
            work_factor,
            ..self
        }
    }

    /// Reads the file; `None` if the store has none.
    pub(crate) fn read(root: &Root) -> Result<Option<Self>, Error> {
        let path = root.path_of(layout::CONFIG);
        let bytes = match root.read_file(&root.dir, layout::CONFIG, MAX_CONFIG_LEN) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => bytes,
            Err(ReadError::Bad(damage)) => {
                let reason = damage.to_string();
                return Err(Error::Config { path, reason });
            }
            Err(ReadError::Io(source)) => return Err(Error::io("read", path, source)),
        };
        Self::parse(&bytes)
            .map(Some)
            .map_err(|reason| Error::Config { path, reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        if file.format != 1 {
            return Err(format!("has format {}; this version knows 1", file.format));
        }
        check_work_factor(file.scrypt_work_factor)?;
        let recipient = |(i, text): (usize, &String)| {
            text.parse()
                .map_err(|e| format!("recipient {}: {e}", i + 1))
        };
        // Bounded before any of it is parsed: a planted file is not worked on for long.
        if file.recipients.len() > MAX_HEADER_LEN / 64 {
            return Err(TOO_MANY.into());
        }
        let recipients = file.recipients.iter().enumerate().map(recipient);
        let recipients = recipients.collect::<Result<Vec<_>, String>>()?;
        if !fit_into_header(&recipients) {
            return Err(TOO_MANY.into());
        }
        Ok(Self {
            recipients,
            password: file.password,
            work_factor: file.scrypt_work_factor,
        })
    }

    /// Whether secrets have a copy for keys of this type.
    pub(crate) fn wants(&self, key_type: KeyType) -> bool {
        match key_type {
            KeyType::Password => self.password,
            _ => self
                .recipients
                .iter()
                .any(|recipient| recipient.key_type() == key_type),
        }
    }

    /// What [`read`](Self::read) reads.
    pub(crate) fn to_toml(&self) -> Result<String, String> {
        check_work_factor(self.work_factor)?;
        let mut types = self.recipients.iter().map(Recipient::key_type);
        if types.any(|key_type| key_type == KeyType::Password) {
            return Err("cannot name a password as a recipient".into());
        }
        if !fit_into_header(&self.recipients) {
            return Err(TOO_MANY.into());
        }
        let file = File {
            format: 1,
            recipients: self.recipients.iter().map(ToString::to_string).collect(),
            password: self.password,
            scrypt_work_factor: self.work_factor,
        };
        toml::to_string(&file).map_err(|e| e.to_string())
    }
}

pub(crate) fn check_work_factor(work_factor: u8) -> Result<(), String> {
    if (1..=MAX_WORK_FACTOR).contains(&work_factor) {
        return Ok(());
    }
    Err(format!(
        "scrypt work factor {work_factor} is not between 1 and {MAX_WORK_FACTOR}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::{Identity, KeySource, Password},
        secret::Secret,
        store::Store,
    };

    #[test]
    fn what_is_written_is_read() {
        let recipient = Identity::generate().to_recipient().unwrap();
        let config = StoreConfig::new([recipient.clone()])
            .with_password(true)
            .with_work_factor(12);
        let read = StoreConfig::parse(config.to_toml().unwrap().as_bytes()).unwrap();
        assert_eq!(read.recipients[0].to_string(), recipient.to_string());
        assert!(read.password);
        assert_eq!(read.work_factor, 12);
    }

    /// As its recipient's text it could not be read again.
    #[test]
    fn a_password_recipient_makes_a_store_with_a_password() {
        let password = || Password::new("correct horse").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let key = Identity::generate();
        let mut recipients = KeySource::from(key).recipients().unwrap();
        recipients.extend(
            KeySource::<Identity>::from(password())
                .recipients()
                .unwrap(),
        );
        let config = StoreConfig::new(recipients).with_work_factor(1);
        Store::init(&path, &config).unwrap();

        let store = Store::builder(&path).identity(password()).open().unwrap();
        let (made, id) = (store.config().unwrap(), "x".parse().unwrap());
        assert!(made.password);
        assert_eq!(made.recipients.len(), 1);
        store.create(&id, &Secret::new("value")).unwrap();
        assert_eq!(store.get(&id).unwrap().expose(), b"value");
    }

    #[test]
    fn a_password_among_the_recipients_is_refused_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut config = StoreConfig::new([]);
        config.recipients.push(Password::new("x").unwrap().into());
        let refused = Store::init(&path, &config).unwrap_err();
        assert!(matches!(refused, Error::Config { .. }), "{refused}");
        assert!(!path.exists());
    }

    #[test]
    fn what_this_version_does_not_understand_is_refused() {
        for bad in [
            "",
            "format = 2",
            "format = 1\nscrypt-work-factor = 0",
            "format = 1\nscrypt-work-factor = 23",
            "format = 1\nscrypt-work-factor = 300",
            "format = 1\nrecipients = [\"age1nonsense\"]",
            "format = 1\nrecipients = \"age1\"",
            "format = 1\nrecipient = []",
            "format = ",
        ] {
            assert!(StoreConfig::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(StoreConfig::parse(b"format = 1").is_ok());
    }

    /// Without the feature it would be written for fewer than the store names.
    #[test]
    fn a_store_for_ssh_keys_is_opened_with_the_feature_only() {
        let toml = "format = 1\nrecipients = [\"ssh-ed25519 \
            AAAAC3NzaC1lZDI1NTE5AAAAIDBv/efB2fIMPGH3Xo7XYg6o1QRNDEMPCX+5TycA4GVE\"]";
        let parsed = StoreConfig::parse(toml.as_bytes());
        match cfg!(feature = "ssh") {
            true => assert_eq!(parsed.unwrap().recipients.len(), 1),
            false => assert!(parsed.unwrap_err().starts_with("recipient 1: this program")),
        }
    }
}
