//! Inodes, names, locks and a clock, in memory.

use std::{collections::BTreeMap, time::Duration};

use rustix::io::Errno;

use super::call::{Answer, Call, Fd, Label, Outcome, Pid, Seconds, TICK, Violation};
use crate::{
    Mode,
    system::{Access, FileId, Kind, Stat},
};

/// So long a stop without a beat makes a process lose its lock, if it comes just before the beat.
const STANDSTILL: Seconds = 20;

const START: Seconds = 10_000;

type Ino = usize;

/// The directory itself, for the recovery mutex.
const DIRECTORY: Ino = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inode {
    mtime: Seconds,
    linked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Description {
    inode: Ino,
    lock: Option<Mode>,
    queued: Option<Mode>,
}

/// What the world knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Life {
    pub(super) killed: bool,
    pub(super) ended: Option<Outcome>,
    pub(super) stopped: Option<Seconds>,
    /// It was stopped for long enough that others may take it for dead.
    pub(super) stood_still: bool,
    /// For how long it was stopped since it beat last.
    still: Seconds,
    /// The heartbeat has yet to beat for this tick.
    pub(super) beat_due: bool,
    opened: usize,
    /// What it holds, by all that it knows.
    pub(super) inside: Option<Mode>,
    /// Somebody else got the lock since it entered.
    overtaken: bool,
    /// The inode that it locked last was at the path no longer by then.
    locked_unlinked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    clock: Seconds,
    /// How much of it the machine was suspended.
    suspended: Seconds,
    lock: Option<Ino>,
    spare: Option<Ino>,
    inodes: Vec<Inode>,
    files: BTreeMap<Fd, Description>,
    pub(super) lives: Vec<Life>,
    pub(super) violation: Option<Violation>,
    /// Somebody was overtaken who may be.
    pub(super) residual: bool,
    /// A lock file was exchanged for another.
    pub(super) taken_over: bool,
    pub(super) rules: Rules,
}

/// What counts as a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    /// Who may be overtaken by a second holder, so that its fence must keep it from committing.
    pub(super) overtaken: Overtaken,
    /// A lock may be found lost by one who did not stand still: a takeover that finds the holder
    /// back to life gives the file back, but the holder may have seen it gone.
    pub(super) may_lose_unmoved: bool,
}

/// Whose lock somebody else may get without that being a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Overtaken {
    #[default]
    Nobody,
    /// One who stood still.
    TheStopped,
    /// Anybody, by a peer that found the file stale long ago.
    Anybody,
}

/// The lock file that the processes find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockFileIs {
    Missing,
    Fresh,
    Stale,
}

impl World {
    pub(super) fn new(processes: usize, found: LockFileIs, rules: Rules) -> Self {
        let mut inodes = vec![Inode {
            mtime: START,
            linked: true,
        }];
        let lock = match found {
            LockFileIs::Missing => None,
            LockFileIs::Fresh => Some(START),
            LockFileIs::Stale => Some(1_000),
        }
        .map(|mtime| {
            inodes.push(Inode {
                mtime,
                linked: true,
            });
            inodes.len() - 1
        });
        Self {
            clock: START,
            suspended: 0,
            lock,
            spare: None,
            inodes,
            files: BTreeMap::new(),
            lives: vec![Life::default(); processes],
            violation: None,
            residual: false,
            taken_over: false,
            rules,
        }
    }

    pub(super) fn is_running(&self, pid: Pid) -> bool {
        let life = &self.lives[pid];
        !life.killed && life.ended.is_none() && life.stopped.is_none()
    }

    /// Whether a call can be answered now.
    pub(super) fn is_ready(&self, call: &Call) -> bool {
        match *call {
            Call::Wait(fd, until) => {
                self.files[&fd].lock.is_some() || self.clock - self.suspended >= until
            }
            // It naps only for as long as a try would be in vain.
            Call::Nap(since) => {
                self.clock > since || self.lock.is_none_or(|ino| !self.is_locked(ino))
            }
            _ => true,
        }
    }

