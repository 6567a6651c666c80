#![doc = include_str!("guide.md")]

mod commit;
mod damage;
mod disk;
mod error;
mod id;
mod keys;
mod metadata;
mod parallel;
mod pattern;
mod secret;
mod store;
mod syscall;
mod text;

/// What wipes a text from memory, and hides it from `Debug`: a passphrase, a private key.
pub use age::secrecy;
pub use damage::Damage;
pub use disk::config::StoreConfig;
pub use error::{Attempt, Error, Misfit};
pub use id::{Id, MAX_ID_LEN, ParseIdError};
pub use keys::{
    DEFAULT_WORK_FACTOR, Identity, KeyError, KeyFile, KeySource, KeyType, MAX_HEADER_LEN,
    MAX_WORK_FACTOR, ParseKeyError, Password, Recipient,
};
pub use metadata::{MAX_METADATA_LEN, Metadata};
pub use pattern::{MAX_PATTERN_LEN, Pattern};
/// The store's lock file, and how to wait for it.
pub use posixage_lock as lock;
pub use secret::{MAX_VALUE_LEN, Secret};
pub use store::{
    Change, Entry, Filter, Finding, List, Problem, SetManyError, Store, StoreBuilder, VerifyOptions,
};
#[doc(hidden)]
pub use text::is_invisible;
/// What wipes bytes from memory: a value, the content of a key file.
pub use zeroize;

/// Whatever is public goes from thread to thread, and what is read is read from many.
const _: () = {
    const fn send<T: Send + 'static>() {}
    const fn send_and_sync<T: Send + Sync + 'static>() {}
    send::<(StoreBuilder, KeyFile, Filter, List)>();
    send_and_sync::<(
        Store,
        Entry,
        Change,
        StoreConfig,
        VerifyOptions,
        Finding,
        Problem,
    )>();
    send_and_sync::<(Id, Pattern, Metadata, Secret)>();
    send_and_sync::<(KeySource<Identity>, KeySource<Recipient>, KeyType)>();
    send_and_sync::<(Identity, Recipient, Password)>();
    send_and_sync::<(Error, SetManyError, Attempt, Damage, KeyError, Misfit)>();
    send_and_sync::<(ParseIdError, ParseKeyError)>();
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
