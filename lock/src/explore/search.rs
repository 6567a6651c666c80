//! Every order of events, or many random ones.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use super::{
    call::{Fd, Outcome, Pid, TICK, Violation},
    process::{Entry, Next, Program, letter},
    world::{LockFileIs, Rules, World},
};

/// What is to be explored.
pub(super) struct Scenario {
    pub(super) programs: Vec<Program>,
    pub(super) found: LockFileIs,
    pub(super) rules: Rules,
    pub(super) budget: Budget,
}

/// How often each of these may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// The clock advances while everybody waits, is stopped, or holds the lock.
    pub(super) ticks: u8,
    /// The clock advances while somebody runs that could have gone on.
    pub(super) delays: u8,
    pub(super) kills: u8,
    pub(super) stops: u8,
    pub(super) suspends: u8,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The process's call is answered.
    Step(Pid),
    /// The process's heart beats.
    Beat(Pid),
    /// The kernel grants a lock that is waited for.
    Grant(Fd),
    Tick,
    Delay,
    Suspend,
    Stop(Pid),
    Continue(Pid),
    Kill(Pid),
}

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
    pub(super) timed_out: usize,
    pub(super) takeovers: usize,
}

/// A violation, and how it came about.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) violation: Violation,
    pub(super) trace: String,
}

/// A process at some moment: its record, and what it does next.
struct Moment {
    record: Vec<Entry>,
    hash: u64,
    next: Next,
}

#[derive(Clone)]
struct State {
    world: World,
    moments: Vec<Rc<Moment>>,
    budget: Budget,
}

/// A system's clock that a suspend moves far enough for everybody to be taken for dead.
const SUSPEND: u64 = 40;

struct Explorer<'a> {
    scenario: &'a Scenario,
    /// Each process's moments by their record, so that a program is run once for each.
    moments: HashMap<(Pid, u64), Rc<Moment>>,
}

impl Scenario {
    /// Explores every order of events, shortest first, until one of them is a violation that is
    /// wanted.
    pub(super) fn exhaust(&self, wanted: impl Fn(&Violation) -> bool) -> Result<Seen, Box<Found>> {
        let mut explorer = Explorer {
            scenario: self,
            moments: HashMap::new(),
        };
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
        let mut explorer = Explorer {
            scenario: self,
            moments: HashMap::new(),
        };
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
            // Bounds the memory; most of what comes next has been seen again by then.
            if explorer.moments.len() > 200_000 {
                explorer.moments.clear();
            }
        }
        Ok(seen)
    }
}

