//! A directory tree in memory: inodes, and the names they go by.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::place::make_dir;

/// An inode.
pub type Node = usize;

/// The directory that all the others are in.
pub const ROOT: Node = 0;

/// How deep a tree may be: deeper, a directory would be in itself.
const DEPTH: usize = 32;

/// A name in a directory, and what has it from now on: an inode, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The directory.
    pub dir: Node,
    /// The name.
    pub name: Vec<u8>,
    /// What has it.
    pub node: Option<Node>,
}

/// Bytes at a place in a file.
#[derive(Clone, Debug)]
pub struct Bytes {
    /// The file.
    pub file: Node,
    /// The place.
    pub at: usize,
    /// The bytes.
    pub content: Vec<u8>,
}

/// Inodes and names.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The content of each; none for a directory.
    nodes: Vec<Option<Vec<u8>>>,
    names: BTreeMap<(Node, Vec<u8>), Node>,
}

/// What can be reached from the root: files with their content, and directories.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// What lies in a directory now.
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut disk = Self::default();
        disk.make(None);
        disk.read(ROOT, dir);
        disk
    }

    fn read(&mut self, node: Node, dir: &Path) {
        for entry in fs::read_dir(dir).expect("list a directory") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            let content = (!path.is_dir()).then(|| fs::read(&path).expect("read a file"));
            let child = self.make(content);
            self.names
                .insert((node, entry.file_name().as_bytes().to_vec()), child);
            if path.is_dir() {
                self.read(child, &path);
            }
        }
    }

    /// A new inode, which has no name yet.
    pub fn make(&mut self, content: Option<Vec<u8>>) -> Node {
        self.nodes.push(content);
        self.nodes.len() - 1
    }

    /// What has a name.
    #[must_use]
    pub fn get(&self, dir: Node, name: &[u8]) -> Option<Node> {
        self.names.get(&(dir, name.to_vec())).copied()
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self, node: Node) -> bool {
        self.nodes[node].is_none()
    }

    /// Gives a name, or takes it.
    pub fn set(&mut self, entry: Entry) {
        let Entry { dir, name, node } = entry;
        match node {
            Some(node) => self.names.insert((dir, name), node),
            None => self.names.remove(&(dir, name)),
        };
    }

    /// Writes to a file.
    pub fn write(&mut self, bytes: &Bytes) {
        let Some(Some(content)) = self.nodes.get_mut(bytes.file) else {
            return;
        };
        let end = bytes.at + bytes.content.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[bytes.at..end].copy_from_slice(&bytes.content);
    }

    /// What can be reached.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        self.reach(ROOT, Path::new(""), &mut tree, 0);
        tree
    }

    fn reach(&self, dir: Node, path: &Path, tree: &mut Tree, depth: usize) {
        assert!(depth < DEPTH, "a directory is in itself");
        let names = self.names.range((dir, Vec::new())..(dir + 1, Vec::new()));
        for ((_, name), node) in names {
            let path = path.join(std::ffi::OsStr::from_bytes(name));
            tree.insert(path.clone(), self.nodes[*node].clone());
            if self.is_dir(*node) {
                self.reach(*node, &path, tree, depth + 1);
            }
        }
    }
}

/// Writes a tree into an empty directory: directories 0700, files 0600.
///
/// # Panics
/// It cannot be written.
pub fn write_tree(tree: &Tree, to: &Path) {
    for (path, content) in tree {
        let path = to.join(path);
        let Some(content) = content else {
            make_dir(&path);
            continue;
        };
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(content));
        written.unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    }
}
