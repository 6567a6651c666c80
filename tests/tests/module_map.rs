//! Claim: the tables of the libraries' READMEs name the files that there are.

use std::{collections::BTreeSet, fs};

use posixage_tests::binary::workspace;

fn check(library: &str) {
    let library = workspace().join(library);
    let readme = fs::read_to_string(library.join("README.md")).expect("README.md");
    let (_, behind) = readme.split_once("\n## The code\n").expect("a section");
    let section = behind.split("\n## ").next().unwrap_or_default();
    let words = section.split('`').skip(1).step_by(2);
    let is_module = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let named: BTreeSet<String> = words.filter(is_module).map(str::to_owned).collect();
    let there: BTreeSet<String> = fs::read_dir(library.join("src"))
        .expect("src")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
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
