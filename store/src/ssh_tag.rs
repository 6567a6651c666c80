//! How the header of an age file names an SSH recipient.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};

use crate::key::{Recipient, RecipientKind};

/// The tag of the stanza for `recipient`: the first four bytes of the SHA-256 of the public key in
/// SSH's wire format (C2SP age-ssh). `None` for other types of key.
pub(crate) fn ssh_tag(recipient: &Recipient) -> Option<String> {
    let RecipientKind::Ssh(recipient) = &recipient.0 else {
        return None;
    };
    let text = recipient.to_string();
    let wire = BASE64_STANDARD.decode(text.split(' ').nth(1)?).ok()?;
    Some(BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(wire)[..4]))
}
