//! The reference's lock, written from its description: before the fix of its issue 530, and after.

use super::{
    call::{Call, Outcome, STALE},
    process::{File, Program, Sim},
};
use crate::{
    Mode,
    system::{Access, LOCK_NAME, System},
};
use rustix::io::Errno;
use std::rc::Rc;

/// How often it tries before it gives up.
const TRIES: usize = 5;

/// Locks, works, unlocks. What it commits on a lost lock is not held against it: it has no fence.
fn caller(
    name: &'static str,
    acquire: fn(&Sim, Mode) -> Result<Option<File>, Errno>,
    mode: Mode,
) -> Program {
    let run = move |sim: &Sim| match acquire(sim, mode) {
        Ok(Some(file)) => {
            sim.ask(Call::Enter(mode));
            sim.ask(Call::Work);
            let _ = sim.unlock(&file);
            sim.beat_for(None);
            Outcome::Finished
        }
        Ok(None) => Outcome::TimedOut,
        Err(errno) => Outcome::Failed(errno.to_string()),
    };
    Program {
        name,
        run: Rc::new(run),
        without: &[],
        is_peer: true,
        splits_beats: false,
    }
}

/// Before its fix: the lock is whatever inode was opened; a file that is old is removed; that it is
/// gone by then is an error.
pub(super) fn before_its_fix(mode: Mode) -> Program {
    caller("the reference before its fix", acquire_before, mode)
}

fn acquire_before(sim: &Sim, mode: Mode) -> Result<Option<File>, Errno> {
    for _ in 0..TRIES {
        let file = sim.open(Access::Create)?;
        if sim.try_flock(&file, mode)? {
            sim.touch(&file)?;
            return Ok(Some(file));
        }
        let stat = sim.stat_at(LOCK_NAME)?;
        if sim.wall().saturating_sub(stat.mtime).as_secs() >= STALE {
            sim.remove(LOCK_NAME)?;
        } else {
            sim.nap();
        }
    }
    Ok(None)
}

/// After its fix: it compares inodes, beats, and bears with a file that is gone.
pub(super) fn after_its_fix(mode: Mode) -> Program {
    caller("the reference after its fix", acquire_after, mode)
}

fn acquire_after(sim: &Sim, mode: Mode) -> Result<Option<File>, Errno> {
    for _ in 0..TRIES {
        let file = sim.open(Access::Create)?;
        if sim.try_flock(&file, mode)? {
            sim.touch(&file)?;
            let opened = sim.identify(&file)?;
            match sim.stat_at(LOCK_NAME) {
                Ok(stat) if stat.id == opened => {
                    sim.beat_for(Some(&file));
                    return Ok(Some(file));
                }
                Ok(_) | Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            }
        }
        match sim.stat_at(LOCK_NAME) {
            Ok(stat) if sim.wall().saturating_sub(stat.mtime).as_secs() >= STALE => {
                match sim.remove(LOCK_NAME) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(_) => sim.nap(),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}
