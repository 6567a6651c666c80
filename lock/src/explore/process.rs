//! A simulated process: what it asks next, given what it was answered so far.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;

use super::call::{Answer, Call, Fd, Label, Outcome, Pid, STALE, Seconds, Time};
use crate::{
    Activity, Holder, Mode, Status,
    protocol::{
        heartbeat::Heart,
        hold::{Hold, Locked},
        takeover::SPARE_NAME,
        touch::AHEAD,
    },
    system::{Access, FileId, LOCK_NAME, Name, Result, Stat, System},
};

/// What runs in a process, on a [`Sim`].
#[derive(Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) run: Rc<dyn Fn(&Sim) -> Outcome>,
    pub(super) without: &'static [Invariant],
    /// It is a reference process.
    pub(super) is_peer: bool,
    /// The calls of a beat are taken apart, so that the process's main thread goes on between them.
    pub(super) splits_beats: bool,
}

/// An invariant that a control does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invariant {
    /// I1: the touch before flock.
    TouchBeforeFlock,
    /// I1: the touch after flock.
    TouchAfterFlock,
    /// I1: times ahead, instead of now. (Also: a lock file that belongs to another user.)
    TouchAhead,
    /// No invariant: the file system keeps times ahead, and does not set them all to its last one.
    FarTimes,
    /// I1: a time that is not kept is found by reading it back.
    ReadsBack,
    /// I1: on a file that was stale, a peer's removal is waited for.
    OutlastsRemoval,
    /// I2: the comparison of inodes.
    SameInode,
    /// I2: a file that is gone is no error.
    GoneIsNoError,
    /// I3: the look at what a takeover displaced.
    LookAtDisplaced,
    /// I4: the heartbeat.
    Heartbeat,
    /// I4: the heartbeat until the lock is released.
    BeatsToTheEnd,
    /// I7: what is granted to a wait that was given up is released.
    LetGo,
}

/// What happened to a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// Its call was answered.
    Answer(Answer),
    /// Its heartbeat's thread woke or went on, while the main thread was about to make a call.
    Beat,
}

/// What a process does next.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// What it asks; none when it is over.
    pub(super) call: Option<Call>,
    /// It is the heartbeat that asks.
    pub(super) in_beat: bool,
    /// The heartbeat's thread is between two steps of a beat.
    pub(super) in_mid_beat: bool,
    /// There is something to beat for.
    pub(super) beats: bool,
}

/// A beat whose calls are taken apart, between two of them.
enum Beating {
    Begun(Arc<Hold<Sim>>),
    Looked(Arc<Hold<Sim>>, Duration),
}

impl Program {
    /// Runs the program from its beginning up to the first call that is not on the record.
    pub(super) fn next(&self, pid: Pid, record: &[Entry]) -> Next {
        let sim = Sim(Rc::new(Inner {
            pid,
            record: record.to_vec(),
            at: Cell::new(0),
            halted: Cell::default(),
            next: RefCell::default(),
            in_beat: Cell::default(),
            heart: Heart::new(),
            pulse: Cell::default(),
            without: self.without,
            splits_beats: self.splits_beats,
            beating: RefCell::default(),
            opened: Cell::default(),
            locked: Cell::default(),
            looked: Cell::default(),
        }));
        let outcome = (self.run)(&sim);
        if !sim.0.halted.get() {
            sim.ask(Call::End(outcome));
        }
        sim.0.next.take()
    }
}

/// The system, seen from a simulated process.
#[derive(Clone)]
pub(super) struct Sim(Rc<Inner>);

struct Inner {
    pid: Pid,
    record: Vec<Entry>,
    at: Cell<usize>,
    /// The record is at its end; nothing that the program still does has any effect.
    halted: Cell<bool>,
    next: RefCell<Next>,
    in_beat: Cell<bool>,
    heart: Heart<Sim>,
    splits_beats: bool,
    beating: RefCell<Option<Beating>>,
    /// The reference's heartbeat.
    pulse: Cell<Option<Fd>>,
    without: &'static [Invariant],
    /// What the last fstat said, and whether the file was locked since.
    opened: Cell<Option<Stat>>,
    locked: Cell<bool>,
    /// What the last look at the path said.
    looked: Cell<Option<Stat>>,
}

/// An error that no system gives: the record is at its end.
const HALTED: Errno = Errno::XFULL;

impl Sim {
    pub(super) fn ask(&self, call: Call) -> Answer {
        let inner = &*self.0;
        loop {
            if inner.halted.get() {
                return Answer::Failed(HALTED);
            }
            let at = inner.at.get();
            inner.at.set(at + 1);
            match inner.record.get(at) {
                Some(Entry::Answer(answer)) => return answer.clone(),
                Some(Entry::Beat) => {
                    inner.in_beat.set(true);
                    self.beat();
                    inner.in_beat.set(false);
                }
                None => {
                    inner.halted.set(true);
                    let is_over = self.do_without(Invariant::BeatsToTheEnd)
                        && matches!(call, Call::Unlock(_));
                    let has_locks = inner.heart.is_beating() && !is_over;
                    *inner.next.borrow_mut() = Next {
                        call: Some(call),
                        in_beat: inner.in_beat.get(),
                        in_mid_beat: inner.beating.borrow().is_some(),
                        beats: inner.pulse.get().is_some() || has_locks,
                    };
                    return Answer::Failed(HALTED);
                }
            }
        }
    }

