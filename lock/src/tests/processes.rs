//! A holder that is stopped, continued, killed. The times are shortened, so these run here and not
//! beside the crate.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    heartbeat::{quick, until},
    root,
};
use crate::{Activity, Mode, Takeover, Wait};

const ROOT: &str = "POSIXAGE_LOCK_TEST_ROOT";

/// The program that the tests below start.
#[test]
#[ignore = "started by other tests"]
fn holder() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let guard = quick(Path::new(&root))
        .acquire(Mode::Exclusive, Wait::Try)
        .unwrap();
    println!("holding");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    match guard.verify() {
        Ok(()) => println!("kept"),
        Err(error) => println!("fenced: {error}"),
    }
}

/// A process that holds the lock. Ends with the test, however that ends.
struct Holder {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Holder {
    fn start(root: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::processes::holder",
                "--ignored",
                "--nocapture",
            ])
            .env(ROOT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut holder = Self { child, says };
        holder.hear("holding");
        holder
    }

    /// Reads on until it says something that begins so; the test program has its own to say.
    fn hear(&mut self, wanted: &str) -> String {
        let mut lines = (&mut self.says).lines().map(|line| line.unwrap());
        let heard = lines.find_map(|line| line.find(wanted).map(|at| line[at..].to_owned()));
        heard.unwrap_or_else(|| panic!("the holder ended without saying {wanted}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn proceed(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_holder_holds_nothing() {
    let root = root();
    let lock = quick(root.path());
    let mut holder = Holder::start(root.path());
    assert!(lock.acquire(Mode::Shared, Wait::Try).is_err());
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    drop(lock.acquire(Mode::Exclusive, Wait::Try).unwrap());
}

#[test]
fn a_killed_holder_makes_way_for_a_waiter() {
    let root = root();
    let lock = quick(root.path());
    let holder = Holder::start(root.path());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| lock.acquire(Mode::Exclusive, Wait::default()).unwrap());
        until("it waits", || !lock.status().unwrap().waiters.is_empty());
        holder.signal(Signal::KILL);
        waiting.join().unwrap().verify().unwrap();
    });
}

#[test]
fn a_stopped_holder_is_waited_for_and_named() {
    let root = root();
    let lock = quick(root.path());
    let mut holder = Holder::start(root.path());
    holder.signal(Signal::STOP);
    until("it is stopped", || {
        lock.status().unwrap().holders[0].is_stopped()
    });

    let error = lock
        .acquire(Mode::Exclusive, Wait::For(Duration::from_millis(3500)))
        .unwrap_err();
    let pid = holder.child.id();
    assert!(error.is_timeout());
    assert!(
        error
            .to_string()
            .contains(&format!("held by pid {pid} (posixage_lock")),
        "{error}"
    );
    assert!(
        error.to_string().contains("), stopped, heartbeat"),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains(&format!("kill -CONT {pid}")),
        "{error}"
    );

    assert!(!error.to_string().contains("wait"), "{error}");

    // It stood still for longer than a lock is good for, though no process took it away.
    holder.signal(Signal::CONT);
    holder.proceed();
    assert!(holder.hear("fenced").contains("stood still"));
}

#[test]
fn a_stopped_holder_can_be_taken_over_and_fails_its_fence() {
    for by_policy in [true, false] {
        let root = root();
        let mut holder = Holder::start(root.path());
        holder.signal(Signal::STOP);
        let lock = quick(root.path()).with_takeover(Takeover::Stale);
        until("it is stopped", || {
            lock.status().unwrap().holders[0].is_stopped()
        });
        let guard = if by_policy {
            lock.acquire(Mode::Exclusive, Wait::default()).unwrap()
        } else {
            lock.take_over(Wait::default()).unwrap()
        };
        guard.verify().unwrap();
        assert_eq!(lock.status().unwrap().holders[0].pid, std::process::id());

        holder.signal(Signal::CONT);
        holder.proceed();
        holder.hear("fenced");
        guard.verify().unwrap();
        let left = std::fs::read_dir(root.path()).unwrap().count();
        assert_eq!(left, 1, "only the lock file is left");
    }
}

#[test]
fn a_holder_that_lives_is_not_taken_over() {
    let root = root();
    let lock = quick(root.path()).with_takeover(Takeover::Stale);
    let mut holder = Holder::start(root.path());
    let error = lock
        .acquire(Mode::Exclusive, Wait::For(Duration::from_secs(5)))
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(
        lock.status().unwrap().holders[0].state,
        Some(Activity::Alive)
    );
    holder.proceed();
    holder.hear("kept");
}
