//! The lock under test, in every order of events.

use std::{path::Path, rc::Rc, sync::Arc};

use super::{
    call::{Call, Outcome, STALE, Seconds, TICK},
    process::{Invariant, Program, Sim, seconds},
    schedule::{Budget, Scenario},
    search::Seen,
    world::{LockFileIs, Overtaken, Rules},
};
use crate::{
    Mode, Takeover, Wait,
    protocol::{acquire::Contender, hold::Hold},
    wait::{Deadline, Thresholds},
};

/// The protocol's times in steps of the simulated clock: a beat is due at every step, and an actor that
/// stood still for three has lost its lock and is stale.
const TIMES: Thresholds = Thresholds {
    heartbeat: seconds(TICK / 2),
    lost: seconds(2 * TICK),
    stale: seconds(STALE),
    removal: seconds(0),
    look: seconds(TICK),
    notice: seconds(TICK),
};

/// A program that takes our lock, and commits if it is exclusive.
#[derive(Clone, Copy)]
pub(super) struct Ours {
    pub(super) mode: Mode,
    pub(super) wait: Wait,
    pub(super) takeover: Takeover,
    pub(super) fence: bool,
    /// How often it does so.
    pub(super) rounds: usize,
    /// How often it waits, before it gives up for good.
    pub(super) waits: usize,
    /// See [`Program::splits_beats`].
    pub(super) splits_beats: bool,
    /// Time passes between its fence and its commit.
    pub(super) is_late: bool,
    /// It asks its fence again after a late commit.
    pub(super) asks_again: bool,
    pub(super) without: &'static [Invariant],
}

pub(super) const EXCLUSIVE: Ours = Ours {
    mode: Mode::Exclusive,
    wait: Wait::For(seconds(2 * TICK)),
    takeover: Takeover::Never,
    fence: true,
    rounds: 1,
    waits: 1,
    splits_beats: false,
    is_late: false,
    asks_again: true,
    without: &[],
};

pub(super) const SHARED: Ours = Ours {
    mode: Mode::Shared,
    ..EXCLUSIVE
};

impl Ours {
    pub(super) fn program(self) -> Program {
        let name = match self.mode {
            Mode::Exclusive => "ours, exclusive",
            Mode::Shared => "ours, shared",
        };
        let run = move |sim: &Sim| {
            for _ in 0..self.rounds {
                let outcomes = (0..self.waits).map(|_| self.hold_once(sim));
                let mut outcomes = outcomes.skip_while(|outcome| *outcome == Outcome::TimedOut);
                match outcomes.next() {
                    Some(Outcome::Finished) => {}
                    otherwise => return otherwise.unwrap_or(Outcome::TimedOut),
                }
            }
            Outcome::Finished
        };
        Program {
            name,
            run: Rc::new(run),
            without: self.without,
            is_peer: false,
            splits_beats: self.splits_beats,
        }
    }

    fn hold_once(self, sim: &Sim) -> Outcome {
        #[expect(
            clippy::arc_with_non_send_sync,
            reason = "a simulated process has one thread"
        )]
        let system = Arc::new(sim.clone());
        let contender = Contender {
            system: &system,
            path: Path::new("lock"),
            mode: self.mode,
            takeover: self.takeover,
            thresholds: TIMES,
            notice: None,
            deadline: Deadline::new(self.wait),
        };
        let hold = match contender.acquire() {
            Ok(hold) => Released(hold),
            Err(error) if error.is_timeout() => return Outcome::TimedOut,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        sim.ask(Call::Enter(self.mode));
        sim.ask(Call::Work);
        if self.mode == Mode::Exclusive {
            if self.fence && hold.0.verify().is_err() {
                return Outcome::Fenced;
            }
            if !self.is_late {
                sim.ask(Call::Commit);
                return Outcome::Finished;
            }
            sim.ask(Call::LateCommit);
            if self.asks_again && hold.0.verify().is_err() {
                return Outcome::Told;
            }
        }
        Outcome::Finished
    }
}

/// What a guard does.
struct Released(Arc<Hold<Sim>>);

impl Drop for Released {
    fn drop(&mut self) {
        let _ = self.0.release();
    }
}

/// Waits for long enough to see a holder stand still, and takes over.
pub(super) const TAKER: Ours = Ours {
    takeover: Takeover::Stale,
    wait: Wait::For(seconds(5 * TICK)),
    ..EXCLUSIVE
};

pub(super) const FOUND: [LockFileIs; 3] =
    [LockFileIs::Missing, LockFileIs::Fresh, LockFileIs::Stale];

/// Kills, and a stop that lasts as long as it likes.
pub(super) const STOPPED: Budget = Budget {
    ticks: 4,
    delays: 0,
    kills: 2,
    stops: 1,
    suspends: 0,
    jumps: 0,
};

/// Kills, and an actor that is slow at a bad moment.
pub(super) const SLOW: Budget = Budget {
    ticks: 4,
    delays: 1,
    kills: 2,
    stops: 0,
    suspends: 0,
    jumps: 0,
};

