//! Claim: every source file is compiled, and `tests/run` installs whatever a test needs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use posixage_tests::{binary::workspace, tree};

/// The files below `dir` that `root`, the file of its module, does not reach.
fn forgotten(root: &Path, dir: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let declared: BTreeSet<&str> = (text.lines())
        .filter_map(|line| line.trim().strip_suffix(';')?.split_once("mod "))
        .filter(|(visibility, _)| visibility.is_empty() || visibility.starts_with("pub"))
        .map(|(_, name)| name)
        .collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let is_dir = path.is_dir();
        let is_source = is_dir || path.extension().is_some_and(|extension| extension == "rs");
        // Cargo finds the programs in `bin` by itself.
        if !is_source || path == root || (is_dir && name == "bin") {
            continue;
        }
        let is_named = text.contains(&format!("path = \"{name}.rs\""));
        match (is_dir, is_named || declared.contains(&*name)) {
            (_, false) if !["lib", "main"].contains(&&*name) => found.push(path),
            (true, _) => {
                let inside = path.join("mod.rs");
                let beside = path.with_extension("rs");
                let root = if inside.exists() { inside } else { beside };
                found.extend(forgotten(&root, &path));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn no_module_is_forgotten() {
    for root in [
        "tests/it/main.rs",
        "tests/src/lib.rs",
        "lock/src/lib.rs",
        "store/src/lib.rs",
        "cli/src/lib.rs",
    ] {
        let root = workspace().join(root);
        let dir = root.parent().expect("a folder");
        assert_eq!(forgotten(&root, dir), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_forgotten_module_would_be_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("main.rs");
    fs::write(&root, "//! mod c;\nmod a;\npub(crate) mod b;\n").unwrap();
    for folder in ["a", "b"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("a/mod.rs"), "mod inner;\n").unwrap();
    fs::write(dir.path().join("b.rs"), "mod inner;\n").unwrap();
    let forgotten_ones = ["a/d.rs", "b/d.rs", "c.rs"].map(|name| dir.path().join(name));
    for file in ["a/inner.rs", "b/inner.rs", "a/d.rs", "b/d.rs", "c.rs"] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    let mut found = forgotten(&root, dir.path());
    found.sort();
    assert_eq!(found, forgotten_ones);
}

#[test]
fn tests_run_installs_whatever_a_test_needs() {
    let tests = workspace().join("tests");
    let run = fs::read_to_string(tests.join("run")).expect("tests/run");
    let (_, list) = run.split_once("needs=(").expect("a list");
    let (list, _) = list.split_once(')').expect("the end of the list");
    let installed: BTreeSet<&str> = (list.split_whitespace())
        .map(|need| need.split_once(':').expect("PROGRAM:PACKAGE").1)
        .collect();
    let sources = ["it", "src"].map(|dir| tree::walk(&tests.join(dir)));
    let mut count = 0;
    for file in sources.iter().flatten().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).expect("a source");
        for need in text.split("need(\"").skip(1) {
            let words: Vec<&str> = need.splitn(4, '"').collect();
            let [program, ", ", package, _] = words[..] else {
                continue;
            };
            // On every Debian.
            if ["bash", "coreutils", "dash", "util-linux"].contains(&package) {
                continue;
            }
            let path = file.display();
            assert!(installed.contains(package), "{path}: {program}, {package}");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}