    fn beat(&self) {
        let inner = &*self.0;
        if let Some(fd) = inner.pulse.get() {
            self.ask(Call::Touch(fd, Time::Now));
            return;
        }
        if !inner.splits_beats {
            return inner.heart.beat();
        }
        let beating = inner.beating.take();
        let next = match beating {
            None => inner.heart.first().map(Beating::Begun),
            Some(Beating::Begun(hold)) => {
                let looked = hold.begin_beat();
                looked.map(|now| Beating::Looked(hold, now))
            }
            Some(Beating::Looked(hold, now)) => {
                hold.finish_beat(now);
                None
            }
        };
        inner.beating.replace(next);
    }

    /// fstat, of which only the inode matters.
    pub(super) fn identify(&self, file: &File) -> Result<FileId> {
        match self.try_ask(Call::Identify(file.fd))? {
            Answer::Stat(stat) => Ok(stat.id),
            _ => Err(HALTED),
        }
    }

    /// The reference's wall clock.
    pub(super) fn wall(&self) -> Duration {
        self.time(Call::Wall)
    }

    fn touch_with(&self, file: &File, ahead: bool) -> Result<()> {
        let (locked, in_beat) = (self.0.locked.get(), self.0.in_beat.get());
        let skip = self.do_without(Invariant::TouchBeforeFlock) && !locked
            || self.do_without(Invariant::TouchAfterFlock) && locked && !in_beat
            || self.do_without(Invariant::Heartbeat) && in_beat;
        if skip {
            return Ok(());
        }
        let time = match (ahead, self.do_without(Invariant::FarTimes)) {
            (false, _) => Time::Now,
            (true, false) => Time::Ahead,
            (true, true) => Time::Last,
        };
        self.try_ask(Call::Touch(file.fd, time)).map(drop)
    }

    pub(super) fn beat_for(&self, file: Option<&File>) {
        self.0.pulse.set(file.map(|file| file.fd));
    }

    pub(super) fn nap(&self) {
        self.ask(Call::Nap(self.boottime().as_secs()));
    }

    fn try_ask(&self, call: Call) -> Result<Answer> {
        match self.ask(call) {
            Answer::Failed(errno) => Err(errno),
            answer => Ok(answer),
        }
    }

    fn file(&self, answer: &Answer) -> Option<File> {
        match answer {
            Answer::File(fd) => Some(File {
                fd: *fd,
                sim: self.clone(),
            }),
            _ => None,
        }
    }

    fn do_without(&self, invariant: Invariant) -> bool {
        self.0.without.contains(&invariant)
    }

    fn time(&self, call: Call) -> Duration {
        match self.ask(call) {
            Answer::Time(seconds) => Duration::from_secs(seconds),
            _ => Duration::ZERO,
        }
    }
}

/// An open file; closes when dropped.
pub(super) struct File {
    pub(super) fd: Fd,
    sim: Sim,
}

impl Drop for File {
    fn drop(&mut self) {
        self.sim.ask(Call::Close(self.fd));
    }
}

pub(super) struct Place(Option<File>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            file.sim.ask(Call::Leave(file.fd));
            std::mem::forget(file);
        }
    }
}

impl System for Sim {
    type File = File;
    type Place = Place;

    fn open(&self, access: Access) -> Result<File> {
        self.0.locked.set(false);
        let answer = self.try_ask(Call::Open(access))?;
        self.file(&answer).ok_or(HALTED)
    }

    fn stat(&self, file: &File) -> Result<Stat> {
        match self.try_ask(Call::Stat(file.fd))? {
            Answer::Stat(stat) => {
                self.0.opened.set(Some(stat));
                Ok(stat)
            }
            _ => Err(HALTED),
        }
    }

    fn stat_at(&self, name: &Name) -> Result<Stat> {
        let label = label(name);
        match self.try_ask(Call::StatAt(label)) {
            Err(Errno::NOENT) if self.do_without(Invariant::GoneIsNoError) => Err(Errno::IO),
            Err(Errno::NOENT) | Ok(_)
                if label == Label::Lock && self.do_without(Invariant::SameInode) =>
            {
                self.0.opened.get().ok_or(HALTED)
            }
            Err(errno) => Err(errno),
            Ok(_) if label == Label::Spare && self.do_without(Invariant::LookAtDisplaced) => {
                self.0.looked.get().ok_or(HALTED)
            }
            Ok(Answer::Stat(stat)) => {
                self.0.looked.set(Some(stat));
                Ok(stat)
            }
            Ok(_) => Err(HALTED),
        }
    }

