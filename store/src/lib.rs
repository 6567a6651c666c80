//! A secret store for machines without a desktop keyring: one age-encrypted directory per secret, a
//! lock file that coordinates processes, and commits that a power cut cannot tear.
//!
//! Compatible on disk, both ways, with the posixage store of docker/secrets-engine.
//!
//! ```
//! use posixage::{Config, Identity, Secret, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("store");
//! let identity = Identity::generate();
//! let config = Config { recipients: vec![identity.to_recipient()?], ..Config::default() };
//! Store::init(&path, &config)?;
//!
//! let store = Store::builder(&path).identity(identity).open()?;
//! let id = "registry.example.com/token".parse()?;
//! store.set(&id, &Secret::new("hunter2"))?;
//! assert_eq!(store.get(&id)?.expose(), b"hunter2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod identity_file;
mod init;
mod interruptible;
mod key;
mod keyring;
mod metadata;
mod parallel;
mod pattern;
mod private_file;
mod rename;
mod root;
mod scrypt;
mod secret;
mod source;
mod ssh_tag;
mod stage;
mod store;
mod sweep;
mod tree;
mod verify;
mod write;

pub use age::secrecy;
pub use builder::Builder;
pub use cipher::DEFAULT_WORK_FACTOR;
pub use config::Config;
pub use error::{Attempt, Error};
pub use finding::{Finding, Problem};
pub use id::{Id, MAX_ID_LEN, ParseIdError};
pub use identity_file::{create_identity_file, read_identity_file};
pub use key::{Identity, KeyType, ParseRecipientError, Password, Recipient};
pub use metadata::{MAX_METADATA_LEN, Metadata, MetadataError};
pub use pattern::{MAX_PATTERN_LEN, Pattern};
pub use posixage_lock as lock;
pub use scrypt::MAX_WORK_FACTOR;
pub use secret::{MAX_VALUE_LEN, Secret};
pub use source::{KeyError, KeySource};
pub use store::{Entry, Store};
pub use verify::Verify;
pub use write::Change;
