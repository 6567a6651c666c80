//! Files that hold private keys: age identities and SSH keys, in the clear or behind a passphrase.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use age::{
    DecryptError, Decryptor,
    armor::ArmoredReader,
    secrecy::{ExposeSecret, SecretString},
};
use zeroize::Zeroizing;

use crate::{
    cipher,
    key::{Identity, IdentityKind, KeyType, Recipient, ssh_recipient},
    private_file,
    source::{KeyError, KeySource},
};

/// Reads the private keys in a file, as `age -i` would: age identities one a line, the same behind
/// a passphrase (`age -p`, armored or not), or one SSH private key (ed25519 or RSA), with or
/// without a passphrase.
///
/// `passphrase` is asked only when such a key is needed, at most once; it gets the path.
/// `allow_insecure` takes files that others can read, which are refused otherwise.
///
/// # Errors
/// [`KeyError`]: the file cannot be read, is not a regular file, is open to others, or holds no key
/// that can be used. No error quotes the file.
pub fn read_identity_file<F>(
    path: &Path,
    allow_insecure: bool,
    passphrase: F,
) -> Result<KeySource<Identity>, KeyError>
where
    F: FnOnce(&Path) -> Result<SecretString, KeyError> + Send + 'static,
{
    let bytes = private_file::read(path, allow_insecure)?;
    let name = |what: &str| format!("{what} {}", path.display());
    if bytes.starts_with(b"age-encryption.org/v1") || bytes.starts_with(b"-----BEGIN AGE") {
        // Nobody is asked for the passphrase of what is no key file.
        locked(&bytes, path)?;
        let path = path.to_path_buf();
        let source = KeySource::callback(KeyType::Age, name("age identity"), move || {
            let passphrase = passphrase(&path)?;
            unlock_age(&bytes, &path, passphrase)
        });
        return Ok(source);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(KeyError::unusable(
            path,
            "is neither an age identity nor an SSH key",
        ));
    };
    if text.trim_start().starts_with("-----BEGIN") {
        return ssh_source(text.trim_start(), path, name("ssh key"), passphrase);
    }
    let identities = parse_age(text, path)?;
    Ok(KeySource::new(
        KeyType::Age,
        name("age identity"),
        identities,
    ))
}

/// Makes a file (0600) with a new age identity, as `age-keygen` writes it, unless there is a file of
/// that name; whether it did. Missing parent directories are made (0700).
///
/// Of two processes that try at once one makes it, and both find the same. When this returns `Ok`,
/// the file survives a power cut; a crash leaves the whole file or none.
///
/// # Errors
/// [`KeyError::Create`].
pub fn create_identity_file(path: &Path) -> Result<bool, KeyError> {
    create(path).map_err(|e| KeyError::Create {
        path: path.into(),
        source: Arc::new(e),
    })
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
        match line.parse() {
            Ok(identity) => identities.push(Identity(IdentityKind::Age(identity))),
            Err(_) => {
                let what = if line.parse::<Recipient>().is_ok() {
                    "is a public key; the private half is needed"
                } else if line.starts_with("AGE-PLUGIN-") {
                    "needs an age plugin, which is not supported"
                } else if line.starts_with("AGE-SECRET-KEY-PQ-") {
                    "is a post-quantum identity, which is not supported"
                } else {
                    "is no age identity"
                };
                let reason = format!("cannot be used: line {} {what}", number + 1);
                return Err(KeyError::unusable(path, reason));
            }
        }
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

fn ssh_source<F>(
    text: &str,
    path: &Path,
    name: String,
    passphrase: F,
) -> Result<KeySource<Identity>, KeyError>
where
    F: FnOnce(&Path) -> Result<SecretString, KeyError> + Send + 'static,
{
    use age::ssh::{Identity as Ssh, UnsupportedKey};

    let unusable = |reason: String| Err(KeyError::unusable(path, reason));
    let source = match Ssh::from_buffer(text.as_bytes(), None) {
        Err(_) => return unusable("is not an SSH private key of type ed25519 or RSA".into()),
        Ok(Ssh::Unsupported(UnsupportedKey::EncryptedPem)) => {
            return unusable(
                "has the old encrypted PEM format; convert it: ssh-keygen -o -p".into(),
            );
        }
        Ok(Ssh::Unsupported(UnsupportedKey::EncryptedSsh(cipher))) => {
            return unusable(format!(
                "is locked with the cipher {cipher}, which is not supported"
            ));
        }
        Ok(Ssh::Unsupported(UnsupportedKey::Hardware(kind) | UnsupportedKey::Type(kind))) => {
            return unusable(format!("is of type {kind}, which cannot decrypt"));
        }
        Ok(key @ Ssh::Unencrypted(_)) => {
            return Ok(KeySource::new(
                KeyType::Ssh,
                name,
                vec![Identity(IdentityKind::Ssh(key))],
            ));
        }
        Ok(key @ Ssh::Encrypted(_)) => {
            let public = ssh_recipient(&key);
            let path = path.to_path_buf();
            let source = KeySource::callback(KeyType::Ssh, name, move || {
                let Ssh::Encrypted(locked) = key else {
                    return Err(KeyError::unusable(&path, "is not locked"));
                };
                let unlocked = locked.decrypt(passphrase(&path)?);
                let unlocked = unlocked.map_err(|_| KeyError::WrongPassphrase { path })?;
                Ok(vec![Identity(IdentityKind::Ssh(unlocked.into()))])
            });
            match public {
                Ok(public) => source.with_public(Recipient(public)),
                Err(_) => source,
            }
        }
    };
    Ok(source)
}
