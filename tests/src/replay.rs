//! From the system calls of a program to what they did to a directory.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use crate::{
    calls::Call,
    disk::{Bytes, Disk, Entry, Node, ROOT},
    power_cut::{Effect, Recording},
};

/// Calls that change nothing that a power cut could undo, or of which nothing is taken on trust: what
/// `syncfs` brings to disk must be fsynced too. Modes and times are not followed.
const WITHOUT_EFFECT: [&str; 36] = [
    "access",
    "chmod",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "faccessat",
    "faccessat2",
    "fchmod",
    "fchmodat",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "ioctl",
    "lseek",
    "lstat",
    "memfd_create",
    "mmap",
    "newfstatat",
    "pidfd_open",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "recvfrom",
    "stat",
    "statfs",
    "statx",
    "syncfs",
    "utimensat",
];

/// Follows calls; everything outside the directory is ignored.
pub struct Replay {
    root: PathBuf,
    live: Disk,
    recording: Recording,
    open: HashMap<i64, Open>,
}

#[derive(Clone, Copy)]
struct Open {
    node: Node,
    offset: usize,
}

impl Replay {
    /// What lies in the directory now is on disk.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let live = Disk::of(root);
        Self {
            root: root.into(),
            recording: Recording::new(live.clone()),
            live,
            open: HashMap::new(),
        }
    }

    /// Follows the calls to their end. A line `ok …` on standard output, or an exit with 0 if there
    /// is none, acknowledges an operation.
    ///
    /// # Panics
    /// A call is not known here: then nothing can be said.
    #[must_use]
    pub fn follow(mut self, calls: &[Call]) -> Recording {
        let says_ok = |call: &Call| {
            call.name == "write" && call.args[0] == "1" && call.string(1).starts_with(b"ok ")
        };
        let by_exit = !calls.iter().any(says_ok);
        for call in calls {
            if says_ok(call) || (by_exit && call.name == "exit_group" && call.args[0] == "0") {
                self.recording.acknowledge();
            }
            if call.returned.is_some_and(|returned| returned >= 0) {
                self.call(call);
            }
        }
        self.recording
    }

    fn call(&mut self, call: &Call) {
        match call.name.as_str() {
            "execve" => self.open.clear(),
            "open" => self.open(call, None, 0),
            "openat" => self.open(call, call.descriptor(0), 1),
            "fcntl" if call.args[1].starts_with("F_DUPFD") => {
                let node = call
                    .descriptor(0)
                    .and_then(|fd| self.open.get(&fd).copied());
                if let (Some(node), Some(fd)) = (node, call.returned) {
                    self.open.insert(fd, node);
                }
            }
            "close" => {
                let fd = call.descriptor(0).expect("a descriptor");
                self.open.remove(&fd);
            }
            "write" => self.write(call),
            "fsync" | "fdatasync" => {
                let fd = call.descriptor(0).expect("a descriptor");
                if let Some(open) = self.open.get(&fd) {
                    self.recording.sync(open.node);
                }
            }
            "mkdir" => self.mkdir(call, None, 0),
            "mkdirat" => self.mkdir(call, call.descriptor(0), 1),
            "unlink" | "rmdir" => self.unlink(call, None, 0),
            "unlinkat" => self.unlink(call, call.descriptor(0), 1),
            "link" => self.link(call, (None, 0), (None, 1)),
            "linkat" => self.link(call, (call.descriptor(0), 1), (call.descriptor(2), 3)),
            "rename" => self.rename(call, (None, 0), (None, 1), false),
            "renameat" | "renameat2" => {
                let exchange = call.args.len() > 4 && call.has(4, "RENAME_EXCHANGE");
                let [from, to] = [(call.descriptor(0), 1), (call.descriptor(2), 3)];
                self.rename(call, from, to, exchange);
            }
            name => assert!(WITHOUT_EFFECT.contains(&name), "what does {call:?} do?"),
        }
    }

    fn open(&mut self, call: &Call, dir: Option<i64>, path: usize) {
        let fd = call.returned.expect("a descriptor");
        let Some((dir, name)) = self.place(call, dir, path) else {
            self.open.remove(&fd);
            return;
        };
        let flags = path + 1;
        assert!(!call.has(flags, "O_TRUNC"), "{call:?} is not followed");
        let node = match name.is_empty() {
            true => Some(dir),
            false => self.live.get(dir, &name),
        };
        let node = node.unwrap_or_else(|| {
            assert!(
                call.has(flags, "O_CREAT"),
                "{call:?} finds what is not there"
            );
            let node = self.make(Some(Vec::new()));
            self.entries(vec![Entry {
                dir,
                name,
                node: Some(node),
            }]);
            node
        });
        self.open.insert(fd, Open { node, offset: 0 });
    }

    fn write(&mut self, call: &Call) {
        let fd = call.descriptor(0).expect("a descriptor");
        let Some(open) = self.open.get_mut(&fd) else {
            return;
        };
        let written = usize::try_from(call.returned.unwrap_or(0)).expect("a length");
        let mut content = call.string(1);
        content.truncate(written);
        let bytes = Bytes {
            file: open.node,
            at: open.offset,
            content,
        };
        open.offset += written;
        self.live.write(&bytes);
        self.recording.add(Effect::Bytes(bytes));
    }

    fn mkdir(&mut self, call: &Call, dir: Option<i64>, path: usize) {
        if let Some((dir, name)) = self.place(call, dir, path) {
            let node = Some(self.make(None));
            self.entries(vec![Entry { dir, name, node }]);
        }
    }

    fn unlink(&mut self, call: &Call, dir: Option<i64>, path: usize) {
        if let Some((dir, name)) = self.place(call, dir, path) {
            self.entries(vec![Entry {
                dir,
                name,
                node: None,
            }]);
        }
    }

    fn link(&mut self, call: &Call, from: (Option<i64>, usize), to: (Option<i64>, usize)) {
        let from = self.place(call, from.0, from.1);
        let to = self.place(call, to.0, to.1);
        let (Some((from_dir, from)), Some((dir, name))) = (from, to) else {
            panic!("{call:?} crosses the border");
        };
        let node = self.live.get(from_dir, &from);
        self.entries(vec![Entry { dir, name, node }]);
    }

    fn rename(
        &mut self,
        call: &Call,
        from: (Option<i64>, usize),
        to: (Option<i64>, usize),
        exchange: bool,
    ) {
        let from = self.place(call, from.0, from.1);
        let to = self.place(call, to.0, to.1);
        let ((from_dir, from), (to_dir, to)) = match (from, to) {
            (Some(from), Some(to)) => (from, to),
            (None, None) => return,
            _ => panic!("{call:?} crosses the border"),
        };
        let moved = self.live.get(from_dir, &from);
        assert!(moved.is_some(), "{call:?} moves what is not there");
        let displaced = self.live.get(to_dir, &to).filter(|_| exchange);
        self.entries(vec![
            Entry {
                dir: from_dir,
                name: from,
                node: displaced,
            },
            Entry {
                dir: to_dir,
                name: to,
                node: moved,
            },
        ]);
    }

    fn entries(&mut self, entries: Vec<Entry>) {
        entries.iter().for_each(|e| self.live.set(e.clone()));
        self.recording.add(Effect::Entries(entries));
    }

    /// The same number on the disk as it is and on the disk as it was.
    fn make(&mut self, content: Option<Vec<u8>>) -> Node {
        self.recording.before.make(content.clone());
        self.live.make(content)
    }

    /// The directory and the name that a call means; an empty name for the directory itself. None
    /// outside.
    fn place(&self, call: &Call, dir: Option<i64>, path: usize) -> Option<(Node, Vec<u8>)> {
        let path = call.string(path);
        let path = Path::new(OsStr::from_bytes(&path));
        let (mut node, path) = match dir {
            _ if path.is_absolute() => (ROOT, path.strip_prefix(&self.root).ok()?),
            Some(fd) => (self.open.get(&fd)?.node, path),
            None => panic!("{call:?} is relative to a directory that is not followed"),
        };
        let mut names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.as_bytes().to_vec()),
            Component::CurDir => None,
            component => panic!("{component:?} in {call:?}"),
        });
        let Some(mut name) = names.next() else {
            return Some((node, Vec::new()));
        };
        for next in names {
            node = self.live.get(node, &name)?;
            name = next;
        }
        Some((node, name))
    }
}
