//! What a store must look like on disk.

use std::{collections::BTreeSet, ffi::OsStr, fs, os::unix::fs::MetadataExt, path::Path};

use posixage::Id;

use crate::tree;

/// Asserts that `root` is a store of exactly these ids and nothing else: 0700 and 0600 throughout,
/// no temporary file left, no file in a secret's directory but those of the format.
///
/// # Panics
/// It is not.
#[track_caller]
pub fn assert_store<'a>(root: &Path, ids: impl IntoIterator<Item = &'a str>) {
    let mut expected: BTreeSet<String> = ids
        .into_iter()
        .map(|id| id.parse::<Id>().expect("an id").directory_name())
        .collect();
    for path in tree::walk(root) {
        let stat = fs::symlink_metadata(&path).expect("stat");
        let wanted = match stat.is_dir() {
            true => 0o40700,
            false => 0o100_600,
        };
        assert_eq!(
            stat.mode(),
            wanted,
            "{} has mode {:o}",
            path.display(),
            stat.mode()
        );
        let inside = path.strip_prefix(root).expect("a path inside");
        let names: Vec<&str> = inside.iter().filter_map(OsStr::to_str).collect();
        match names[..] {
            [] | [".posixage.lock" | ".posixage.toml"] => {}
            [name] => assert!(
                expected.remove(name),
                "{} should not be there",
                path.display()
            ),
            [
                _,
                "metadata.json" | "secretage" | "secretssh" | "secretpass",
            ] => {}
            _ => panic!("{} should not be there", path.display()),
        }
    }
    assert!(expected.is_empty(), "missing: {expected:?}");
}
