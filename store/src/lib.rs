#![doc = include_str!("guide.md")]

mod builder;
mod cipher;
mod commit;
mod config;
mod directory;
mod error;
mod filter;
mod finding;
mod header;
mod id;
mod init;
mod interruptible;
mod key;
mod key_error;
mod key_file;
mod keyring;
mod metadata;
mod parallel;
mod password;
mod pattern;
mod private_file;
mod rename;
mod root;
mod scrypt;
mod secret;
mod set_many;
mod source;
#[cfg_attr(not(feature = "ssh"), path = "no_ssh.rs")]
mod ssh;
mod stage;
mod store;
mod sweep;
mod tree;
mod verify;
mod write;

/// What wipes a text from memory, and hides it from `Debug`: a passphrase, a private key.
pub use age::secrecy;
pub use builder::Builder;
pub use cipher::DEFAULT_WORK_FACTOR;
pub use config::Config;
pub use error::{Attempt, Error};
pub use finding::{Finding, Problem};
pub use id::{Id, MAX_ID_LEN, ParseIdError};
pub use key::{Identity, KeyType, ParseKeyError, Recipient};
pub use key_error::KeyError;
pub use key_file::KeyFile;
pub use metadata::{MAX_METADATA_LEN, Metadata};
pub use password::Password;
pub use pattern::{MAX_PATTERN_LEN, Pattern};
/// The store's lock file, and how to wait for it.
pub use posixage_lock as lock;
pub use scrypt::MAX_WORK_FACTOR;
pub use secret::{MAX_VALUE_LEN, Secret};
pub use set_many::SetManyError;
pub use source::KeySource;
pub use store::{Entry, Store};
pub use verify::Verify;
pub use write::Change;

/// Whatever is public goes from thread to thread, and what is read is read from many.
const _: () = {
    const fn send<T: Send + 'static>() {}
    const fn send_and_sync<T: Send + Sync + 'static>() {}
    send::<(Builder, KeyFile)>();
    send_and_sync::<(Store, Entry, Change, Config, Verify, Finding, Problem)>();
    send_and_sync::<(Id, Pattern, Metadata, Secret)>();
    send_and_sync::<(KeySource<Identity>, KeySource<Recipient>, KeyType)>();
    send_and_sync::<(Identity, Recipient, Password)>();
    send_and_sync::<(Error, SetManyError, Attempt, KeyError)>();
    send_and_sync::<(ParseIdError, ParseKeyError)>();
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
