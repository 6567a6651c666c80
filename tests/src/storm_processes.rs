//! The processes of a storm: started, killed at random moments, and started again.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Running,
    chance::Chance,
    operation::operate,
    storm::{Deed, Record, Records, now},
    storm_log::{self, IDS},
    subject::{Subject, leftovers, next_write, read},
};

const PROCESSES: u64 = 8;

/// How many deaths the short form has.
const DEATHS: usize = 40;

/// More than a process lives to do.
const OPERATIONS: u64 = 100_000;

struct Storm<'a> {
    subject: &'a Subject,
    processes: Vec<(Running, PathBuf)>,
    started: u64,
    records: Records,
}

impl Storm<'_> {
    fn start(&mut self) {
        self.started += 1;
        let sandbox = self.subject.sandbox();
        let log = sandbox.path().join(format!("log.{}", self.started));
        let [seed, count] = [self.started.to_string(), OPERATIONS.to_string()];
        let log_name = log.display().to_string();
        let running = operate(sandbox, ["storm", &log_name, &seed, &count]).start();
        self.processes.push((running, log));
    }

    fn kill(&mut self, index: usize) {
        let (running, log) = self.processes.swap_remove(index);
        running.signal(Signal::KILL);
        let output = running.end();
        let died = now();
        // It was alive until now: no operation of its has failed.
        assert_eq!(output.signal(), Some(9), "{output:?}");
        let log = fs::read_to_string(log).unwrap_or_default();
        storm_log::read(&log, died, &mut self.records);
    }
}

/// Lets them loose on the subject, which holds nothing yet, for 40 deaths, or, in the long form, for
/// 30 seconds.
///
/// # Panics
/// Something was read, or is there in the end, that was never written, or an acknowledged write is lost;
/// something is left after one more write; or it was no storm.
pub fn survives() {
    let subject = Subject::new();
    let mut chance = Chance::new();
    let mut storm = Storm {
        subject: &subject,
        processes: Vec::new(),
        started: 0,
        records: Records::default(),
    };
    for _ in 0..PROCESSES {
        storm.start();
    }
    let begun = Instant::now();
    let mut deaths = 0;
    let goes_on = |deaths| match crate::long() {
        true => begun.elapsed() < Duration::from_secs(30),
        false => deaths < DEATHS,
    };
    while goes_on(deaths) {
        // Chooses the moment; the next process may be killed at its first breath.
        std::thread::sleep(Duration::from_millis(chance.within(0..120)));
        let index = usize::try_from(chance.within(0..PROCESSES)).expect("an index");
        storm.kill(index);
        storm.start();
        deaths += 1;
    }
    while !storm.processes.is_empty() {
        storm.kill(0);
        deaths += 1;
    }

    // No lock is left: this handle waits for none.
    let store = subject.open();
    for number in 0..IDS {
        let id = storm_log::id(number);
        let begun = now();
        let state = read(&store, &id).unwrap_or_else(|e| panic!("{id}: {e}"));
        storm.records.add(Record {
            id,
            deed: Deed::Read(state),
            begun,
            ended: now(),
            acknowledged: true,
        });
    }
    next_write(&store).expect("one more write");
    assert_eq!(leftovers(&subject.store()), Vec::<PathBuf>::new());
    subject.survives(&[None]).expect("the store is whole");

    let impossible = storm.records.impossible();
    let shown: Vec<String> = impossible.iter().take(5).map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{} such as {shown:#?}", impossible.len());
    let (done, found) = (storm.records.acknowledged(), storm.records.found());
    eprintln!("{deaths} deaths, {done} operations, {found} of which found a value");
    // It was a storm.
    assert!(done > deaths && found > 0, "{done} {found}");
}