    fn touch(&self, file: &File) -> Result<()> {
        self.touch_with(file, false)
    }

    /// Says what it set only where that is not kept: elsewhere it makes no difference.
    fn touch_ahead(&self, file: &File, _: Duration) -> Result<Duration> {
        if self.do_without(Invariant::TouchAhead) {
            return Err(Errno::PERM);
        }
        self.touch_with(file, true)?;
        match self.do_without(Invariant::FarTimes) && !self.do_without(Invariant::ReadsBack) {
            true => Ok(AHEAD + self.time(Call::Wall)),
            false => Ok(Duration::ZERO),
        }
    }

    fn try_flock(&self, file: &File, mode: Mode) -> Result<bool> {
        let granted = self.try_ask(Call::TryFlock(file.fd, mode))? == Answer::Flag(true);
        self.0.locked.set(granted);
        Ok(granted)
    }

    fn queue(&self, locked: Locked<File>, mode: Mode) -> Result<Place> {
        let file = locked.file;
        let answer = self.try_ask(Call::Queue(file.fd, mode))?;
        Ok(Place(Some(match self.file(&answer) {
            // Of an earlier wait. The world has closed the caller's own.
            Some(adopted) => {
                std::mem::forget(file);
                adopted
            }
            None => file,
        })))
    }

    fn wait(&self, place: &mut Place, until: Duration) -> Result<Option<File>> {
        let fd = place.0.as_ref().ok_or(HALTED)?.fd;
        match self.try_ask(Call::Wait(fd, until.as_secs()))? {
            Answer::Flag(true) => {
                self.0.locked.set(true);
                Ok(place.0.take())
            }
            _ => Ok(None),
        }
    }

    fn unlock(&self, file: &File) -> Result<()> {
        self.try_ask(Call::Unlock(file.fd)).map(drop)
    }

    fn lock_directory(&self) -> Result<Option<File>> {
        let answer = self.try_ask(Call::LockDirectory)?;
        Ok(self.file(&answer))
    }

    fn create(&self, name: &Name) -> Result<File> {
        let answer = self.try_ask(Call::Create(label(name)))?;
        self.file(&answer).ok_or(HALTED)
    }

    fn exchange(&self, _: &Name, _: &Name) -> Result<()> {
        self.try_ask(Call::Exchange).map(drop)
    }

    fn rename(&self, _: &Name, _: &Name) -> Result<()> {
        self.try_ask(Call::Rename).map(drop)
    }

    fn remove(&self, name: &Name) -> Result<()> {
        self.try_ask(Call::Remove(label(name))).map(drop)
    }

    fn pause(&self, _: Duration) {
        if !self.do_without(Invariant::OutlastsRemoval) {
            self.ask(Call::Pause(self.boottime().as_secs()));
        }
    }

    /// A [`stat`](Self::stat) tells of a file's time only whether it is stale now, so that moments
    /// that differ in nothing else are one.
    fn wall_clock(&self) -> Duration {
        seconds(STALE)
    }

    fn boottime(&self) -> Duration {
        self.time(Call::Boottime)
    }

    fn monotonic(&self) -> Duration {
        self.time(Call::Monotonic)
    }

    fn pid(&self) -> u32 {
        self.0.pid as u32
    }

    fn process(&self) -> u64 {
        1
    }

    fn write_word(&self, _: &File, _: u64) -> Result<()> {
        Ok(())
    }

    fn read_word(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn is_local(&self, _: &File) -> bool {
        true
    }

    fn status(&self) -> Result<Status> {
        let Answer::Holders(holders) = self.try_ask(Call::Holders)? else {
            return Err(HALTED);
        };
        let holder = |(pid, mode, stopped): (Pid, Mode, bool)| Holder {
            pid: pid as u32,
            mode,
            command: None,
            state: Some(if stopped {
                Activity::Stopped
            } else {
                Activity::Alive
            }),
        };
        let holders = holders.into_iter().map(holder).collect();
        Ok(Status {
            exists: true,
            is_complete: true,
            holders,
            ..Status::default()
        })
    }

    fn heart(&self) -> &Heart<Self> {
        &self.0.heart
    }

    /// The schedule beats.
    fn keep_beating(&self) {}
}

fn label(name: &Name) -> Label {
    assert!(name == LOCK_NAME || name == SPARE_NAME);
    if name == LOCK_NAME {
        Label::Lock
    } else {
        Label::Spare
    }
}

/// What a process says of itself in a trace.
pub(super) fn letter(pid: Pid) -> char {
    char::from(b'A' + pid as u8)
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sim").field(&letter(self.0.pid)).finish()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fd.fmt(f)
    }
}

/// The protocol's times, in steps of the simulated clock: a beat is due at every step, and one that
/// stood still for three has lost its lock and is stale.
pub(super) const fn seconds(seconds: Seconds) -> Duration {
    Duration::from_secs(seconds)
}
