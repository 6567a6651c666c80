//! Where a key comes from: a value, or a callback that is asked at most once.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::keys::{Identity, KeyError, KeyType, Password, Recipient};

type Loader<T> = Box<dyn FnOnce() -> Result<Vec<T>, KeyError> + Send>;

/// Keys of one type under one name, there already or to be fetched when first needed.
///
/// A callback runs at most once, whatever it answers, and neither while the store's lock is held nor
/// beside another of the same handle; so it may ask a person. [`Identity`], [`Password`] and
/// [`Recipient`] values convert with `into`.
pub struct KeySource<T> {
    key_type: KeyType,
    name: String,
    /// What can be encrypted to without asking for the private half.
    public: Option<Recipient>,
    loader: Mutex<Option<Loader<T>>>,
    loaded: OnceLock<Result<Vec<T>, KeyError>>,
}

impl<T> KeySource<T> {
    pub(crate) fn new(key_type: KeyType, name: impl Into<String>, keys: Vec<T>) -> Self {
        Self {
            key_type,
            name: name.into(),
            public: None,
            loader: Mutex::new(None),
            loaded: OnceLock::from(Ok(keys)),
        }
    }

    /// Keys of one type that `load` fetches when they are first needed.
    pub fn callback(
        key_type: KeyType,
        name: impl Into<String>,
        load: impl FnOnce() -> Result<Vec<T>, KeyError> + Send + 'static,
    ) -> Self {
        Self {
            key_type,
            name: name.into(),
            public: None,
            loader: Mutex::new(Some(Box::new(load))),
            loaded: OnceLock::new(),
        }
    }

    /// Which ciphertext file these keys are for.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What messages call these keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys; runs the callback if it has not run yet.
    pub(crate) fn load(&self) -> Result<&[T], KeyError> {
        let loaded = self.loaded.get_or_init(|| {
            let loader = self
                .loader
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            // None only if the callback panicked the first time it ran.
            loader.map_or_else(
                || {
                    Err(KeyError::Unavailable(format!(
                        "{} failed before",
                        self.name
                    )))
                },
                |load| load(),
            )
        });
        loaded.as_deref().map_err(Clone::clone)
    }

    /// The keys if they are there, and nobody needs to be asked.
    pub(crate) fn peek(&self) -> Option<Result<&[T], KeyError>> {
        self.loaded
            .get()
            .map(|l| l.as_deref().map_err(Clone::clone))
    }
}

impl<T: From<Password>> KeySource<T> {
    /// A password that `load` fetches when it is first needed: from a person, with
    /// [`Password::from_command`], or [`KeyFile::password`](crate::KeyFile::password).
    ///
    /// ```
    /// # use posixage::{Identity, KeySource, Password};
    /// let source: KeySource<Identity> = KeySource::password("the vault's password", || {
    ///     let mut command = std::process::Command::new("pass");
    ///     command.args(["show", "posixage"]);
    ///     Password::from_command(command)
    /// });
    /// ```
    pub fn password(
        name: impl Into<String>,
        load: impl FnOnce() -> Result<Password, KeyError> + Send + 'static,
    ) -> Self {
        Self::callback(KeyType::Password, name, || Ok(vec![load()?.into()]))
    }
}

impl KeySource<Identity> {
    /// Says whom to encrypt to without running the callback, for a key that is locked, or far away.
    ///
    /// ```
    /// use posixage::{Identity, KeyError, KeySource, KeyType};
    ///
    /// # let recipient = Identity::generate().to_recipient()?;
    /// let source: KeySource<Identity> = KeySource::callback(KeyType::Age, "the vault's key", || {
    ///     Err(KeyError::Unavailable("the vault does not answer".into()))
    /// })
    /// .with_public(recipient);
    /// assert_eq!(source.recipients()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_public(mut self, recipient: Recipient) -> Self {
        self.public = Some(recipient);
        self
    }

    pub(crate) fn public(&self) -> Option<&Recipient> {
        self.public.as_ref()
    }

    /// Whom to encrypt to so that these identities can decrypt. Runs the callback if the public
    /// half is not known without it.
    ///
    /// # Errors
    /// The callback's.
    pub fn recipients(&self) -> Result<Vec<Recipient>, KeyError> {
        if let Some(public) = &self.public {
            return Ok(vec![public.clone()]);
        }
        self.load()?
            .iter()
            .map(|identity| self.recipient(identity))
            .collect()
    }

    /// The same as far as it is known without running the callback.
    #[must_use]
    pub fn known_recipients(&self) -> Option<Vec<Recipient>> {
        if let Some(public) = &self.public {
            return Some(vec![public.clone()]);
        }
        self.peek()?
            .ok()?
            .iter()
            .map(|identity| self.recipient(identity).ok())
            .collect()
    }

    fn recipient(&self, identity: &Identity) -> Result<Recipient, KeyError> {
        let recipient = identity.to_recipient();
        recipient.map_err(|e| KeyError::Unavailable(format!("{}: {e}", self.name)))
    }
}

impl From<Identity> for KeySource<Identity> {
    fn from(identity: Identity) -> Self {
        Self::new(
            identity.key_type(),
            format!("{} identity", identity.key_type()),
            vec![identity],
        )
    }
}

impl From<Password> for KeySource<Identity> {
    fn from(password: Password) -> Self {
        Self::new(KeyType::Password, "password", vec![password.into()])
    }
}

impl From<Recipient> for KeySource<Recipient> {
    fn from(recipient: Recipient) -> Self {
        Self::new(recipient.key_type(), recipient.to_string(), vec![recipient])
    }
}

impl From<Password> for KeySource<Recipient> {
    fn from(password: Password) -> Self {
        Recipient::from(password).into()
    }
}

impl<T> fmt::Debug for KeySource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource")
            .field("key_type", &self.key_type)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may panic")]
    fn a_callback_runs_once_whatever_it_answers() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let source: KeySource<Identity> = KeySource::callback(KeyType::Age, "asked", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Err(KeyError::Unavailable("nobody there".into()))
        });
        assert!(source.peek().is_none());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(source.load().unwrap_err().to_string(), "nobody there"));
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
