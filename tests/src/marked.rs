//! Secrets that show their id, the write that made them, and that they are whole.

use posixage::{Id, Metadata, Secret};

use crate::chance::Chance;

/// Names one write.
pub type Mark = u64;

const KEY: &str = "mark";

/// The value that the write `mark` gives to `id`: its length is the mark's, too.
#[must_use]
pub fn value(id: &Id, mark: Mark) -> Vec<u8> {
    let mut chance = Chance::of(mark);
    let mut value = format!("{id} {mark} ").into_bytes();
    let len = chance.within(0..400);
    value.extend((0..len).flat_map(|_| chance.next().to_le_bytes()));
    value
}

/// The secret, with the mark in its metadata too: so a mix of two writes shows.
#[must_use]
pub fn secret(id: &Id, mark: Mark) -> Secret {
    let metadata: Metadata = [(KEY, mark.to_string())].into_iter().collect();
    Secret::new(value(id, mark)).with_metadata(metadata)
}

/// The ids that are written with `id` where many are: one before it, one behind it.
///
/// # Panics
/// `id` is too long for that.
#[must_use]
pub fn beside(id: &Id) -> [Id; 2] {
    ["first", "last"].map(|name| format!("{id}.{name}").parse().expect("an id"))
}

/// `--metadata`'s argument for the same.
#[must_use]
pub fn metadata_argument(mark: Mark) -> String {
    format!("{KEY}={mark}")
}

/// Which write made a value of `id`.
///
/// # Errors
/// No single write did.
pub fn mark_of_value(id: &Id, bytes: &[u8]) -> Result<Mark, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split(' ');
    let mark = (words.next() == Some(id.as_str()))
        .then(|| words.next().and_then(|word| word.parse().ok()))
        .flatten()
        .ok_or_else(|| format!("{id}: a value that was never written"))?;
    if value(id, mark) != bytes {
        return Err(format!("{id}: the value of write {mark} is not whole"));
    }
    Ok(mark)
}

/// Which write made a secret.
///
/// # Errors
/// No single write did.
pub fn mark_of(id: &Id, secret: &Secret) -> Result<Mark, String> {
    let mark = mark_of_value(id, secret.expose())?;
    let metadata = secret.metadata().and_then(|m| m.get(KEY));
    if metadata != Some(mark.to_string().as_str()) {
        return Err(format!(
            "{id}: the value of write {mark} with metadata {metadata:?}"
        ));
    }
    Ok(mark)
}
