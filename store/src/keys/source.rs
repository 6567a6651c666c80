//! Where a key comes from: a value, or a callback that is asked at most once.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::keys::{Identity, KeyError, KeyType, Password, Recipient};

type Loader<T> = Box<dyn FnMut() -> Result<Keys<T>, KeyError> + Send>;

type Answer<T> = OnceLock<Result<Keys<T>, KeyError>>;

/// What a source holds.
pub(crate) struct Keys<T> {
    pub(crate) usable: Vec<T>,
    /// Why others beside them cannot be used.
    pub(crate) passed_over: Vec<KeyError>,
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Keys<T> {
    fn from(usable: Vec<T>) -> Self {
        Self {
            usable,
            passed_over: Vec::new(),
        }
    }
}

/// Keys of one type under one name, there already or to be fetched when first needed. Clones share
/// what is fetched.
///
/// A callback is called at most once, whatever it answers, and neither while the store's lock is held
/// nor beside another of the same handle; so it may ask a person. [`Identity`], [`Password`] and
/// [`Recipient`] values convert with `into`.
pub struct KeySource<T> {
    key_type: KeyType,
    name: String,
    /// What can be encrypted to without asking for the private half.
    public: Option<Recipient>,
    fetched: Arc<Fetched<T>>,
}

struct Fetched<T> {
    loader: Mutex<Option<Loader<T>>>,
    /// What it answered. A later one is asked for when those before it turn out to be wrong.
    answers: Box<[Answer<T>]>,
}

impl<T> Clone for KeySource<T> {
    fn clone(&self) -> Self {
        Self {
            key_type: self.key_type,
            name: self.name.clone(),
            public: self.public.clone(),
            fetched: Arc::clone(&self.fetched),
        }
    }
}

impl<T> KeySource<T> {
    pub(crate) fn new(key_type: KeyType, name: impl Into<String>, keys: Vec<T>) -> Self {
        Self::with(key_type, name, keys.into())
    }

    pub(crate) fn with(key_type: KeyType, name: impl Into<String>, keys: Keys<T>) -> Self {
        Self::of(key_type, name, None, [OnceLock::from(Ok(keys))])
    }

    /// Stands for a key that is unavailable, in its place among those that are tried. It fits no
    /// secret; an error says why.
    pub fn unavailable(name: impl Into<String>, error: KeyError) -> Self {
        Self::of(KeyType::Age, name, None, [OnceLock::from(Err(error))])
    }

    /// Keys of one type that `load` fetches when they are first needed.
    pub fn callback(
        key_type: KeyType,
        name: impl Into<String>,
        load: impl FnOnce() -> Result<Vec<T>, KeyError> + Send + 'static,
    ) -> Self {
        Self::once(key_type, name, || load().map(Keys::from))
    }

    pub(crate) fn once(
        key_type: KeyType,
        name: impl Into<String>,
        load: impl FnOnce() -> Result<Keys<T>, KeyError> + Send + 'static,
    ) -> Self {
        let mut load = Some(load);
        let again = || Err(KeyError::Unavailable("asked for once already".into()));
        let load = move || load.take().map_or_else(again, |load| load());
        Self::of(key_type, name, Some(Box::new(load)), [OnceLock::new()])
    }

    fn of(
        key_type: KeyType,
        name: impl Into<String>,
        loader: Option<Loader<T>>,
        answers: impl Into<Box<[Answer<T>]>>,
    ) -> Self {
        Self {
            key_type,
            name: name.into(),
            public: None,
            fetched: Arc::new(Fetched {
                loader: Mutex::new(loader),
                answers: answers.into(),
            }),
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

    /// The keys that the callback gave last; calls it if it was not called yet.
    pub(crate) fn load(&self) -> Result<&[T], KeyError> {
        let last = self.fetched.answers.iter().rposition(|a| a.get().is_some());
        // There is a first one.
        self.answer(last.unwrap_or(0)).unwrap_or(Ok(&[]))
    }

    /// The keys of this answer, asked for if need be; `None` if no more are.
    pub(crate) fn answer(&self, turn: usize) -> Option<Result<&[T], KeyError>> {
        let Fetched { loader, answers } = &*self.fetched;
        let answer = answers.get(turn)?.get_or_init(|| {
            match &mut *loader.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(load) => load(),
                None => Err(KeyError::Unavailable(format!("{} is empty", self.name))),
            }
        });
        Some(usable(answer))
    }

    /// The keys of this answer, if it was given already.
    pub(crate) fn answered(&self, turn: usize) -> Option<Result<&[T], KeyError>> {
        self.fetched.answers.get(turn)?.get().map(usable)
    }

    /// The last keys that were fetched, if any were.
    pub(crate) fn peek(&self) -> Option<Result<&[T], KeyError>> {
        self.last().map(usable)
    }

    /// Why keys beside those that are there cannot be used.
    pub(crate) fn passed_over(&self) -> &[KeyError] {
        match self.last() {
            Some(Ok(keys)) => &keys.passed_over,
            _ => &[],
        }
    }

    fn last(&self) -> Option<&Result<Keys<T>, KeyError>> {
        let mut answers = self.fetched.answers.iter().rev();
        answers.find_map(OnceLock::get)
    }
}

fn usable<T>(loaded: &Result<Keys<T>, KeyError>) -> Result<&[T], KeyError> {
    let keys = loaded.as_ref().map_err(Clone::clone)?;
    Ok(&keys.usable)
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

    /// A password that `ask` asks a person for: again while it is wrong, at most `tries` times for a
    /// handle and its clones.
    pub fn password_tries(
        name: impl Into<String>,
        tries: usize,
        mut ask: impl FnMut() -> Result<Password, KeyError> + Send + 'static,
    ) -> Self {
        let load = move || Ok(vec![ask()?.into()].into());
        let answers: Vec<Answer<T>> = (0..tries.max(1)).map(|_| OnceLock::new()).collect();
        Self::of(KeyType::Password, name, Some(Box::new(load)), answers)
    }
}

impl KeySource<Identity> {
    /// Names the recipients without running the callback, for a key that is locked, or far away.
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

    /// The recipients of these identities. Runs the callback if the public
    /// half is not known without it.
    ///
    /// # Errors
    /// The callback's; of a file, that some key in it cannot be used: all are meant, not some.
    pub fn recipients(&self) -> Result<Vec<Recipient>, KeyError> {
        if let Some(public) = &self.public {
            return Ok(vec![public.clone()]);
        }
        let keys = self.load()?;
        if let Some(error) = self.passed_over().first() {
            return Err(error.clone());
        }
        keys.iter()
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
            Err(KeyError::Unavailable("no terminal".into()))
        });
        assert!(source.peek().is_none());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(source.load().unwrap_err().to_string(), "no terminal"));
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
