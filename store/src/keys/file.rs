//! Files that hold keys: age identities and SSH keys, in the clear or behind a passphrase; passwords.

use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use age::{
    DecryptError, Decryptor,
    armor::ArmoredReader,
    secrecy::{ExposeSecret, SecretString},
};
use zeroize::Zeroizing;

use crate::keys::{
    Identity, IdentityKind, KeyError, KeySource, KeyType, Password, Recipient, RecipientKind,
    cipher, private_file, ssh,
};

type Ask = dyn FnOnce(&Path) -> Result<SecretString, KeyError> + Send;

/// A file that holds a key: age identities, an SSH private key, or a password.
///
/// ```
/// use posixage::KeyFile;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("posixage/identity.txt");
///
/// KeyFile::create(&path)?;
/// let identities = KeyFile::new(&path).identities()?;
/// println!("encrypted to {:?}", identities.recipients()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is read before `identities` or `password` is called"]
pub struct KeyFile {
    path: PathBuf,
    allow_insecure: bool,
    ask: Box<Ask>,
}

impl KeyFile {
    /// The file at `path`. Reads nothing yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            allow_insecure: false,
            ask: Box::new(|path| {
                let path = path.display();
                Err(KeyError::Unavailable(format!(
                    "key file {path} is locked, and nobody is asked for its passphrase"
                )))
            }),
        }
    }

    /// Takes a file that others can read or write; refused by default. For keys that are mounted into
    /// a container.
    pub fn allow_insecure_permissions(mut self, allow: bool) -> Self {
        self.allow_insecure = allow;
        self
    }

    /// Who is asked for the passphrase of a file that is locked. It gets the path, is asked when such
    /// a key is needed, at most once, and never while the store's lock is held.
    pub fn passphrase(
        mut self,
        ask: impl FnOnce(&Path) -> Result<SecretString, KeyError> + Send + 'static,
    ) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// Reads the private keys in the file, as `age -i` would: age identities one a line, the same
    /// behind a passphrase (`age -p`, armored or not), or one SSH private key (ed25519 or RSA), with
    /// or without a passphrase. At most 1 MiB.
    ///
    /// A file that is locked is read, and unlocked when its keys are needed.
    ///
    /// # Errors
    /// [`KeyError`]: the file cannot be read, is not a regular file, is open to others, or holds no
    /// key that can be used. No error quotes the file.
    pub fn identities(self) -> Result<KeySource<Identity>, KeyError> {
        let path = &self.path;
        let bytes = private_file::read(path, self.allow_insecure)?;
        let name = |what: &str| format!("{what} {}", path.display());
        if bytes.starts_with(b"age-encryption.org/v1") || bytes.starts_with(b"-----BEGIN AGE") {
            // Nobody is asked for the passphrase of what is no key file.
            locked(&bytes, path)?;
            let name = name("age identity");
            let Self { path, ask, .. } = self;
            return Ok(KeySource::callback(KeyType::Age, name, move || {
                let passphrase = ask(&path)?;
                unlock_age(&bytes, &path, passphrase)
            }));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(KeyError::unusable(
                path,
                "is neither an age identity nor an SSH key",
            ));
        };
        if !text.trim_start().starts_with("-----BEGIN") {
            let identities = parse_age(text, path)?;
            return Ok(KeySource::new(
                KeyType::Age,
                name("age identity"),
                identities,
            ));
        }
        let key = ssh::parse_private_key(text.trim_start())
            .map_err(|e| KeyError::unusable(path, format!("cannot be used: {e}")))?;
        let name = name("ssh key");
        Ok(self.ssh_source(name, key))
    }

    fn ssh_source(self, name: String, key: ssh::PrivateKey) -> KeySource<Identity> {
        let identities = |identity| vec![Identity(IdentityKind::Ssh(identity))];
        let key = match key {
            ssh::PrivateKey::Open(identity) => {
                return KeySource::new(KeyType::Ssh, name, identities(identity));
            }
            ssh::PrivateKey::Locked(key) => key,
        };
        let public = key.recipient();
        let Self { path, ask, .. } = self;
        let source = KeySource::callback(KeyType::Ssh, name, move || {
            let unlocked = key.unlock(ask(&path)?);
            let identity = unlocked.ok_or(KeyError::WrongPassphrase { path })?;
            Ok(identities(identity))
        });
        match public {
            Ok(public) => source.with_public(Recipient(RecipientKind::Ssh(public))),
            Err(_) => source,
        }
    }

    /// Reads the password on the first line of the file.
    ///
    /// # Errors
    /// [`KeyError`]: the file cannot be read, is not a regular file, is open to others, or has no
    /// password on its first line.
    pub fn password(&self) -> Result<Password, KeyError> {
        let bytes = private_file::read(&self.path, self.allow_insecure)?;
        match Password::first_line(&bytes) {
            Ok(Some(password)) => Ok(password),
            Ok(None) => Err(KeyError::unusable(
                &self.path,
                "has no password on its first line",
            )),
            Err(_) => Err(KeyError::unusable(&self.path, "is not UTF-8")),
        }
    }

    /// Makes a file (0600) with a new age identity, as `age-keygen` writes it, unless there is a file
    /// of that name; whether it did. Missing parent directories are made (0700).
    ///
    /// Of two processes that try at once one makes it, and both find the same. When this returns
    /// `Ok`, the file survives a power cut; a crash leaves the whole file or none.
    ///
    /// Whoever loses this file loses every secret that is encrypted to it alone.
    ///
    /// # Errors
    /// [`KeyError::Create`].
    pub fn create(path: impl AsRef<Path>) -> Result<bool, KeyError> {
        let path = path.as_ref();
        create(path).map_err(|e| KeyError::Create {
            path: path.into(),
            source: Arc::new(e),
        })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("allow_insecure", &self.allow_insecure)
            .finish_non_exhaustive()
    }
}

