//! What the header of an age file tells without a key.

use crate::{
    damage::Damage,
    disk::config::StoreConfig,
    keys::{
        KeyType, MAX_WORK_FACTOR, Recipient,
        cipher::{self, Refusal},
    },
    store::finding::Problem,
};

/// Whether a ciphertext is an age file for its type of key, with work that we would do, encrypted to
/// the recipients that the store names.
pub(crate) fn check(
    file: &[u8],
    key_type: KeyType,
    config: Option<&StoreConfig>,
) -> Option<Problem> {
    let stanzas = match cipher::stanzas(file) {
        Ok(stanzas) => stanzas,
        Err(Refusal::HeaderTooLarge) => {
            let reason = Damage::HeaderTooLarge;
            return Some(Problem::Damaged { reason });
        }
        Err(Refusal::Age(_)) => {
            let reason = Damage::Header;
            return Some(Problem::Damaged { reason });
        }
    };
    let wanted = config.map(|config| {
        let of_type = |recipient: &&Recipient| recipient.key_type() == key_type;
        config.recipients.iter().filter(of_type).collect::<Vec<_>>()
    });
    let differ = |reason: String| Some(Problem::Recipients { reason });
    match key_type {
        KeyType::Password => {
            let [(tag, args)] = stanzas.as_slice() else {
                return differ("is not encrypted with one password".into());
            };
            let factor = args.get(1).and_then(|factor| factor.parse::<u8>().ok());
            match factor {
                Some(1..=MAX_WORK_FACTOR) if tag == "scrypt" => {}
                Some(factor) if tag == "scrypt" => {
                    let reason = Damage::WorkFactor { required: factor };
                    return Some(Problem::Damaged { reason });
                }
                _ => return differ("is not encrypted with a password".into()),
            }
            if config.is_some_and(|config| !config.password) {
                return differ(
                    "is encrypted with a password, and the store says that none is".into(),
                );
            }
            None
        }
        KeyType::Age => {
            // A native recipient is not named in the header: all that it tells is how many.
            let count = stanzas.iter().filter(|(tag, _)| tag == "X25519").count();
            let wanted = wanted.map_or(count, |wanted| wanted.len());
            if count == 0 {
                return differ("is not encrypted to an age recipient".into());
            }
            if count != wanted {
                return differ(format!(
                    "is encrypted to {count} age recipients, not to {wanted}"
                ));
            }
            None
        }
        KeyType::Ssh => {
            let tags: Vec<&String> = stanzas
                .iter()
                .filter(|(tag, _)| tag.starts_with("ssh-"))
                .filter_map(|(_, args)| args.first())
                .collect();
            if tags.is_empty() {
                return differ("is not encrypted to an ssh recipient".into());
            }
            let wanted = wanted?;
            let missing = |recipient: &&&Recipient| {
                recipient.ssh_tag().is_some_and(|tag| !tags.contains(&&tag))
            };
            if let Some(recipient) = wanted.iter().find(missing) {
                return differ(format!("is not encrypted to {recipient}"));
            }
            if tags.len() > wanted.len() {
                return differ("is encrypted to more ssh recipients than the store names".into());
            }
            None
        }
    }
}
