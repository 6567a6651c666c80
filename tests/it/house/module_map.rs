//! Claim: the maps in the crates' READMEs name the folders and files that there are, and no others.

use std::{collections::BTreeSet, fs, path::Path};

use posixage_tests::binary::workspace;

/// The names of the modules below `dir`, folders included.
fn modules(dir: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy();
        if path.is_dir() {
            if stem != "bin" {
                into.insert(stem.into());
                modules(&path, into);
            }
        } else if path.extension().is_none_or(|extension| extension == "rs") && stem != "mod" {
            into.insert(stem.into());
        }
    }
}

fn check(member: &str) {
    let member = workspace().join(member);
    let readme = fs::read_to_string(member.join("README.md")).expect("README.md");
    let (_, behind) = readme.split_once("\n## The code\n").expect("a section");
    let section = behind.split("\n## ").next().unwrap_or_default();
    let words = section.split('`').skip(1).step_by(2);
    let is_module = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let named: BTreeSet<String> = words.filter(is_module).map(str::to_owned).collect();
    let mut there = BTreeSet::new();
    modules(&member.join("src"), &mut there);
    assert_eq!(named, there);
}

#[test]
fn of_the_store() {
    check("store");
}

#[test]
fn of_the_lock() {
    check("lock");
}

#[test]
fn of_the_command_line() {
    check("cli");
}