impl Explorer<'_> {
    fn beginning(&mut self) -> State {
        let programs = &self.scenario.programs;
        let moments =
            (0..programs.len()).map(|pid| Rc::new(moment(&programs[pid], pid, Vec::new(), 0)));
        State {
            world: World::new(programs.len(), self.scenario.found, self.scenario.rules),
            moments: moments.collect(),
            budget: self.scenario.budget,
        }
    }

    /// All that can happen next.
    fn events(&self, state: &State) -> Vec<Event> {
        let State {
            world,
            moments,
            budget,
        } = state;
        let mut events = Vec::new();
        let mut someone = false;
        let mut beating = false;
        let mut busy = false;
        for (pid, moment) in moments.iter().enumerate() {
            let life = &world.lives[pid];
            let Some(call) = &moment.next.call else {
                continue;
            };
            if life.killed {
                continue;
            }
            someone = true;
            if budget.kills > 0 {
                events.push(Event::Kill(pid));
            }
            if life.stopped.is_some() {
                // Stopped and continued at once is no more than slow.
                if world.has_time_passed_since_stop(pid) {
                    events.push(Event::Continue(pid));
                }
                continue;
            }
            if budget.stops > 0 {
                events.push(Event::Stop(pid));
            }
            if world.is_ready(call) {
                busy |= life.inside.is_none();
                events.push(Event::Step(pid));
            }
            if moment.next.in_beat {
                beating = true;
            } else if life.beat_due && moment.next.beats {
                beating = true;
                events.push(Event::Beat(pid));
            }
        }
        events.extend(world.grantable().map(Event::Grant));
        // A process that runs does not miss a beat: that is what stopping it is for.
        if someone && !beating {
            if !busy && budget.ticks > 0 {
                events.push(Event::Tick);
            }
            if busy && budget.delays > 0 {
                events.push(Event::Delay);
            }
            if budget.suspends > 0 {
                events.push(Event::Suspend);
            }
        }
        events
    }

    /// Lets an event happen, and all that nobody else can tell from it.
    fn happen(&mut self, state: &mut State, event: Event, story: &mut Option<String>) {
        let State {
            world,
            moments,
            budget,
        } = state;
        let beating: Vec<bool> = moments.iter().map(|moment| moment.next.beats).collect();
        match event {
            Event::Step(pid) => self.step(state, pid, story),
            Event::Beat(pid) => {
                world.beat(pid);
                tell(story, format_args!("{}'s heart beats", letter(pid)));
                self.record(state, pid, Entry::Beat, story);
            }
            Event::Grant(fd) => {
                world.grant(fd);
                tell(
                    story,
                    format_args!("{} is granted the lock it waits for", letter(fd.owner())),
                );
            }
            Event::Tick | Event::Delay => {
                let budget = match event {
                    Event::Tick => &mut budget.ticks,
                    _ => &mut budget.delays,
                };
                *budget -= 1;
                world.tick(&beating);
                tell(story, format_args!("{TICK} s pass"));
            }
            Event::Suspend => {
                budget.suspends -= 1;
                world.suspend(SUSPEND, &beating);
                tell(
                    story,
                    format_args!("the machine is suspended for {SUSPEND} s"),
                );
            }
            Event::Stop(pid) => {
                budget.stops -= 1;
                world.stop(pid);
                tell(story, format_args!("{} is stopped", letter(pid)));
            }
            Event::Continue(pid) => {
                world.proceed(pid);
                tell(story, format_args!("{} is continued", letter(pid)));
            }
            Event::Kill(pid) => {
                budget.kills -= 1;
                world.kill(pid);
                moments[pid] = Rc::new(Moment::over());
                tell(story, format_args!("{} is killed", letter(pid)));
            }
        }
    }

    /// Answers a process's call.
    fn step(&mut self, state: &mut State, pid: Pid, story: &mut Option<String>) {
        let moment = Rc::clone(&state.moments[pid]);
        let Some(call) = &moment.next.call else {
            return;
        };
        let answer = state.world.answer(pid, call);
        tell(story, format_args!("{} {call}{answer}", letter(pid)));
        self.record(state, pid, Entry::Answer(answer), story);
    }

    fn record(&mut self, state: &mut State, pid: Pid, entry: Entry, story: &mut Option<String>) {
        let before = &state.moments[pid];
        let hash = hash_of(&(before.hash, &entry));
        let program = &self.scenario.programs[pid];
        if state.world.lives[pid].ended.is_some() {
            state.moments[pid] = Rc::new(Moment::over());
            return;
        }
        let moment = self.moments.entry((pid, hash)).or_insert_with(|| {
            let mut record = Vec::with_capacity(before.record.len() + 1);
            record.extend_from_slice(&before.record);
            record.push(entry);
            Rc::new(moment(program, pid, record, hash))
        });
        state.moments[pid] = Rc::clone(moment);
        let private = |call| state.world.is_private(call);
        if state.moments[pid].next.call.as_ref().is_some_and(private) {
            self.step(state, pid, story);
        }
    }

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

impl Moment {
    /// Of a process that is no more.
    fn over() -> Self {
        Self {
            record: Vec::new(),
            hash: 0,
            next: Next::default(),
        }
    }
}

fn moment(program: &Program, pid: Pid, record: Vec<Entry>, hash: u64) -> Moment {
    let next = program.next(pid, &record);
    Moment { record, hash, next }
}

impl State {
    /// Two states with the same key have the same future. (Or one is taken for the other by
    /// accident: among ten million that is one chance in four hundred thousand.)
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.world, &self.budget).hash(&mut hasher);
        for moment in &self.moments {
            moment.hash.hash(&mut hasher);
        }
        hasher.finish()
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

fn tell(story: &mut Option<String>, line: fmt::Arguments<'_>) {
    if let Some(story) = story {
        let _ = writeln!(story, "  {line}");
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
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
                Event::Kill(_) | Event::Stop(_) | Event::Suspend | Event::Delay => 16,
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