/// For many contenders.
pub(super) const CROWD: Budget = Budget {
    ticks: 12,
    delays: 2,
    kills: 2,
    stops: 2,
    suspends: 1,
    jumps: 1,
};

/// Two holders are possible once the first stood still; then it must not commit.
pub(super) const FENCED: Rules = Rules {
    overtaken: Overtaken::TheStopped,
    may_lose_unmoved: false,
    spare_peers: false,
};

/// Finds no violation in any order.
pub(super) fn exhaust(programs: &[Program], rules: Rules, budget: Budget) -> Vec<Seen> {
    FOUND
        .into_iter()
        .map(|found| exhaust_from(found, programs, rules, budget))
        .collect()
}

pub(super) fn exhaust_from(
    found: LockFileIs,
    programs: &[Program],
    rules: Rules,
    budget: Budget,
) -> Seen {
    let programs = programs.to_vec();
    let scenario = Scenario {
        programs,
        found,
        rules,
        budget,
    };
    let seen = scenario
        .exhaust(|_| true)
        .unwrap_or_else(|found| panic!("{found}"));
    println!("{found:?}: {seen:?}");
    seen
}

#[test]
fn two_writers_in_every_order_with_kills_and_stops() {
    let programs = [EXCLUSIVE.program(), EXCLUSIVE.program()];
    for seen in exhaust(&programs, Rules::default(), STOPPED) {
        assert!(seen.finished > 0 && seen.fenced > 0 && seen.timed_out > 0);
    }
    exhaust(&programs, Rules::default(), SLOW);
}

#[test]
fn a_writer_and_a_reader_in_every_order_with_kills_and_stops() {
    let programs = [EXCLUSIVE.program(), SHARED.program()];
    exhaust(&programs, Rules::default(), STOPPED);
    exhaust(&programs, Rules::default(), SLOW);
}

/// No actor waits in vain when nothing is in the way.
#[test]
fn two_writers_that_nothing_disturbs_both_get_the_lock() {
    let undisturbed = Budget {
        ticks: 1,
        ..Budget::default()
    };
    for seen in exhaust(
        &[EXCLUSIVE.program(), EXCLUSIVE.program()],
        Rules::default(),
        undisturbed,
    ) {
        assert_eq!((seen.fenced, seen.timed_out), (0, 0));
        assert_eq!(seen.finished, 2 * seen.ends);
    }
}

/// An actor killed with the lock, or on the way to it, is in no other's way.
#[test]
fn the_survivor_of_a_kill_always_gets_the_lock() {
    let budget = Budget {
        ticks: 1,
        kills: 1,
        ..Budget::default()
    };
    for seen in exhaust(
        &[EXCLUSIVE.program(), EXCLUSIVE.program()],
        Rules::default(),
        budget,
    ) {
        assert_eq!((seen.fenced, seen.timed_out), (0, 0));
        assert_eq!(seen.finished + seen.killed, 2 * seen.ends);
        assert!(seen.killed > 0);
    }
}

/// The thread of the first wait is still in the kernel when the second begins, or was just granted
/// the lock.
#[test]
fn a_wait_given_up_and_taken_up_again_in_every_order() {
    let impatient = Ours {
        wait: Wait::For(seconds(TICK)),
        waits: 2,
        ..EXCLUSIVE
    };
    let programs = [EXCLUSIVE.program(), impatient.program()];
    let budget = Budget {
        ticks: 3,
        kills: 1,
        ..STOPPED
    };
    let seen = exhaust_from(LockFileIs::Fresh, &programs, Rules::default(), budget);
    assert!(seen.finished > 0 && seen.fenced > 0 && seen.timed_out > 0);
}

/// One holds the lock, one gives up waiting for it and lives on, one waits for as long as it takes.
pub(super) fn with_one_that_gave_up(without: &'static [Invariant]) -> Scenario {
    let impatient = Ours {
        wait: Wait::For(seconds(TICK)),
        without,
        ..EXCLUSIVE
    };
    let gives_up = move |sim: &Sim| {
        let outcome = impatient.hold_once(sim);
        // It lives on for as long as anybody holds the lock.
        sim.ask(Call::Nap(Seconds::MAX));
        match outcome {
            Outcome::TimedOut => Outcome::Finished,
            otherwise => otherwise,
        }
    };
    let gives_up = Program {
        name: "ours, which gives up",
        run: Rc::new(gives_up),
        without,
        is_peer: false,
        splits_beats: false,
    };
    let patient = Ours {
        wait: TAKER.wait,
        ..EXCLUSIVE
    };
    Scenario {
        programs: vec![patient.program(), gives_up, patient.program()],
        found: LockFileIs::Fresh,
        rules: Rules::default(),
        budget: Budget {
            ticks: 2,
            ..Budget::default()
        },
    }
}

#[test]
fn one_that_gave_up_is_in_no_way() {
    let seen = with_one_that_gave_up(&[]).exhaust(|_| true);
    let seen = seen.unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(seen.finished, 3 * seen.ends, "{seen:?}");
}

