//! Replaces `ssh.rs` without the crate feature `ssh`: there are no such keys, and
//! the compiler knows it.

use std::fmt;

use age::{DecryptError, secrecy::SecretString};
use age_core::format::{FileKey, Stanza};

use crate::keys::ParseKeyError;

#[derive(Clone)]
pub(crate) enum Recipient {}

#[derive(Clone)]
pub(crate) enum Identity {}

#[expect(dead_code, reason = "there are none")]
pub(crate) enum PrivateKey {
    Open(Identity),
    Locked(LockedKey),
}

pub(crate) enum LockedKey {}

pub(crate) fn parse_recipient(_: &str) -> Result<Recipient, ParseKeyError> {
    Err(unsupported())
}

pub(crate) fn recipient_of(identity: &Identity) -> Result<Recipient, ParseKeyError> {
    match *identity {}
}

pub(crate) fn parse_private_key(_: &str) -> Result<PrivateKey, ParseKeyError> {
    Err(unsupported())
}

fn unsupported() -> ParseKeyError {
    ParseKeyError::new("this program was built without support for SSH keys")
}

impl LockedKey {
    pub(crate) fn recipient(&self) -> Result<Recipient, ParseKeyError> {
        match *self {}
    }

    pub(crate) fn unlock(&self, _: SecretString) -> Option<Identity> {
        match *self {}
    }
}

pub(crate) fn to_age(recipient: &Recipient) -> Box<dyn age::Recipient> {
    match *recipient {}
}

pub(crate) fn tag(recipient: &Recipient) -> Option<String> {
    match *recipient {}
}

impl fmt::Display for Recipient {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        match *self {}
    }
}
