//! The lock under test beside reference processes: which overlaps are left.
//!
//! A touch to now is as in a lock file that belongs to another user; the tests that use it are the
//! controls of those that touch ahead.

use super::{
    call::Violation,
    ours::{
        CROWD, EXCLUSIVE, FENCED, Ours, SHARED, SLOW, STOPPED, exhaust_from, schedules, wander,
    },
    process::{Invariant, Program},
    reference::{after_its_fix, before_its_fix},
    schedule::{Budget, Scenario},
    world::{LockFileIs, Overtaken, Rules},
};
use crate::Mode;

/// Every state of the lock file, whichever program touched it last.
const ANY: [LockFileIs; 4] = [
    LockFileIs::Missing,
    LockFileIs::Fresh,
    LockFileIs::Stale,
    LockFileIs::Idle,
];

/// Overlaps count if one of the two is ours.
const OURS: Rules = Rules {
    overtaken: Overtaken::None,
    may_lose_unmoved: false,
    spare_peers: true,
};

const TO_NOW: Ours = Ours {
    without: &[Invariant::TouchAhead],
    ..EXCLUSIVE
};

/// For three processes: everything happens at once, or nearly.
const TWO_PEERS: Budget = Budget {
    ticks: 1,
    delays: 0,
    kills: 0,
    stops: 0,
    suspends: 0,
    jumps: 0,
};

fn writer() -> Program {
    after_its_fix(Mode::Exclusive)
}

fn is_overlap(violation: &Violation) -> bool {
    matches!(violation, Violation::TwoHolders { .. })
}

/// Finds an overlap, and shows the shortest way to it.
fn overlap(programs: &[Program], found: LockFileIs, rules: Rules, budget: Budget) {
    let programs = programs.to_vec();
    let scenario = Scenario {
        programs,
        found,
        rules,
        budget,
    };
    let overlap = scenario
        .exhaust(is_overlap)
        .expect_err("an overlap is to be found");
    println!("{overlap}");
}

#[test]
fn one_peer_never_overlaps_with_a_stopped_or_slow_holder_of_ours() {
    for found in ANY {
        for peer in [writer(), before_its_fix(Mode::Exclusive)] {
            exhaust_from(found, &[EXCLUSIVE.program(), peer], OURS, STOPPED);
        }
        for (ours, peer) in [(EXCLUSIVE, Mode::Shared), (SHARED, Mode::Exclusive)] {
            let budget = Budget { kills: 1, ..SLOW };
            exhaust_from(found, &[ours.program(), after_its_fix(peer)], OURS, budget);
        }
    }
}

#[test]
fn control_touched_to_now_a_stopped_holder_is_overtaken() {
    let programs = [TO_NOW.program(), writer()];
    overlap(&programs, LockFileIs::Fresh, OURS, STOPPED);
    // The fence keeps it from committing.
    let seen = exhaust_from(LockFileIs::Fresh, &programs, FENCED, STOPPED);
    assert!(seen.residuals > 0 && seen.fenced > 0);
}

#[test]
fn one_peer_never_overlaps_after_a_jump_of_the_clock_or_a_suspend() {
    let jump = Budget {
        ticks: 3,
        kills: 1,
        jumps: 1,
        ..Budget::default()
    };
    let suspend = Budget {
        ticks: 1,
        kills: 1,
        suspends: 1,
        ..Budget::default()
    };
    for found in ANY {
        for budget in [jump, suspend] {
            exhaust_from(found, &[EXCLUSIVE.program(), writer()], OURS, budget);
        }
        exhaust_from(found, &[SHARED.program(), writer()], OURS, jump);
    }
}

#[test]
fn control_touched_to_now_a_jump_of_the_clock_and_a_suspend_overtake() {
    let programs = [TO_NOW.program(), writer()];
    for budget in [
        Budget {
            jumps: 1,
            ..Budget::default()
        },
        Budget {
            suspends: 1,
            ..Budget::default()
        },
    ] {
        overlap(&programs, LockFileIs::Fresh, OURS, budget);
    }
}

/// A file that ours touched last is never stale, so it is as good as a fresh one.
#[test]
fn two_peers_do_not_overlap_with_ours_on_a_file_that_ours_left_idle() {
    for found in [LockFileIs::Idle, LockFileIs::Missing] {
        let programs = [EXCLUSIVE.program(), writer(), writer()];
        exhaust_from(found, &programs, OURS, TWO_PEERS);
    }
}

#[test]
fn control_on_a_file_that_was_left_at_now_two_peers_overlap_with_ours() {
    let programs = [EXCLUSIVE.program(), writer(), writer()];
    overlap(&programs, LockFileIs::Stale, OURS, TWO_PEERS);
}

/// What is left is an overlap with ours that found the file fresh: a peer had touched it after
/// another had found it stale.
#[test]
fn on_a_file_found_stale_the_removal_by_a_peer_is_outlasted() {
    let rules = Rules {
        overtaken: Overtaken::TheLate,
        may_lose_unmoved: true,
        ..OURS
    };
    for peer in [writer, || before_its_fix(Mode::Exclusive)] {
        let programs = [EXCLUSIVE.program(), peer(), peer()];
        let scenario = Scenario {
            programs: programs.to_vec(),
            found: LockFileIs::Stale,
            rules,
            budget: TWO_PEERS,
        };
        // Before its fix the reference fails for reasons of its own.
        let seen = scenario
            .exhaust(is_overlap)
            .unwrap_or_else(|found| panic!("{found}"));
        assert!(seen.residuals > 0);
    }
}

#[test]
fn control_without_the_pause_a_peer_removes_a_file_found_stale() {
    let hasty = Ours {
        without: &[Invariant::OutlastsRemoval],
        ..EXCLUSIVE
    };
    let rules = Rules {
        overtaken: Overtaken::TheLate,
        ..OURS
    };
    let programs = [hasty.program(), writer(), writer()];
    overlap(&programs, LockFileIs::Stale, rules, TWO_PEERS);
}

/// With several peers one that found the file stale long ago can overtake any holder. The fence
/// stops that commit, too.
#[test]
fn a_crowd_with_peers_never_commits_on_a_lost_lock() {
    let busy = Ours {
        rounds: 3,
        ..EXCLUSIVE
    };
    let casts = [
        vec![busy.program(), writer(), writer()],
        vec![busy.program(), EXCLUSIVE.program(), writer(), writer()],
        vec![TO_NOW.program(), EXCLUSIVE.program(), writer(), writer()],
    ];
    let rules = Rules {
        overtaken: Overtaken::Anybody,
        may_lose_unmoved: true,
        ..OURS
    };
    let seen = wander(&casts, schedules() / 4, rules, CROWD);
    assert!(
        seen.iter()
            .any(|seen| seen.residuals > 0 && seen.fenced > 0)
    );
}
