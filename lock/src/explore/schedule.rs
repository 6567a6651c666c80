//! What can happen at some moment, and what comes of it.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use super::{
    call::{Call, Fd, Label, Pid, TICK},
    process::{Entry, Invariant, Next, Program, letter},
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
    /// The clock advances while an actor could have continued.
    pub(super) delays: u8,
    pub(super) kills: u8,
    pub(super) stops: u8,
    pub(super) suspends: u8,
    /// The wall clock is set forward.
    pub(super) jumps: u8,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The process's call is answered.
    Step(Pid),
    /// The process's heart beats.
    Beat(Pid),
    /// The kernel grants a lock that is waited for.
    Grant(Fd),
    /// The thread of a wait that was given up releases the lock that it was granted.
    LetGo(Fd),
    Tick,
    Delay,
    Suspend,
    Jump,
    Stop(Pid),
    Continue(Pid),
    Kill(Pid),
}

/// A process at some moment: its record, and what it does next.
pub(super) struct Moment {
    record: Vec<Entry>,
    hash: u64,
    next: Next,
}

#[derive(Clone)]
pub(super) struct State {
    pub(super) world: World,
    moments: Vec<Rc<Moment>>,
    budget: Budget,
}

/// A suspend, or a jump of the wall clock, long enough for every holder to be taken for dead.
const SUSPEND: u64 = 40;

pub(super) struct Explorer<'a> {
    pub(super) scenario: &'a Scenario,
    /// Each process's moments by their record, so that a program is run once for each.
    moments: HashMap<(Pid, u64), Rc<Moment>>,
}

impl<'a> Explorer<'a> {
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            moments: HashMap::new(),
        }
    }

    /// Bounds the memory. Most of what comes next has been seen again by the time this is many.
    pub(super) fn forget(&mut self) {
        if self.moments.len() > 200_000 {
            self.moments.clear();
        }
    }

    pub(super) fn beginning(&mut self) -> State {
        let programs = &self.scenario.programs;
        let moments =
            (0..programs.len()).map(|pid| Rc::new(moment(&programs[pid], pid, Vec::new(), 0)));
        State {
            world: World::new(
                programs.iter().map(|program| program.is_peer).collect(),
                self.scenario.found,
                self.scenario.rules,
            ),
            moments: moments.collect(),
            budget: self.scenario.budget,
        }
    }

    /// All that can happen next.
    pub(super) fn events(&self, state: &State) -> Vec<Event> {
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
            if world.is_ready(call) && !self.is_removal_awaited(state, pid) {
                busy |= life.inside.is_none();
                events.push(Event::Step(pid));
            }
            if moment.next.in_beat {
                beating = true;
            } else if moment.next.in_mid_beat || life.beat_due && moment.next.beats {
                beating = true;
                events.push(Event::Beat(pid));
            }
        }
        events.extend(world.grantable().map(Event::Grant));
        for fd in world.unwanted() {
            if !self.scenario.programs[fd.owner()]
                .without
                .contains(&Invariant::LetGo)
            {
                busy = true;
                events.push(Event::LetGo(fd));
            }
        }
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
        if someone && budget.jumps > 0 {
            events.push(Event::Jump);
        }
        events
    }

    /// Whether a process waits for a peer that is about to remove the lock file, and that does so
    /// in time: it is neither stopped nor slow.
    fn is_removal_awaited(&self, state: &State, pid: Pid) -> bool {
        let Some(Call::Pause(since)) = state.moments[pid].next.call else {
            return false;
        };
        let removes = |peer: usize| {
            let call = state.moments[peer].next.call.as_ref();
            state.world.is_running(peer) && call == Some(&Call::Remove(Label::Lock))
        };
        state.world.clock() == since && (0..state.moments.len()).any(removes)
    }

    /// Lets an event happen, and all that no other actor can tell from it.
    pub(super) fn happen(&mut self, state: &mut State, event: Event, story: &mut Option<String>) {
        let State {
            world,
            moments,
            budget,
        } = state;
        let beating: Vec<bool> = moments.iter().map(|moment| moment.next.beats).collect();
        match event {
            Event::Step(pid) => self.step(state, pid, story),
            Event::Beat(pid) => {
                if moments[pid].next.in_mid_beat {
                    tell(story, format_args!("{}'s beat goes on", letter(pid)));
                } else {
                    world.beat(pid);
                    tell(story, format_args!("{}'s heart beats", letter(pid)));
                }
                self.record(state, pid, Entry::Beat, story);
            }
            Event::Grant(fd) => {
                world.grant(fd);
                tell(
                    story,
                    format_args!("{} is granted the lock it waits for", letter(fd.owner())),
                );
            }
            Event::LetGo(fd) => {
                world.let_go(fd);
                let owner = letter(fd.owner());
                tell(
                    story,
                    format_args!(
                        "{owner} was granted what it no longer waits for, and releases it"
                    ),
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
            Event::Jump => {
                budget.jumps -= 1;
                world.jump(SUSPEND);
                tell(
                    story,
                    format_args!("the wall clock is set {SUSPEND} s forward"),
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
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.world, &self.budget).hash(&mut hasher);
        for moment in &self.moments {
            moment.hash.hash(&mut hasher);
        }
        hasher.finish()
    }
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
