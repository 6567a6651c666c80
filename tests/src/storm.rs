//! What many processes did to one store at once, and whether what they read, and what is there in the
//! end, can have come about in any order.
//!
//! Each operation is written down with the time before it and the time after it, by one clock of the
//! machine; an operation of a killed process ends at the latest with the process. Two operations that
//! overlap may have happened in either order. So a value may be found if its write
//! began before the finder ended, and if no write that was acknowledged lies wholly between the
//! two.

use std::{collections::HashMap, fmt, time::Duration};

use posixage::Id;
use rustix::time::{ClockId, clock_gettime};

use crate::{marked::Mark, subject::State};

/// The time by which all processes write down what they do, in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::try_from(now).expect("a time after the machine's start");
    u64::try_from(now.as_nanos()).expect("a time that fits")
}

/// What was done to one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A value, or nothing, was found.
    Read(State),
    /// A value, or nothing, was written.
    Write(State),
    /// A value replaced what was found, under one lock.
    Update(State, Mark),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Record {
    /// On what.
    pub id: Id,
    /// What it was.
    pub deed: Deed,
    /// When it had not begun yet.
    pub begun: u64,
    /// When it had ended.
    pub ended: u64,
    /// Whether it is known to have happened.
    pub acknowledged: bool,
}

impl Record {
    fn read(&self) -> Option<State> {
        match self.deed {
            Deed::Read(state) | Deed::Update(state, _) => Some(state),
            Deed::Write(_) => None,
        }
    }

    fn written(&self) -> Option<State> {
        match self.deed {
            Deed::Read(_) => None,
            Deed::Write(state) => Some(state),
            Deed::Update(_, mark) => Some(Some(mark)),
        }
    }
}

/// What cannot have come about.
#[derive(Debug)]
pub struct Impossible(String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that was done, by id. Every id held nothing at first.
#[derive(Debug, Default)]
pub struct Records(HashMap<Id, Vec<Record>>);

impl Records {
    /// One more.
    pub fn add(&mut self, operation: Record) {
        self.0
            .entry(operation.id.clone())
            .or_default()
            .push(operation);
    }

    /// How many operations were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let all = self.0.values().flatten();
        all.filter(|operation| operation.acknowledged).count()
    }

    /// How many reads and updates found a value.
    #[must_use]
    pub fn found(&self) -> usize {
        let all = self.0.values().flatten();
        all.filter(|o| o.acknowledged && matches!(o.read(), Some(Some(_))))
            .count()
    }

    /// All that cannot have come about.
    #[must_use]
    pub fn impossible(&self) -> Vec<Impossible> {
        self.0.values().flat_map(|all| impossible(all)).collect()
    }
}

fn impossible(all: &[Record]) -> Vec<Impossible> {
    let mut found = Vec::new();
    for reader in all.iter().filter(|o| o.acknowledged) {
        if let Some(state) = reader.read()
            && !may_read(all, reader, state)
        {
            found.push(Impossible(format!("{reader:?} cannot have read that")));
        }
    }
    // Two updates under the lock cannot both have found the same value.
    let mut updated: HashMap<Mark, &Record> = HashMap::new();
    for update in all.iter().filter(|o| o.acknowledged) {
        if let Deed::Update(Some(mark), _) = update.deed
            && let Some(other) = updated.insert(mark, update)
        {
            let lost = format!("{update:?} and {other:?} found the same value: one was lost");
            found.push(Impossible(lost));
        }
    }
    found
}

fn may_read(all: &[Record], reader: &Record, state: State) -> bool {
    let covered = |written: u64| {
        all.iter().any(|o| {
            // An update does not read what it writes.
            !std::ptr::eq(o, reader)
                && o.acknowledged
                && o.written().is_some_and(|other| other != state)
                && written < o.begun
                && o.ended < reader.begun
        })
    };
    let writers = all
        .iter()
        .filter(|o| !std::ptr::eq(*o, reader) && o.written() == Some(state));
    let mut origins = writers
        .filter(|writer| writer.begun < reader.ended)
        .map(|writer| writer.ended)
        // Nothing was there in the beginning.
        .chain(state.is_none().then_some(0));
    origins.any(|written| !covered(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(deed: Deed, begun: u64, ended: u64, acknowledged: bool) -> Record {
        let id = "id".parse().expect("an id");
        Record {
            id,
            deed,
            begun,
            ended,
            acknowledged,
        }
    }

    fn is_possible(all: &[Record]) -> bool {
        impossible(all).is_empty()
    }

    #[test]
    fn an_acknowledged_write_must_be_read() {
        let write = operation(Deed::Write(Some(1)), 1, 2, true);
        assert!(is_possible(&[
            write.clone(),
            operation(Deed::Read(Some(1)), 3, 4, true)
        ]));
        assert!(!is_possible(&[
            write.clone(),
            operation(Deed::Read(None), 3, 4, true)
        ]));
        // Not if it overlaps.
        assert!(is_possible(&[
            write,
            operation(Deed::Read(None), 1, 4, true)
        ]));
    }

    #[test]
    fn a_write_that_was_killed_may_be_read_or_not() {
        let write = operation(Deed::Write(Some(1)), 1, 2, false);
        assert!(is_possible(&[
            write.clone(),
            operation(Deed::Read(Some(1)), 3, 4, true)
        ]));
        assert!(is_possible(&[
            write,
            operation(Deed::Read(None), 3, 4, true)
        ]));
    }

    #[test]
    fn no_value_is_read_before_its_write_or_after_a_later_one() {
        let writes = [
            operation(Deed::Write(Some(1)), 1, 2, true),
            operation(Deed::Write(Some(2)), 3, 4, true),
        ];
        let with = |read| [&writes[..], &[read]].concat();
        assert!(!is_possible(&with(operation(
            Deed::Read(Some(1)),
            5,
            6,
            true
        ))));
        assert!(is_possible(&with(operation(
            Deed::Read(Some(2)),
            5,
            6,
            true
        ))));
        assert!(!is_possible(&[
            operation(Deed::Write(Some(1)), 5, 6, true),
            operation(Deed::Read(Some(1)), 1, 2, true),
        ]));
        assert!(!is_possible(&[operation(Deed::Read(Some(9)), 1, 2, true)]));
    }

    #[test]
    fn of_two_updates_of_one_value_one_is_lost() {
        assert!(!is_possible(&[
            operation(Deed::Write(Some(1)), 1, 2, true),
            operation(Deed::Update(Some(1), 2), 3, 6, true),
            operation(Deed::Update(Some(1), 3), 4, 7, true),
        ]));
    }
}
