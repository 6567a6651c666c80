//! Directory trees: walking, copying, and showing that nothing in one has changed.

use std::{
    collections::BTreeMap,
    fmt, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// `root` and all that is in it, sorted; a directory comes before what is in it. Follows no link.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_path_buf()];
    let is_dir = fs::symlink_metadata(root).is_ok_and(|m| m.is_dir());
    if is_dir {
        let entries = fs::read_dir(root).unwrap_or_else(|e| panic!("list {}: {e}", root.display()));
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.sort();
        found.extend(paths.iter().flat_map(|p| walk(p)));
    }
    found
}

/// Copies directories (0700) and regular files (0600).
///
/// # Panics
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    for path in walk(from) {
        let target = to.join(path.strip_prefix(from).expect("a path inside"));
        if path.is_dir() {
            let made = fs::DirBuilder::new().mode(0o700).create(&target);
            made.unwrap_or_else(|e| panic!("make {}: {e}", target.display()));
        } else {
            fs::copy(&path, &target).unwrap_or_else(|e| panic!("copy {}: {e}", path.display()));
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("chmod");
        }
    }
}

/// All of a tree but its lock file, to be compared with what it is later.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, (u32, u64, Vec<u8>)>);

impl Snapshot {
    /// The modes, inodes and contents in `root`.
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let entry = |path: PathBuf| {
            let stat = fs::symlink_metadata(&path).expect("stat");
            // A sparse file of many gigabytes is known by its mode and inode.
            let content = match stat.is_file() && stat.len() < 1 << 30 {
                true => fs::read(&path).expect("read"),
                false => Vec::new(),
            };
            (path, (stat.mode(), stat.ino(), content))
        };
        let is_lock = |path: &PathBuf| path.ends_with(".posixage.lock");
        Self(
            walk(root)
                .into_iter()
                .filter(|p| !is_lock(p))
                .map(entry)
                .collect(),
        )
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether any file contains `bytes`.
    #[must_use]
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let has = |content: &[u8]| content.windows(bytes.len()).any(|w| w == bytes);
        self.0.values().any(|(_, _, content)| has(content))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, (mode, inode, content)) in &self.0 {
            let len = content.len();
            writeln!(f, "{mode:o} {inode} {len} {}", path.display())?;
        }
        Ok(())
    }
}
