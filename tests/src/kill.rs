//! Deaths at random moments.

use std::{
    fmt, hint,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    chance::Chance,
    marked::Mark,
    subject::{State, Subject},
};

/// An endless row of writes by one process; see `operate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Of secrets that are there.
    Overwrite,
    /// Of a secret that is not there, and is removed again afterwards.
    Create,
    /// The same row; the death comes in the removal.
    Delete,
    /// Read-modify-writes.
    Update,
    /// Overwrites of three at once.
    Many,
    /// Overwrites of so many at once that several threads take part.
    Wide,
    /// Overwrites by the calls of the reference.
    Naive,
}

impl Row {
    /// Ours.
    pub const OURS: [Self; 6] = [
        Self::Overwrite,
        Self::Create,
        Self::Delete,
        Self::Update,
        Self::Many,
        Self::Wide,
    ];

    fn step(self) -> &'static str {
        match self {
            Self::Overwrite => "set",
            Self::Create | Self::Delete => "flip",
            Self::Update => "update",
            Self::Many => "many",
            Self::Wide => "many-wide",
            Self::Naive => "naive",
        }
    }

    /// In how long the death comes, in overwrites.
    fn span(self) -> f64 {
        match self {
            Self::Wide => 12.0,
            _ => 3.0,
        }
    }

    /// What is said before the write in which the death may first come. Not the first write of the
    /// process, which is slower than others.
    fn awaited(self, first: Mark) -> String {
        let third = first + 2;
        match self {
            Self::Create => format!("begin create {third}\n"),
            Self::Delete => format!("begin remove {third}\n"),
            Self::Naive => format!("ok naive {first}\n"),
            row => format!("begin {} {third}\n", row.step()),
        }
    }
}

/// What became of a number of deaths.
#[derive(Debug, Default)]
pub struct Figures {
    /// How many there were.
    pub deaths: usize,
    /// How many came between the beginning of a write and its acknowledgement.
    pub within: usize,
    /// In how many of these the write had happened.
    pub happened: usize,
    /// What was lost, and by which death.
    pub losses: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deaths,
            within,
            happened,
            losses,
        } = self;
        let lost = losses.len();
        write!(
            f,
            "{deaths} deaths, {within} of them within a write, which had happened in {happened}; {lost} losses"
        )
    }
}

/// Kills the row at random moments, `deaths` times.
///
/// # Panics
/// Something was lost, or few of the deaths came within a write.
pub fn survives(row: Row, deaths: usize) {
    let figures = at_random(&Subject::new(), row, deaths, &mut Chance::new());
    assert!(figures.losses.is_empty(), "{:#?}", figures.losses);
    // Otherwise the moments were not what they are meant to be.
    assert!(figures.within >= deaths / 4, "{figures:?}");
}

/// Starts the row `deaths` times and kills it at a random moment. After each death the secret must
/// be what the last acknowledged write, or the one under way, made of it; see [`Subject::survives`].
#[must_use]
pub fn at_random(subject: &Subject, row: Row, deaths: usize, chance: &mut Chance) -> Figures {
    let span = duration_of_a_write(subject).mul_f64(row.span());
    let mut figures = Figures::default();
    for death in 0..deaths {
        // No two rows have a mark in common.
        let first = 1 + death as Mark * 1_000_000;
        let before = match row {
            Row::Create | Row::Delete => None,
            _ => Some(first - 1),
        };
        subject.put(before);
        let id = subject.id();
        let step = format!("{}:{id}:{first}..", row.step());
        let running = subject.operate([step]).start();
        running.wait_for(&row.awaited(first));
        wait(span.mul_f64(chance.within(0..1_000) as f64 / 1_000.0));
        running.signal(Signal::KILL);
        let said = running.end().out();
        let (last, next) = history(&said, before);
        let allowed: Vec<State> = [last].into_iter().chain(next).collect();
        figures.deaths += 1;
        figures.within += usize::from(next.is_some());
        match subject.survives(&allowed) {
            Ok(found) => figures.happened += usize::from(next == Some(found)),
            Err(loss) => figures.losses.push(format!("{row:?} {death}: {loss}")),
        }
    }
    eprintln!("{row:?}: {figures}");
    figures
}

/// What was acknowledged last, and what the write under way, if any, makes of it.
fn history(said: &str, before: State) -> (State, Option<State>) {
    let mut last = before;
    let mut next = None;
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, kind, mark] = words[..] else {
            panic!("operate said {line:?}");
        };
        let state = match kind {
            "remove" => None,
            _ => Some(mark.parse().expect("a mark")),
        };
        match word {
            "begin" => next = Some(state),
            _ => (last, next) = (state, None),
        }
    }
    (last, next)
}

fn duration_of_a_write(subject: &Subject) -> Duration {
    subject.put(Some(1));
    let store = subject.open();
    let mut times: Vec<Duration> = (0..9)
        .map(|mark| {
            let start = Instant::now();
            crate::subject::put(&store, subject.id(), Some(mark));
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Chooses the moment. Nothing depends on how well.
fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        hint::spin_loop();
    }
}
