//! Real processes, each with a bound on its time and no terminal unless it is given one.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open},
};

use crate::{output::Output, screen::Screen, tools};

/// How long a process may take. Far more than any needs: it ends a test that hangs, and decides
/// nothing else.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The user that runs a program when root's own powers would hide what is tested.
pub const ORDINARY_USER: u32 = 65534;

/// A program to be run: its words, its environment (nothing but what is named), its input.
#[derive(Clone)]
#[must_use = "nothing runs before `run` or `start` is called"]
pub struct Program {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<OsString>,
    input: Vec<u8>,
    ordinary: bool,
    terminal: bool,
    limit: Duration,
}

impl Program {
    /// The program of that name or path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            words: vec![program.as_ref().into()],
            environment: vec![("PATH".into(), path)],
            directory: None,
            input: Vec::new(),
            ordinary: false,
            terminal: false,
            limit: LIMIT,
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.words.push(arg.as_ref().into());
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.words
            .extend(args.into_iter().map(|a| a.as_ref().into()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.env_remove(name.as_ref());
        self.environment
            .push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(n, _)| n != name.as_ref());
        self
    }

    /// The directory it starts in.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().into());
        self
    }

    /// What stands on its standard input; nothing otherwise.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it as an ordinary user, bound by file modes, when this process is root.
    pub fn as_ordinary_user(mut self) -> Self {
        self.ordinary = true;
        self
    }

    /// The same program behind `sh -c SCRIPT`, which has it as `"$@"`.
    pub fn in_shell(mut self, script: &str) -> Self {
        let words = std::mem::take(&mut self.words);
        self.words = ["sh", "-c", script, "sh"].map(OsString::from).into();
        self.words.extend(words);
        self
    }

    /// The same program as the last arguments of another.
    pub fn behind<A: AsRef<OsStr>>(mut self, front: impl IntoIterator<Item = A>) -> Self {
        let front = front.into_iter().map(|a| a.as_ref().to_owned());
        self.words.splice(0..0, front);
        self
    }

    /// Gives it that long instead of [`LIMIT`]: for a build.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Output {
        let input = self.input.clone();
        let mut running = self.start();
        let stdin = running.stdin.take();
        // In a thread: it may not read all of it before it writes, or ever.
        let feeder = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
        let output = running.wait();
        drop(feeder.join());
        output
    }

    /// Starts it with a pipe for input, which stays open.
    #[track_caller]
    pub fn start(self) -> Running {
        let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
        let mut child = self.spawn(pipes);
        Running {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map_or_else(Screen::default, Screen::of),
            stderr: child.stderr.take().map_or_else(Screen::default, Screen::of),
            words: self.words,
            child: Kept::new(child),
            limit: self.limit,
        }
    }

    /// Starts it with its input and nothing behind it. No more than a pipe holds.
    #[track_caller]
    pub fn start_with_input(self) -> Running {
        let input = self.input.clone();
        let mut running = self.start();
        running.write(&input);
        drop(running.stdin.take());
        running
    }

    #[track_caller]
    pub(crate) fn spawn(&self, [stdin, stdout, stderr]: [Stdio; 3]) -> Child {
        // A session of its own: no terminal but the one it is given, and one group to be killed.
        let mut command = Command::new(tools::need("setsid", "util-linux"));
        if self.terminal {
            command.arg("--ctty");
        }
        if self.ordinary && tools::is_root() {
            let user = ORDINARY_USER;
            command
                .arg(tools::need("setpriv", "util-linux"))
                .args([format!("--reuid={user}"), format!("--regid={user}")])
                .arg("--clear-groups");
        }
        command
            .args(&self.words)
            .env_clear()
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {:?}: {e}", self.words))
    }
}

/// A child that is killed, with all that it started, when it is dropped.
pub(crate) struct Kept {
    child: Child,
    status: Option<ExitStatus>,
}

impl Kept {
    pub(crate) fn new(child: Child) -> Self {
        let status = None;
        Self { child, status }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end; `None`, and it is killed, if that does not come.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let handle = pidfd_open(self.pid(), PidfdFlags::empty()).expect("pidfd_open of a child");
        let limit = Timespec::try_from(limit).expect("a bound that fits");
        let mut fds = [PollFd::new(&handle, PollFlags::IN)];
        let ended = retry_on_intr(|| poll(&mut fds, Some(&limit))).expect("poll of a pidfd") > 0;
        let status = self.kill();
        ended.then_some(status)
    }

    /// The whole session, before the child is reaped: until then no other process can have its number.
    fn kill(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        // Not a group yet, should it still be on its way to setsid.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        drop(self.child.kill());
        let status = self.child.wait().expect("wait for a child");
        self.status = Some(status);
        status
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that has been started. Dropped, it is killed.
pub struct Running {
    words: Vec<OsString>,
    stdin: Option<ChildStdin>,
    stdout: Screen,
    stderr: Screen,
    child: Kept,
    limit: Duration,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.child.pid().as_raw_pid()
    }

    /// Waits until it has written `wanted` to its standard output.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str) {
        self.stdout.wait_for(wanted, 0, LIMIT);
    }

    /// Whether it writes `wanted` to its standard output before it ends.
    #[track_caller]
    #[must_use]
    pub fn says(&self, wanted: &str) -> bool {
        self.stdout.find(wanted, 0, LIMIT).is_some()
    }

    /// Waits until it has written `wanted` to its standard error.
    #[track_caller]
    pub fn wait_for_stderr(&self, wanted: &str) {
        self.stderr.wait_for(wanted, 0, LIMIT);
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        let pipe = self.stdin.as_mut().expect("standard input is open");
        pipe.write_all(bytes).expect("write to a child");
    }

    /// Waits until it has written `wanted` to its standard error behind `from`; the place behind it.
    /// `None` if it ends without.
    #[track_caller]
    #[must_use]
    pub fn find_in_stderr(&self, wanted: &str, from: usize) -> Option<usize> {
        self.stderr.find(wanted, from, LIMIT)
    }

    /// What it has written to its standard error so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Sends it, and all that it has started, a signal.
    #[track_caller]
    pub fn signal_all(&self, signal: Signal) {
        kill_process_group(self.child.pid(), signal).expect("signal a group");
    }

    /// Sends it, and it alone, a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.child.pid(), signal).expect("signal a child");
    }

    /// Closes its standard input and waits for its end.
    ///
    /// # Panics
    /// It does not end within [`LIMIT`].
    #[track_caller]
    pub fn wait(mut self) -> Output {
        drop(self.stdin.take());
        self.end()
    }

    /// Waits for its end; its standard input stays open.
    #[track_caller]
    pub fn end(mut self) -> Output {
        let status = self.child.wait(self.limit);
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(|s| s.all(LIMIT));
        let words = &self.words;
        let output = Output {
            status: status.unwrap_or_default(),
            stdout: stdout.unwrap_or_else(|| panic!("stdout of {words:?} does not end")),
            stderr: stderr.unwrap_or_else(|| panic!("stderr of {words:?} does not end")),
            words: self.words.clone(),
        };
        assert!(status.is_some(), "does not end: {output:?}");
        output
    }
}
