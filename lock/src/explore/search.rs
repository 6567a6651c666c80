//! Every order of events, or many random ones.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

use super::{
    call::{Outcome, Violation},
    process::letter,
    schedule::{Event, Explorer, Scenario},
    world::World,
};

/// What an exploration has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Moments (exhaustive), or schedules (random).
    pub(super) visited: usize,
    /// How many of them ended with nothing more to happen.
    pub(super) ends: usize,
    pub(super) residuals: usize,
    pub(super) killed: usize,
    pub(super) finished: usize,
    pub(super) fenced: usize,
    pub(super) told: usize,
    pub(super) timed_out: usize,
    pub(super) takeovers: usize,
}

/// A violation, and how it came about.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) violation: Violation,
    pub(super) trace: String,
}

impl Scenario {
    /// Explores every order of events, shortest first, until one of them is a violation that is
    /// wanted.
    pub(super) fn exhaust(&self, wanted: impl Fn(&Violation) -> bool) -> Result<Seen, Box<Found>> {
        let mut explorer = Explorer::of(self);
        let mut seen = Seen::default();
        let mut visited = HashSet::new();
        // For each moment how it was reached, so that the way to a violation can be told.
        let mut ways: Vec<(u32, Event)> = Vec::new();
        let mut frontier = vec![(u32::MAX, explorer.beginning())];
        while !frontier.is_empty() {
            let mut next_frontier = Vec::new();
            for (way, state) in frontier {
                let events = explorer.events(&state);
                if events.is_empty() {
                    seen.note_end(&state.world);
                }
                for event in events {
                    let mut state = state.clone();
                    explorer.happen(&mut state, event, &mut None);
                    if let Some(violation) = &state.world.violation {
                        if wanted(violation) {
                            let way = way_to(&ways, way).into_iter().chain([event]);
                            return Err(Box::new(explorer.retell(way)));
                        }
                        continue;
                    }
                    if visited.insert(state.key()) {
                        ways.push((way, event));
                        next_frontier.push((ways.len() as u32 - 1, state));
                    }
                }
            }
            frontier = next_frontier;
        }
        seen.visited = visited.len();
        Ok(seen)
    }

    /// Follows random orders of events, each to its end.
    pub(super) fn wander(&self, schedules: usize, seed: u64) -> Result<Seen, Box<Found>> {
        let mut seen = Seen {
            visited: schedules,
            ..Seen::default()
        };
        let mut random = Random(seed);
        let mut explorer = Explorer::of(self);
        let beginning = explorer.beginning();
        for _ in 0..schedules {
            let mut state = beginning.clone();
            let mut way = Vec::new();
            loop {
                let events = explorer.events(&state);
                if events.is_empty() {
                    break;
                }
                let event = random.choose(&events);
                way.push(event);
                explorer.happen(&mut state, event, &mut None);
                if state.world.violation.is_some() {
                    return Err(Box::new(explorer.retell(way)));
                }
            }
            seen.note_end(&state.world);
            explorer.forget();
        }
        Ok(seen)
    }
}

impl Explorer<'_> {
    /// What happened on the way to a violation.
    fn retell(&mut self, way: impl IntoIterator<Item = Event>) -> Found {
        let mut state = self.beginning();
        let mut story = String::new();
        for (pid, program) in self.scenario.programs.iter().enumerate() {
            let _ = writeln!(story, "  {} is {}", letter(pid), program.name);
        }
        let mut story = Some(story);
        for event in way {
            self.happen(&mut state, event, &mut story);
        }
        let violation = state.world.violation.expect("the way leads to a violation");
        Found {
            violation,
            trace: story.unwrap_or_default(),
        }
    }
}

impl Seen {
    fn note_end(&mut self, world: &World) {
        self.ends += 1;
        self.residuals += usize::from(world.residual);
        self.takeovers += usize::from(world.taken_over);
        for life in &world.lives {
            self.killed += usize::from(life.killed);
            match life.ended {
                Some(Outcome::Finished) => self.finished += 1,
                Some(Outcome::Fenced) => self.fenced += 1,
                Some(Outcome::Told) => self.told += 1,
                Some(Outcome::TimedOut) => self.timed_out += 1,
                _ => {}
            }
        }
    }
}

fn way_to(ways: &[(u32, Event)], end: u32) -> Vec<Event> {
    let mut way = Vec::new();
    let mut at = end;
    while let Some((before, event)) = ways.get(at as usize) {
        way.push(*event);
        at = *before;
    }
    way.reverse();
    way
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:\n{}", self.violation, self.trace)
    }
}

/// xorshift64*: the same schedules every time, from a seed that a failure can name.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Steps are likelier than what disturbs them, so that a schedule gets somewhere first.
    fn choose(&mut self, events: &[Event]) -> Event {
        loop {
            let event = events[(self.next() % events.len() as u64) as usize];
            let rare = match event {
                Event::Kill(_) | Event::Stop(_) | Event::Suspend | Event::Delay | Event::Jump => 16,
                Event::Continue(_) => 12,
                Event::Tick => 2,
                _ => 1,
            };
            if self.next().is_multiple_of(rare) {
                return event;
            }
        }
    }
}
