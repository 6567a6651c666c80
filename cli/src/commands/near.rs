//! What an id that is not in the store may have been meant to be.

use posixage::{Error, Id, Pattern, Store};

use crate::failure::Failure;

/// How many ids a hint names.
const SHOWN: usize = 3;

/// The error of a command on one secret. Where there is no such secret, the hint names what is like it.
pub(crate) fn failure(store: &Store, error: Error) -> Failure {
    let hint = match &error {
        Error::NotFound { id } => hint(store, id),
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(store: &Store, missing: &Id) -> Option<String> {
    let ids = store.list(&Pattern::all()).ok()?.map(|entry| entry.id);
    let below = format!("{missing}/");
    let mut is_folder = false;
    let mut near: Vec<(usize, Id)> = Vec::new();
    for id in ids {
        is_folder |= id.as_str().starts_with(&below);
        if let Some(distance) = distance(missing.as_str(), id.as_str()) {
            near.push((distance, id));
        }
    }
    if is_folder {
        return Some(format!("{missing} is a folder: posixage list {missing}"));
    }
    near.sort();
    let near: Vec<&str> = near.iter().take(SHOWN).map(|(_, id)| id.as_str()).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// How far an id is from what was asked for; `None` if it is another.
fn distance(asked: &str, id: &str) -> Option<usize> {
    if id.eq_ignore_ascii_case(asked) {
        return Some(0);
    }
    // Without its folder, or with one that it does not have.
    let is_below =
        |folder: &str, id: &str| folder.strip_suffix(id).is_some_and(|f| f.ends_with('/'));
    if is_below(id, asked) || is_below(asked, id) {
        return Some(1);
    }
    let most = (asked.len() / 4).clamp(1, 3);
    if id.len().abs_diff(asked.len()) > most {
        return None;
    }
    let typos = strsim::damerau_levenshtein(&asked.to_lowercase(), &id.to_lowercase());
    (typos <= most).then_some(typos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_a_case_and_a_folder_are_near_and_another_id_is_not() {
        for (asked, id) in [
            ("db/passwrod", "db/password"),
            ("db/pasword", "db/password"),
            ("DB/Password", "db/password"),
            ("password", "db/password"),
            ("prod/db/password", "db/password"),
            ("x", "X"),
            ("ab", "ba"),
        ] {
            assert!(distance(asked, id).is_some(), "{asked} {id}");
        }
        for (asked, id) in [
            ("word", "db/password"),
            ("abc", "xyz"),
            ("db/a", "db/password"),
        ] {
            assert_eq!(distance(asked, id), None, "{asked} {id}");
        }
    }
}
