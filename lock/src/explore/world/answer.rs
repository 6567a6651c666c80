//! What the world answers to a system call, and what becomes of the world.

use std::time::Duration;

use rustix::io::Errno;

use super::{DIRECTORY, Description, Ino, Inode, Life, Overtaken, World, conflict};
use crate::{
    Mode,
    explore::call::{Answer, Call, Fd, Label, Outcome, Pid, STALE, Time, Violation},
    protocol::touch::AHEAD,
    system::{Access, FileId, Kind, Stat},
};

impl World {
    /// Whether a call can be answered now.
    pub(in crate::explore) fn is_ready(&self, call: &Call) -> bool {
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

    /// Whether no other actor can tell when a call is answered. Such a call is answered together with
    /// the one before it.
    pub(in crate::explore) fn is_private(&self, call: &Call) -> bool {
        match call {
            Call::Boottime | Call::Monotonic | Call::Wall => true,
            Call::Enter(_) | Call::Commit | Call::End(_) => true,
            // Answered without the time: what is left never changes.
            Call::Identify(_) => true,
            // Right after the open: what happens between the two might as well happen before both.
            Call::Stat(_) => true,
            Call::Close(fd) => self.files[fd].lock.is_none(),
            _ => false,
        }
    }

    pub(in crate::explore) fn answer(&mut self, pid: Pid, call: &Call) -> Answer {
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
            Call::Identify(fd) => {
                let ino = self.files[&fd].inode;
                Answer::Stat(Stat {
                    mtime: Duration::ZERO,
                    ..self.stat(ino)
                })
            }
            Call::Stat(fd) => {
                let ino = self.files[&fd].inode;
                let mtime = self.inodes[ino].mtime;
                let is_stale = self.wall_clock().saturating_sub(mtime) >= STALE;
                self.lives[pid].saw_stale = is_stale;
                Answer::Stat(Stat {
                    mtime: Duration::from_secs(if is_stale { 0 } else { STALE }),
                    ..self.stat(ino)
                })
            }
            Call::StatAt(label) => {
                let ino = self.place(label).ok_or(Errno::NOENT)?;
                Answer::Stat(self.stat(ino))
            }
            Call::Touch(fd, time) => {
                let ino = self.files[&fd].inode;
                self.inodes[ino].mtime = match time {
                    Time::Now => self.wall_clock(),
                    Time::Ahead => self.wall_clock() + AHEAD.as_secs(),
                    Time::Last => AHEAD.as_secs(),
                };
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
                let inode = self.files[&fd].inode;
                let adopted = self.files.iter_mut().find(|(other, file)| {
                    let waits = file.queued == Some(mode) || file.lock == Some(mode);
                    file.left && waits && file.inode == inode && other.owner() == pid
                });
                if let Some((&adopted, file)) = adopted {
                    file.left = false;
                    if file.lock.is_some() {
                        self.note_grant(adopted);
                    }
                    self.files.remove(&fd);
                    return Ok(Answer::File(adopted));
                }
                self.file(fd).queued = Some(mode);
                Answer::Done
            }
            Call::Wait(fd, _) => Answer::Flag(self.files[&fd].lock.is_some()),
            Call::Leave(fd) => {
                self.file(fd).left = true;
                Answer::Done
            }
            Call::Close(fd) => {
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
            Call::Wall => Answer::Time(self.wall_clock()),
            Call::Nap(_) | Call::Pause(_) | Call::Work => Answer::Done,
            Call::Enter(mode) => self.enter(pid, mode),
            Call::Commit => {
                if self.lives[pid].overtaken {
                    self.violation = Some(Violation::CommitOnLostLock);
                }
                Answer::Done
            }
            Call::LateCommit => {
                let life = &mut self.lives[pid];
                life.came_too_late = life.overtaken;
                Answer::Done
            }
            Call::End(ref outcome) => self.end(pid, outcome),
        })
    }

    fn enter(&mut self, pid: Pid, mode: Mode) -> Answer {
        let unlinked = self.lives[pid].locked_unlinked;
        let enters_late = !self.lives[pid].saw_stale;
        for (other, life) in self.lives.iter_mut().enumerate() {
            if other != pid && life.inside.is_some_and(|theirs| conflict(theirs, mode)) {
                life.overtaken = true;
                let are_peers = self.peers[other] && self.peers[pid];
                let residual = match self.rules.overtaken {
                    Overtaken::None => false,
                    Overtaken::TheStopped => life.stood_still,
                    Overtaken::TheLate if self.peers[other] => enters_late,
                    Overtaken::TheLate => !life.saw_stale,
                    Overtaken::Anybody => true,
                };
                if residual || are_peers && self.rules.spare_peers {
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
            Outcome::Finished if life.came_too_late => {
                self.violation = Some(Violation::UntoldLateCommit);
            }
            Outcome::Fenced | Outcome::Told if !excused => {
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

    fn place(&mut self, label: Label) -> &mut Option<Ino> {
        match label {
            Label::Lock => &mut self.lock,
            Label::Spare => &mut self.spare,
        }
    }

    fn open(&mut self, owner: Pid, inode: Ino) -> Answer {
        if inode == self.inodes.len() {
            self.inodes.push(Inode {
                mtime: self.wall_clock(),
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
                left: false,
            },
        );
        Answer::File(fd)
    }

    fn stat(&self, ino: Ino) -> Stat {
        Stat {
            id: FileId {
                device: 0,
                inode: ino as u64,
            },
            kind: Kind::File,
            size: 0,
            mtime: Duration::from_secs(self.inodes[ino].mtime),
        }
    }
}
