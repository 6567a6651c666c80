//! The lines that `storm` writes down, and what they say.

use posixage::Id;

use crate::{
    storm::{Deed, Record, Records},
    subject::State,
};

/// How many ids there are.
pub const IDS: u64 = 20;

/// One of them.
///
/// # Panics
/// It is none.
#[must_use]
pub fn id(number: u64) -> Id {
    format!("storm/{number}").parse().expect("an id")
}

/// A state as a word.
#[must_use]
pub fn state_word(state: State) -> String {
    state.map_or_else(|| "none".into(), |mark| mark.to_string())
}

fn state(word: &str) -> State {
    (word != "none").then(|| number(word))
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word:?} in a log"))
}

/// Adds what one process wrote down, which was dead at `died`.
///
/// # Panics
/// A line is not understood.
pub fn read(log: &str, died: u64, records: &mut Records) {
    let mut pending: Option<Record> = None;
    // A last line that was cut short says nothing: what it announces has not begun.
    let lines = log
        .split_inclusive('\n')
        .filter_map(|l| l.strip_suffix('\n'));
    let begin = |id: &str, deed, begun: &str| Record {
        id: id.parse().expect("an id"),
        deed,
        begun: number(begun),
        ended: died,
        acknowledged: false,
    };
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["set", id, mark, at] => pending = Some(begin(id, Deed::Write(state(mark)), at)),
            ["remove", id, at] => pending = Some(begin(id, Deed::Write(None), at)),
            ["update", id, mark, at] => {
                // What it found is not known before it is acknowledged.
                pending = Some(begin(id, Deed::Write(state(mark)), at));
            }
            ["ok", at] => records.add(acknowledged(pending.take(), at)),
            ["updated", found, at] => {
                let mut operation = acknowledged(pending.take(), at);
                if let Deed::Write(Some(mark)) = operation.deed {
                    operation.deed = Deed::Update(state(found), mark);
                }
                records.add(operation);
            }
            ["get", id, found, begun, ended] => {
                let operation = begin(id, Deed::Read(state(found)), begun);
                records.add(acknowledged(Some(operation), ended));
            }
            ["list"] => {}
            _ => panic!("{line:?} in a log"),
        }
    }
    if let Some(operation) = pending {
        records.add(operation);
    }
}

fn acknowledged(operation: Option<Record>, at: &str) -> Record {
    let mut operation = operation.expect("what is acknowledged was announced");
    operation.ended = number(at);
    operation.acknowledged = true;
    operation
}
