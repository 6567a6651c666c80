//! A row of writes to one id, and what may be found of it at any point.

use std::{collections::BTreeSet, path::Path};

use crate::{
    marked,
    subject::{State, Subject},
};

/// What was found in the states that something bad may leave.
#[derive(Debug, Default)]
pub struct Survey {
    /// What the id held.
    pub found: BTreeSet<State>,
    /// What did not hold, and in which state.
    pub losses: Vec<String>,
}

impl Survey {
    /// One more state.
    pub fn add(&mut self, found: Result<State, String>, state: impl FnOnce() -> String) {
        match found {
            Ok(found) => drop(self.found.insert(found)),
            Err(loss) => self.losses.push(format!("{loss}; {}", state())),
        }
    }
}

/// What may be found of writes that take the id from one state of `row` to the next, when these
/// numbers of them have been acknowledged: what is acknowledged, or what is under way.
#[must_use]
pub fn allowed(row: &[State], acknowledged: &BTreeSet<usize>) -> Vec<State> {
    let at = |n: &usize| -> BTreeSet<State> { row.iter().skip(*n).take(2).copied().collect() };
    let all = acknowledged
        .iter()
        .map(at)
        .reduce(|a, b| a.intersection(&b).copied().collect());
    all.unwrap_or_default().into_iter().collect()
}

/// Reads a copy of the store with the real binary, then with the library, which then writes.
///
/// # Errors
/// What was lost.
pub fn look(subject: &Subject, root: &Path, allowed: &[State]) -> Result<State, String> {
    let id = subject.id();
    let get = subject.sandbox().posixage(["--store"]).arg(root);
    let get = get.args(["get", id.as_str()]).run();
    let said = match get.status.code() {
        Some(0) => Some(marked::mark_of_value(id, &get.stdout)?),
        Some(3) => None,
        _ => return Err(get.err()),
    };
    let found = subject.survives_at(root, allowed)?;
    match said == found {
        true => Ok(found),
        false => Err(format!("posixage said {said:?}, the library {found:?}")),
    }
}