fn create(path: &Path) -> io::Result<bool> {
    private_file::create(path, || {
        let identity = age::x25519::Identity::generate();
        let public = identity.to_public().to_string();
        let secret = identity.to_string();
        let lines = [
            "# public key: ",
            &public,
            "\n",
            secret.expose_secret(),
            "\n",
        ];
        Zeroizing::new(lines.concat())
    })
}

fn parse_age(text: &str, path: &Path) -> Result<Vec<Identity>, KeyError> {
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        identities.push(line.parse().map_err(|e| {
            KeyError::unusable(path, format!("cannot be used: line {}: {e}", number + 1))
        })?);
    }
    if identities.is_empty() {
        return Err(KeyError::unusable(path, "holds no identity"));
    }
    Ok(identities)
}

/// An age file that a passphrase opens.
fn locked<'a>(bytes: &'a [u8], path: &Path) -> Result<Decryptor<impl Read + use<'a>>, KeyError> {
    let decryptor = Decryptor::new(ArmoredReader::new(bytes))
        .map_err(|_| KeyError::unusable(path, "is not a valid age file"))?;
    if !decryptor.is_scrypt() {
        return Err(KeyError::unusable(
            path,
            "is encrypted, but not with a passphrase",
        ));
    }
    Ok(decryptor)
}

fn unlock_age(
    bytes: &[u8],
    path: &Path,
    passphrase: SecretString,
) -> Result<Vec<Identity>, KeyError> {
    let unusable = |reason: &str| KeyError::unusable(path, reason);
    let decryptor = locked(bytes, path)?;
    let text = cipher::decrypt_scrypt(decryptor, passphrase, bytes.len()).map_err(|e| match e {
        DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys => {
            KeyError::WrongPassphrase { path: path.into() }
        }
        DecryptError::ExcessiveWork { .. } => unusable("asks for more scrypt work than is allowed"),
        _ => unusable("is damaged"),
    })?;
    match std::str::from_utf8(&text) {
        Ok(text) => parse_age(text, path),
        Err(_) => Err(unusable("holds no identity")),
    }
}
