//! Inodes, names, locks and a clock, in memory.

mod answer;

use std::collections::BTreeMap;

use super::call::{Fd, Outcome, Pid, Seconds, TICK, Violation};
use crate::{Mode, protocol::touch::AHEAD};

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
    /// Its wait was given up. A thread of its process still waits with it, until the next wait of
    /// the process adopts it, or it is granted the lock and lets go of it.
    left: bool,
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
    /// Another actor got the lock since it entered.
    overtaken: bool,
    /// What it committed after its fence came after it was overtaken.
    came_too_late: bool,
    /// The inode that it locked last was at the path no longer by then.
    locked_unlinked: bool,
    /// The file was stale when it looked at it last before it asked for the lock.
    saw_stale: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    clock: Seconds,
    /// How much of it the machine was suspended.
    suspended: Seconds,
    /// How far the wall clock was set forward.
    jumped: Seconds,
    lock: Option<Ino>,
    spare: Option<Ino>,
    inodes: Vec<Inode>,
    files: BTreeMap<Fd, Description>,
    pub(super) lives: Vec<Life>,
    /// Which of them are reference processes.
    peers: Vec<bool>,
    pub(super) violation: Option<Violation>,
    /// An actor was overtaken that may be.
    pub(super) residual: bool,
    /// A lock file was exchanged for another.
    pub(super) taken_over: bool,
    pub(super) rules: Rules,
}

/// What counts as a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    /// Which actors may be overtaken by a second holder, so that its fence must keep it from committing.
    pub(super) overtaken: Overtaken,
    /// A lock may be found lost by one that did not stand still: a takeover that finds the holder
    /// back to life gives the file back, but the holder may have seen it gone.
    pub(super) may_lose_unmoved: bool,
    /// Two reference processes may overtake each other.
    pub(super) spare_peers: bool,
}

/// The actors whose lock another may get without a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Overtaken {
    #[default]
    None,
    /// One that stood still.
    TheStopped,
    /// One that found the file fresh, since a peer had touched it after it was stale.
    TheLate,
    /// Anybody, by a peer that found the file stale long ago.
    Anybody,
}

/// The lock file that the processes find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockFileIs {
    Missing,
    Fresh,
    /// Touched last by the reference, and idle since.
    Stale,
    /// Touched last by ours, and idle since.
    Idle,
}

impl World {
    pub(super) fn new(peers: Vec<bool>, found: LockFileIs, rules: Rules) -> Self {
        let mut inodes = vec![Inode {
            mtime: START,
            linked: true,
        }];
        let lock = match found {
            LockFileIs::Missing => None,
            LockFileIs::Fresh => Some(START),
            LockFileIs::Stale => Some(1_000),
            LockFileIs::Idle => Some(1_000 + AHEAD.as_secs()),
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
            jumped: 0,
            lock,
            spare: None,
            inodes,
            files: BTreeMap::new(),
            lives: vec![Life::default(); peers.len()],
            peers,
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

    /// The waiters that could be granted the lock.
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
        if !file.left {
            self.note_grant(fd);
        }
    }

    /// The locks that were granted to waits that had been given up.
    pub(super) fn unwanted(&self) -> impl Iterator<Item = Fd> + '_ {
        let unwanted =
            |fd: &Fd, file: &Description| file.left && file.lock.is_some() && self.is_running(fd.0);
        self.files
            .iter()
            .filter(move |(fd, file)| unwanted(fd, file))
            .map(|(fd, _)| *fd)
    }

    pub(super) fn let_go(&mut self, fd: Fd) {
        self.files.remove(&fd);
        self.forget();
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

    /// Time passes unnoticed: not even the monotonic clock shows it.
    pub(super) fn suspend(&mut self, length: Seconds, beating: &[bool]) {
        self.clock += length;
        self.suspended += length;
        for life in &mut self.lives {
            life.stood_still = true;
        }
        self.after_time(beating);
    }

    /// The wall clock is set forward.
    pub(super) fn jump(&mut self, length: Seconds) {
        self.jumped += length;
    }

    pub(super) fn clock(&self) -> Seconds {
        self.clock
    }

    fn wall_clock(&self) -> Seconds {
        self.clock + self.jumped
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

    fn file(&mut self, fd: Fd) -> &mut Description {
        self.files.get_mut(&fd).expect("an open file")
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
