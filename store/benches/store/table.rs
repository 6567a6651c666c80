//! Timing in turns, and the table.

use std::time::{Duration, Instant};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Prints a row for each comparison.
pub(crate) struct Table {
    /// Run everything once, on little, and judge no time.
    once: bool,
    /// Run only the rows whose name contains one of these; all rows if empty.
    chosen: Vec<String>,
}

/// What is compared, with what, and how the two should stand.
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) yardstick: &'static str,
    /// How many times the yardstick it may take at most.
    pub(crate) goal: f64,
    pub(crate) rounds: usize,
}

impl Table {
    pub(crate) fn begin() -> Self {
        let (options, chosen): (Vec<_>, Vec<_>) = std::env::args()
            .skip(1)
            .partition(|arg| arg.starts_with("--"));
        let has = |option: &str| options.iter().any(|given| given == option);
        let once = has("--test") || !has("--bench");
        if !once {
            println!("| work | ours | yardstick | ratio | goal | the yardstick is |");
            println!("| --- | --- | --- | --- | --- | --- |");
        }
        Self { once, chosen }
    }

    /// How many secrets to measure with.
    pub(crate) fn count(&self, count: usize) -> usize {
        match self.once {
            true => 3,
            false => count,
        }
    }

    /// How hard to make scrypt.
    pub(crate) fn work_factor(&self, work_factor: u8) -> u8 {
        match self.once {
            true => 2,
            false => work_factor,
        }
    }

    /// Prints a row, if it is wanted. `prepare` gives ours and the yardstick.
    pub(crate) fn row<A, B>(&self, row: Row, prepare: impl FnOnce() -> Result<(A, B)>) -> Result<()>
    where
        A: FnMut() -> Result<()>,
        B: FnMut() -> Result<()>,
    {
        self.row_of_parts(row, 1, prepare)
    }

    /// The same, where ours has so many parts as large as the yardstick.
    pub(crate) fn row_of_parts<A, B>(
        &self,
        row: Row,
        parts: u32,
        prepare: impl FnOnce() -> Result<(A, B)>,
    ) -> Result<()>
    where
        A: FnMut() -> Result<()>,
        B: FnMut() -> Result<()>,
    {
        let chosen = |part: &String| row.work.contains(part.as_str());
        if !self.chosen.is_empty() && !self.chosen.iter().any(chosen) {
            return Ok(());
        }
        let (mut ours, mut bare) = prepare()?;
        if self.once {
            ours()?;
            bare()?;
            println!("{}: runs", row.work);
            return Ok(());
        }
        let (mut our_times, mut bare_times) = (Vec::new(), Vec::new());
        // In turns, so that whatever else the machine does falls on both.
        for _ in 0..row.rounds {
            our_times.push(time(&mut ours)? / parts);
            bare_times.push(time(&mut bare)?);
        }
        let (ours, bare) = (median(our_times), median(bare_times));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let Row {
            work,
            yardstick,
            goal,
            ..
        } = row;
        println!("| {work} | {ours:.1?} | {bare:.1?} | {ratio:.2} | {goal} | {yardstick} |");
        Ok(())
    }
}

fn time(work: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