#[test]
fn a_suspended_machine_in_every_order() {
    let budget = Budget {
        ticks: 1,
        kills: 1,
        suspends: 1,
        ..Budget::default()
    };
    let ours = EXCLUSIVE.program();
    exhaust(&[ours.clone(), ours], FENCED, budget);
}

#[test]
fn a_takeover_in_every_order_with_a_stop() {
    let programs = [EXCLUSIVE.program(), TAKER.program()];
    let budget = Budget {
        ticks: 5,
        kills: 0,
        ..STOPPED
    };
    let seen = exhaust_from(LockFileIs::Fresh, &programs, FENCED, budget);
    assert!(seen.residuals > 0 && seen.takeovers > 0 && seen.fenced > 0);
}

/// A holder that runs, and a waiter that would take over from it if it stood still, on a file system
/// that sets every time ahead to the same one.
pub(super) fn on_a_file_system_that_clamps(without: &'static [Invariant]) -> Scenario {
    let holder = Ours {
        without,
        ..EXCLUSIVE
    };
    let taker = Ours { without, ..TAKER };
    Scenario {
        programs: vec![holder.program(), taker.program()],
        found: LockFileIs::Fresh,
        rules: Rules::default(),
        budget: Budget {
            ticks: 5,
            ..Budget::default()
        },
    }
}

#[test]
fn a_live_holder_is_not_taken_over_where_times_are_clamped() {
    let seen = on_a_file_system_that_clamps(&[Invariant::FarTimes]).exhaust(|_| true);
    let seen = seen.unwrap_or_else(|found| panic!("{found}"));
    assert!(seen.finished > 0, "{seen:?}");
}

/// Its fence said yes, and then it was stopped: what it commits is too late, and it says so.
pub(super) fn late(asks_again: bool) -> Scenario {
    let late = Ours {
        is_late: true,
        asks_again,
        ..EXCLUSIVE
    };
    Scenario {
        programs: vec![late.program(), TAKER.program()],
        found: LockFileIs::Fresh,
        rules: FENCED,
        budget: Budget {
            ticks: 4,
            kills: 0,
            ..STOPPED
        },
    }
}

#[test]
fn a_commit_that_comes_after_a_takeover_is_told() {
    let seen = late(true).exhaust(|_| true);
    let seen = seen.unwrap_or_else(|found| panic!("{found}"));
    assert!(seen.told > 0 && seen.takeovers > 0, "{seen:?}");
}

#[test]
fn single_calls_of_a_beat_beside_acquiring_and_releasing() {
    let split = Ours {
        splits_beats: true,
        ..EXCLUSIVE
    };
    let budget = Budget {
        ticks: 1,
        delays: 1,
        kills: 1,
        ..Budget::default()
    };
    let programs = [split.program(), EXCLUSIVE.program()];
    let seen = exhaust_from(LockFileIs::Fresh, &programs, Rules::default(), budget);
    assert!(seen.finished > 0, "{seen:?}");
}

/// How many random schedules: `POSIXAGE_EXPLORE`, or enough for every day.
pub(super) fn schedules() -> usize {
    let asked = std::env::var("POSIXAGE_EXPLORE").ok();
    asked.map_or(120_000, |number| {
        number.parse().expect("POSIXAGE_EXPLORE is a number")
    })
}

/// Follows random orders of events for each cast and each lock file.
pub(super) fn wander(
    casts: &[Vec<Program>],
    schedules: usize,
    rules: Rules,
    budget: Budget,
) -> Vec<Seen> {
    let share = schedules / (casts.len() * FOUND.len());
    let mut all = Vec::new();
    for (number, programs) in casts.iter().enumerate() {
        for (nuance, found) in FOUND.into_iter().enumerate() {
            let seed = 0x9e37_79b9_7f4a_7c15 + (number * FOUND.len() + nuance) as u64;
            let programs = programs.clone();
            let seen = Scenario {
                programs,
                found,
                rules,
                budget,
            }
            .wander(share, seed);
            let seen = seen.unwrap_or_else(|found| panic!("seed {seed}: {found}"));
            println!("cast {number}, {found:?}: {seen:?}");
            all.push(seen);
        }
    }
    all
}

#[test]
fn three_and_four_contenders_in_random_orders() {
    let reader = Ours {
        wait: TAKER.wait,
        ..SHARED
    };
    let taking_reader = Ours {
        takeover: Takeover::Stale,
        ..reader
    };
    let busy = Ours {
        rounds: 2,
        ..EXCLUSIVE
    };
    let casts = [
        vec![EXCLUSIVE, EXCLUSIVE, SHARED],
        vec![TAKER, busy, reader],
        vec![TAKER, TAKER, busy, reader],
        vec![busy, taking_reader, TAKER, SHARED],
    ]
    .map(|cast| cast.into_iter().map(Ours::program).collect());
    let rules = Rules {
        may_lose_unmoved: true,
        ..FENCED
    };
    let seen = wander(&casts, schedules(), rules, CROWD);
    assert!(seen.iter().any(|seen| seen.takeovers > 0));
}
