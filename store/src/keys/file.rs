//! Files that hold keys: age identities and SSH keys, with or without a passphrase; passwords.

use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use age::{
    DecryptError,
    armor::ArmoredReader,
    secrecy::{ExposeSecret, SecretString},
};
use zeroize::Zeroizing;

use crate::keys::{
    Identity, IdentityKind, KeyError, KeySource, KeyType, MAX_WORK_FACTOR, Password, Recipient,
    RecipientKind,
    cipher::{self, Refusal},
    private_file,
    source::Keys,
    ssh,
};

type Ask = dyn FnMut(&Path) -> Result<SecretString, KeyError> + Send;

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
    /// What messages call it.
    path: PathBuf,
    /// Its content, if it is not a file.
    content: Option<Zeroizing<Vec<u8>>>,
    allow_insecure: bool,
    max_work_factor: u8,
    tries: u32,
    ask: Box<Ask>,
}

impl KeyFile {
    /// The file at `path`. Reads nothing yet.
    ///
    /// An anonymous pipe, such as a shell's `<(…)` or `/dev/fd/3`, is read to its end, and can be read
    /// only once. A FIFO with a name in the file system is refused: it may have no writer.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            content: None,
            allow_insecure: false,
            max_work_factor: MAX_WORK_FACTOR,
            tries: 1,
            ask: Box::new(|path| {
                let path = path.display();
                Err(KeyError::Unavailable(format!(
                    "key file {path} is locked, and no passphrase was given"
                )))
            }),
        }
    }

    /// The content of such a file that came another way, such as through a variable or standard input.
    /// `name` is what messages call it.
    pub fn from_content(name: impl Into<PathBuf>, content: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            content: Some(content.into()),
            ..Self::new(name)
        }
    }

    /// Takes a file that others can read or write; refused by default. For keys that are mounted into
    /// a container.
    pub fn allow_insecure_permissions(mut self, allow: bool) -> Self {
        self.allow_insecure = allow;
        self
    }

    /// The most scrypt work (log2 of N, 1..=22) that is done to try a passphrase: 22 by default.
    pub fn max_work_factor(mut self, work_factor: u8) -> Self {
        self.max_work_factor = work_factor.min(MAX_WORK_FACTOR);
        self
    }

    /// What asks for the passphrase of a file that is locked. It gets the path, is called when such
    /// a key is needed, at most once, and never while the store's lock is held.
    pub fn passphrase(
        mut self,
        ask: impl FnMut(&Path) -> Result<SecretString, KeyError> + Send + 'static,
    ) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// How many times [`passphrase`](Self::passphrase) is called, at most, while its answers are wrong:
    /// once by default.
    pub fn passphrase_tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Reads the private keys in the file, as `age -i` would: age identities one a line, the same
    /// passphrase-protected (`age -p`, armored or not), or one SSH private key (ed25519 or RSA), with
    /// or without a passphrase. At most 1 MiB.
    ///
    /// A file that is locked is read, and unlocked when its keys are needed. A line that cannot be
    /// used, such as the identity of an age plugin, is passed over beside one that can: an error names
    /// it only if no other key fits.
    ///
    /// # Errors
    /// [`KeyError`]: the file cannot be read, is not a regular file, is open to others, or holds no
    /// key that can be used. No error quotes the file.
    pub fn identities(mut self) -> Result<KeySource<Identity>, KeyError> {
        let bytes = self.read()?;
        let path = &self.path;
        let name = |what: &str| format!("{what} {}", path.display());
        let content = content_of(&bytes);
        if content.starts_with(b"age-encryption.org/v1") || content.starts_with(ARMOR) {
            // A file that holds no key is not worth a question.
            let file = locked(content, path)?;
            let name = name("age identity");
            return Ok(KeySource::once(KeyType::Age, name, move || {
                self.unlock(|file_of, passphrase| unlock_age(&file, file_of, passphrase))
            }));
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return Err(KeyError::unusable(
                path,
                match bytes.as_slice() {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16 text; save it as UTF-8",
                    _ => "is neither an age identity nor an SSH key",
                },
            ));
        };
        if !text.starts_with("-----BEGIN") {
            let keys = parse_age(text, path)?;
            return Ok(KeySource::with(KeyType::Age, name("age identity"), keys));
        }
        let key = ssh::parse_private_key(text)
            .map_err(|e| KeyError::unusable(path, format!("cannot be used: {e}")))?;
        let name = name("ssh key");
        Ok(self.ssh_source(name, key))
    }

    fn read(&mut self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self.content.take() {
            Some(content) => Ok(content),
            None => private_file::read(&self.path, self.allow_insecure),
        }
    }

    fn ssh_source(mut self, name: String, key: ssh::PrivateKey) -> KeySource<Identity> {
        let identities = |identity| vec![Identity(IdentityKind::Ssh(identity))];
        let key = match key {
            ssh::PrivateKey::Open(identity) => {
                return KeySource::new(KeyType::Ssh, name, identities(identity));
            }
            ssh::PrivateKey::Locked(key) => key,
        };
        let public = key.recipient();
        let source = KeySource::once(KeyType::Ssh, name, move || {
            self.unlock(|file_of, passphrase| match key.unlock(passphrase) {
                Some(identity) => Ok(identities(identity).into()),
                None => Err(KeyError::WrongPassphrase {
                    path: file_of.path.clone(),
                }),
            })
        });
        match public {
            Ok(public) => source.with_public(Recipient(RecipientKind::Ssh(public))),
            Err(_) => source,
        }
    }

    /// Asks for the passphrase until it opens the file, or as often as is allowed.
    fn unlock(
        &mut self,
        open: impl Fn(&Self, SecretString) -> Result<Keys<Identity>, KeyError>,
    ) -> Result<Keys<Identity>, KeyError> {
        let mut left = self.tries;
        loop {
            left -= 1;
            let passphrase = (self.ask)(&self.path)?;
            match open(self, passphrase) {
                Err(KeyError::WrongPassphrase { .. }) if left > 0 => {}
                opened => return opened,
            }
        }
    }

    /// Reads the password on the first line of the file.
    ///
    /// # Errors
    /// [`KeyError`]: the file cannot be read, is not a regular file, is open to others, or has no
    /// password on its first line.
    pub fn password(&self) -> Result<Password, KeyError> {
        let bytes = match &self.content {
            Some(content) => content.clone(),
            None => private_file::read(&self.path, self.allow_insecure)?,
        };
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
    /// If this file is lost, every secret that is encrypted to it alone is lost.
    ///
    /// # Errors
    /// [`KeyError::Create`].
    pub fn create(path: impl AsRef<Path>) -> Result<bool, KeyError> {
        let path = path.as_ref();
        create(path).map_err(|e| KeyError::Create {
            path: path.into(),
            error: Arc::new(e),
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

/// What age writes before what it has armored.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// The content without what editors and people put before a key: a byte order mark, and, before an
/// armored or PEM block, comments and blank lines.
fn content_of(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rest = bytes.trim_ascii_start();
    while rest.starts_with(b"#") {
        let end = rest.iter().position(|byte| *byte == b'\n');
        rest = rest[end.unwrap_or(rest.len())..].trim_ascii_start();
    }
    match rest.starts_with(b"-----BEGIN") {
        true => rest,
        // The comments count as lines where an error names one.
        false => bytes,
    }
}

fn parse_age(text: &str, path: &Path) -> Result<Keys<Identity>, KeyError> {
    let mut keys = Keys::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse() {
            Ok(identity) => keys.usable.push(identity),
            Err(e) => keys.passed_over.push(KeyError::unusable(
                path,
                format!("cannot be used: line {}: {e}", number + 1),
            )),
        }
    }
    if keys.usable.is_empty() {
        let first = keys.passed_over.into_iter().next();
        return Err(first.unwrap_or_else(|| KeyError::unusable(path, "holds no identity")));
    }
    Ok(keys)
}

/// An age file that a passphrase opens, out of its armor.
fn locked(content: &[u8], path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut file = Zeroizing::new(Vec::with_capacity(content.len()));
    let read = ArmoredReader::new(content).read_to_end(&mut file);
    match read
        .map_err(|_| ())
        .and_then(|_| cipher::is_scrypt(&file).map_err(|_| ()))
    {
        Ok(true) => Ok(file),
        Ok(false) => Err(KeyError::unusable(
            path,
            "is encrypted, but not with a passphrase",
        )),
        Err(()) => Err(KeyError::unusable(path, "is not a valid age file")),
    }
}

fn unlock_age(
    file: &[u8],
    file_of: &KeyFile,
    passphrase: SecretString,
) -> Result<Keys<Identity>, KeyError> {
    let path = &file_of.path;
    let unusable = |reason: String| KeyError::unusable(path, reason);
    let text = cipher::decrypt_scrypt(file, passphrase, file_of.max_work_factor);
    let text = text.map_err(|e| match e {
        Refusal::Age(DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys) => {
            KeyError::WrongPassphrase { path: path.into() }
        }
        Refusal::Age(DecryptError::ExcessiveWork { required, .. }) => unusable(format!(
            "asks for scrypt work factor {required}; the limit is {}",
            file_of.max_work_factor
        )),
        Refusal::Age(DecryptError::Io(e)) if e.kind() == io::ErrorKind::OutOfMemory => {
            unusable("takes more memory to unlock than there is".into())
        }
        _ => unusable("is damaged".into()),
    })?;
    match std::str::from_utf8(&text) {
        Ok(text) => parse_age(text, path),
        Err(_) => Err(unusable("holds no identity".into())),
    }
}