    /// Who in the queue could be granted the lock.
    pub(super) fn grantable(&self) -> impl Iterator<Item = Fd> + '_ {
        self.files
            .iter()
            .filter(|(fd, file)| {
                file.queued.is_some_and(|mode| self.is_free(**fd, mode)) && self.is_running(fd.0)
            })
            .map(|(fd, _)| *fd)
    }

    pub(super) fn grant(&mut self, fd: Fd) {
        let file = self.file(fd);
        file.lock = file.queued.take();
        self.note_grant(fd);
    }

    /// Time passes.
    pub(super) fn tick(&mut self, beating: &[bool]) {
        self.clock += TICK;
        for life in self.lives.iter_mut().filter(|life| life.stopped.is_some()) {
            life.still += TICK;
            life.stood_still |= life.still >= STANDSTILL;
        }
        self.after_time(beating);
    }

    /// Time passes, and nobody notices: not even the monotonic clock.
    pub(super) fn suspend(&mut self, length: Seconds, beating: &[bool]) {
        self.clock += length;
        self.suspended += length;
        for life in &mut self.lives {
            life.stood_still = true;
        }
        self.after_time(beating);
    }

    fn after_time(&mut self, beating: &[bool]) {
        for (life, &beating) in self.lives.iter_mut().zip(beating) {
            life.beat_due = beating;
        }
    }

    pub(super) fn stop(&mut self, pid: Pid) {
        self.lives[pid].stopped = Some(self.clock);
    }

    pub(super) fn has_time_passed_since_stop(&self, pid: Pid) -> bool {
        self.lives[pid]
            .stopped
            .is_some_and(|since| self.clock > since)
    }

    pub(super) fn beat(&mut self, pid: Pid) {
        self.lives[pid].beat_due = false;
        self.lives[pid].still = 0;
    }

    pub(super) fn proceed(&mut self, pid: Pid) {
        self.lives[pid].stopped = None;
    }

    /// The process is gone: its descriptors are closed, its locks fall.
    pub(super) fn kill(&mut self, pid: Pid) {
        let life = &mut self.lives[pid];
        *life = Life {
            killed: true,
            ..Life::default()
        };
        self.files.retain(|fd, _| fd.0 != pid);
        self.forget();
    }

    /// Whether nobody else can tell when a call is answered. Such a call is answered together with
    /// the one before it.
    pub(super) fn is_private(&self, call: &Call) -> bool {
        match call {
            Call::Boottime | Call::Monotonic | Call::Enter(_) | Call::Commit | Call::End(_) => true,
            // Answered without the time: what is left never changes.
            Call::Stat(_) => true,
            Call::Close(fd) => self.files[fd].lock.is_none(),
            _ => false,
        }
    }

    pub(super) fn answer(&mut self, pid: Pid, call: &Call) -> Answer {
        match self.try_answer(pid, call) {
            Ok(answer) => answer,
            Err(errno) => Answer::Failed(errno),
        }
    }

    fn try_answer(&mut self, pid: Pid, call: &Call) -> Result<Answer, Errno> {
        Ok(match *call {
            Call::Open(access) => {
                let ino = match (self.lock, access) {
                    (Some(ino), _) => ino,
                    (None, Access::Create) => *self.lock.insert(self.inodes.len()),
                    (None, Access::ReadOnly) => return Err(Errno::NOENT),
                };
                self.open(pid, ino)
            }
            Call::Create(label) => {
                let new = self.inodes.len();
                let place = self.place(label);
                if place.is_some() {
                    return Err(Errno::EXIST);
                }
                *place = Some(new);
                self.open(pid, new)
            }
            Call::Stat(fd) => {
                let ino = self.files[&fd].inode;
                Answer::Stat(Stat {
                    mtime: Duration::ZERO,
                    ..self.stat(ino)
                })
            }
            Call::StatAt(label) => {
                let ino = self.place(label).ok_or(Errno::NOENT)?;
                Answer::Stat(self.stat(ino))
            }
            Call::Touch(fd) => {
                let ino = self.files[&fd].inode;
                self.inodes[ino].mtime = self.clock;
                Answer::Done
            }
            Call::TryFlock(fd, mode) => {
                let free = self.is_free(fd, mode);
                if free {
                    self.file(fd).lock = Some(mode);
                    self.note_grant(fd);
                }
                Answer::Flag(free)
            }
            Call::LockDirectory => {
                if self.is_locked(DIRECTORY) {
                    return Ok(Answer::Flag(false));
                }
                let answer = self.open(pid, DIRECTORY);
                if let Answer::File(fd) = answer {
                    self.file(fd).lock = Some(Mode::Exclusive);
                }
                answer
            }
            Call::Queue(fd, mode) => {
                self.file(fd).queued = Some(mode);
                Answer::Done
            }
            Call::Wait(fd, _) => Answer::Flag(self.files[&fd].lock.is_some()),
            Call::Leave(fd) | Call::Close(fd) => {
                self.files.remove(&fd);
                self.forget();
                Answer::Done
            }
            Call::Unlock(fd) => {
                if self.files[&fd].inode != DIRECTORY {
                    self.lives[pid].inside = None;
                }
                self.file(fd).lock = None;
                Answer::Done
            }
            Call::Exchange => {
                let (Some(lock), Some(spare)) = (self.lock, self.spare) else {
                    return Err(Errno::NOENT);
                };
                (self.lock, self.spare) = (Some(spare), Some(lock));
                self.taken_over = true;
                Answer::Done
            }
            Call::Rename => {
                let spare = self.spare.ok_or(Errno::NOENT)?;
                if self.lock.is_some() {
                    return Err(Errno::EXIST);
                }
                (self.lock, self.spare) = (Some(spare), None);
                Answer::Done
            }
            Call::Remove(label) => {
                let ino = self.place(label).take().ok_or(Errno::NOENT)?;
                self.inodes[ino].linked = false;
                Answer::Done
            }
            Call::Holders => Answer::Holders(
                self.files
                    .iter()
                    .filter(|(_, file)| Some(file.inode) == self.lock)
                    .filter_map(|(fd, file)| {
                        let stopped = self.lives[fd.0].stopped.is_some();
                        file.lock.map(|mode| (fd.0, mode, stopped))
                    })
                    .collect(),
            ),
            Call::Boottime => Answer::Time(self.clock),
            Call::Monotonic => Answer::Time(self.clock - self.suspended),
            Call::Nap(_) | Call::Work => Answer::Done,
            Call::Enter(mode) => self.enter(pid, mode),
            Call::Commit => {
                if self.lives[pid].overtaken {
                    self.violation = Some(Violation::CommitOnLostLock);
                }
                Answer::Done
            }
            Call::End(ref outcome) => self.end(pid, outcome),
        })
    }

    fn enter(&mut self, pid: Pid, mode: Mode) -> Answer {
        let unlinked = self.lives[pid].locked_unlinked;
        for (other, life) in self.lives.iter_mut().enumerate() {
            if other != pid && life.inside.is_some_and(|theirs| conflict(theirs, mode)) {
                life.overtaken = true;
                let residual = match self.rules.overtaken {
                    Overtaken::Nobody => false,
                    Overtaken::TheStopped => life.stood_still,
                    Overtaken::Anybody => true,
                };
                if residual {
                    self.residual = true;
                } else {
                    self.violation = Some(Violation::TwoHolders { unlinked });
                }
            }
        }
        let life = &mut self.lives[pid];
        life.inside = Some(mode);
        life.overtaken = false;
        Answer::Done
    }

    fn end(&mut self, pid: Pid, outcome: &Outcome) -> Answer {
        let life = &mut self.lives[pid];
        let excused = life.stood_still || self.rules.may_lose_unmoved;
        match outcome {
            Outcome::Failed(message) => {
                self.violation = Some(Violation::SpuriousError(message.clone()));
            }
            Outcome::Fenced if !excused => {
                self.violation = Some(Violation::SpuriousError("lost the lock".into()));
            }
            _ => {}
        }
        // Nothing else about it matters any more: states that differ only in it are one.
        *life = Life {
            ended: Some(outcome.clone()),
            ..Life::default()
        };
        self.files.retain(|fd, _| fd.0 != pid);
        self.forget();
        Answer::Done
    }

    /// What is neither at a path nor open does not matter any more, either.
    fn forget(&mut self) {
        for ino in 1..self.inodes.len() {
            let is_at_path = self.lock == Some(ino) || self.spare == Some(ino);
            if !is_at_path && self.files.values().all(|file| file.inode != ino) {
                self.inodes[ino] = Inode {
                    mtime: 0,
                    linked: false,
                };
            }
        }
    }

    fn place(&mut self, label: Label) -> &mut Option<Ino> {
        match label {
            Label::Lock => &mut self.lock,
            Label::Spare => &mut self.spare,
        }
    }

    fn open(&mut self, owner: Pid, inode: Ino) -> Answer {
        if inode == self.inodes.len() {
            self.inodes.push(Inode {
                mtime: self.clock,
                linked: true,
            });
        }
        let opened = &mut self.lives[owner].opened;
        let fd = Fd(owner, *opened);
        *opened += 1;
        self.files.insert(
            fd,
            Description {
                inode,
                lock: None,
                queued: None,
            },
        );
        Answer::File(fd)
    }

    fn file(&mut self, fd: Fd) -> &mut Description {
        self.files.get_mut(&fd).expect("an open file")
    }

    fn stat(&self, ino: Ino) -> Stat {
        Stat {
            id: FileId {
                device: 0,
                inode: ino as u64,
            },
            kind: Kind::File,
            mtime: Duration::from_secs(self.inodes[ino].mtime),
        }
    }

    fn is_locked(&self, ino: Ino) -> bool {
        self.files
            .values()
            .any(|file| file.inode == ino && file.lock.is_some())
    }

    fn is_free(&self, fd: Fd, mode: Mode) -> bool {
        let ino = self.files[&fd].inode;
        self.files.iter().all(|(other, file)| {
            *other == fd
                || file.inode != ino
                || file.lock.is_none_or(|theirs| !conflict(theirs, mode))
        })
    }

    fn note_grant(&mut self, fd: Fd) {
        let inode = self.files[&fd].inode;
        if inode != DIRECTORY {
            self.lives[fd.0].locked_unlinked = !self.inodes[inode].linked;
        }
    }
}

fn conflict(one: Mode, other: Mode) -> bool {
    one == Mode::Exclusive || other == Mode::Exclusive
}
