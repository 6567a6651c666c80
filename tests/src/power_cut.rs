//! What a disk may hold after the power was cut at any point of a row of system calls.
//!
//! A POSIX file system guarantees nothing that was not fsynced. So, at each point, of everything
//! that was done and is not on disk by fsync, each part is there or not, whatever came before or after
//! it: an entry of a directory is made, removed or not; a file's bytes are written, missing, half
//! written, or zeros. Only a rename is all or nothing, and so is an exchange. What fsync of a file
//! brings to disk are its bytes, not its name; that of a directory, its entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::{Bytes, Disk, Entry, Node, Tree};

/// One part of what was done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Entries that change at once: a rename changes two.
    Entries(Vec<Entry>),
    /// Bytes written to a file.
    Bytes(Bytes),
}

/// A moment at which the power may be cut.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How many effects there have been.
    pub effects: usize,
    /// Which of them are on disk for certain.
    pub durable: BTreeSet<usize>,
    /// How many operations have been acknowledged.
    pub acknowledged: usize,
}

/// A row of calls, as the disk sees it.
#[derive(Debug)]
pub struct Recording {
    /// What was there before.
    pub before: Disk,
    /// What was done, in order.
    pub effects: Vec<Effect>,
    /// When the power may be cut.
    pub moments: Vec<Moment>,
}

/// How many states of one moment are built, at most; beyond it, see [`Recording::choices`].
const ALL: usize = 4096;

/// What becomes of an effect. An entry has the first and the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Absent,
    Half,
    Zeros,
    Done,
}

impl Recording {
    /// Every distinct state of the disk, with the numbers of acknowledged operations at which it may
    /// be found.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Tree, BTreeSet<usize>> {
        let mut states: BTreeMap<Tree, BTreeSet<usize>> = BTreeMap::new();
        for moment in &self.moments {
            for fates in self.choices(moment) {
                let tree = self.disk(moment, &fates).tree();
                states.entry(tree).or_default().insert(moment.acknowledged);
            }
        }
        states
    }

    /// All combinations of fates of what is pending; where these are too many, what came first and
    /// nothing of the rest, for every length of that, each with at most two exceptions.
    fn choices(&self, moment: &Moment) -> Vec<BTreeMap<usize, Fate>> {
        let pending: Vec<(usize, &[Fate])> = (0..moment.effects)
            .filter(|index| !moment.durable.contains(index))
            .map(|index| (index, fates(&self.effects[index])))
            .collect();
        let count = pending
            .iter()
            .try_fold(1_usize, |n, (_, fates)| n.checked_mul(fates.len()));
        if count.is_some_and(|count| count <= ALL) {
            return pending
                .iter()
                .fold(vec![BTreeMap::new()], |choices, (index, fates)| {
                    let with = |choice: &BTreeMap<usize, Fate>| {
                        let choice = choice.clone();
                        fates.iter().map(move |fate| {
                            let mut choice = choice.clone();
                            choice.insert(*index, *fate);
                            choice
                        })
                    };
                    choices.iter().flat_map(with).collect()
                });
        }
        let mut choices = Vec::new();
        for length in 0..=pending.len() {
            let prefix: BTreeMap<usize, Fate> = pending
                .iter()
                .enumerate()
                .map(|(at, (index, _))| match at < length {
                    true => (*index, Fate::Done),
                    false => (*index, Fate::Absent),
                })
                .collect();
            for (first, first_fates) in &pending {
                for (second, second_fates) in &pending {
                    for a in *first_fates {
                        for b in *second_fates {
                            let mut choice = prefix.clone();
                            choice.insert(*first, *a);
                            choice.insert(*second, *b);
                            choices.push(choice);
                        }
                    }
                }
            }
        }
        choices
    }

    fn disk(&self, moment: &Moment, fates: &BTreeMap<usize, Fate>) -> Disk {
        let mut disk = self.before.clone();
        for (index, effect) in self.effects[..moment.effects].iter().enumerate() {
            let fate = fates.get(&index).copied().unwrap_or(Fate::Done);
            match (effect, fate) {
                (_, Fate::Absent) => {}
                (Effect::Entries(entries), _) => entries.iter().for_each(|e| disk.set(e.clone())),
                (Effect::Bytes(bytes), fate) => {
                    let mut bytes = bytes.clone();
                    match fate {
                        Fate::Half => bytes.content.truncate(bytes.content.len() / 2),
                        Fate::Zeros => bytes.content.fill(0),
                        Fate::Absent | Fate::Done => {}
                    }
                    disk.write(&bytes);
                }
            }
        }
        disk
    }
}

fn fates(effect: &Effect) -> &'static [Fate] {
    match effect {
        Effect::Entries(_) => &[Fate::Absent, Fate::Done],
        Effect::Bytes(_) => &[Fate::Absent, Fate::Half, Fate::Zeros, Fate::Done],
    }
}

impl Recording {
    /// What was there, and nothing has been done.
    #[must_use]
    pub fn new(before: Disk) -> Self {
        let moment = Moment {
            effects: 0,
            durable: BTreeSet::new(),
            acknowledged: 0,
        };
        Self {
            before,
            effects: Vec::new(),
            moments: vec![moment],
        }
    }

    /// Something is done.
    pub fn add(&mut self, effect: Effect) {
        self.effects.push(effect);
        let effects = self.effects.len();
        self.then(|moment| moment.effects = effects);
    }

    /// A file or directory is fsynced.
    pub fn sync(&mut self, node: Node) {
        let of_node = |effect: &Effect| match effect {
            // All or nothing: a rename between two directories is on disk when one of them is.
            Effect::Entries(entries) => entries.iter().any(|entry| entry.dir == node),
            Effect::Bytes(bytes) => bytes.file == node,
        };
        let effects = self.effects.iter().enumerate();
        let synced: Vec<usize> = effects
            .filter(|(_, e)| of_node(e))
            .map(|(i, _)| i)
            .collect();
        self.then(|moment| moment.durable.extend(synced));
    }

    /// An operation is acknowledged.
    pub fn acknowledge(&mut self) {
        self.then(|moment| moment.acknowledged += 1);
    }

    fn then(&mut self, change: impl FnOnce(&mut Moment)) {
        let mut moment = self.moments.last().cloned().expect("a first moment");
        change(&mut moment);
        self.moments.push(moment);
    }
}
