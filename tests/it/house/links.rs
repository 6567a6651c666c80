//! Claim: every link of every page leads somewhere, every page is linked, and every path named exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use posixage_tests::binary::workspace;

/// The pages below `dir`.
fn pages(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            if name == ".github" || !name.starts_with('.') && name != "target" && name != "fixtures"
            {
                pages(&path, into);
            }
        } else if name.ends_with(".md") {
            into.push(path);
        }
    }
}

fn all_pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    pages(&workspace(), &mut found);
    assert!(found.len() >= 15, "{found:?}");
    found
}

/// What GitHub makes of a heading.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.to_lowercase().replace(' ', "-");
    Some(kept.replace(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'), ""))
}

/// The targets of the links and images of a page.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1);
    links.filter_map(|rest| rest.split(')').next())
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    for page in all_pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in targets(&text).filter(|target| target.contains('/') || target.contains('#')) {
            // Rustdoc checks its own: the guide's links to `Store::set` and the like.
            if target.contains("://") || target.contains("::") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(file.exists(), "{target} in {}", page.display());
            if !wanted.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let is_there = text.lines().filter_map(anchor).any(|is| is == wanted);
                assert!(is_there, "{target} in {}", page.display());
            }
        }
    }
}

#[test]
fn every_page_is_linked_from_another() {
    let pages = all_pages();
    let mut linked = BTreeSet::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in targets(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let to = page.parent().unwrap().join(file).canonicalize();
            linked.extend(to.ok().filter(|to| to != page));
        }
    }
    // Shown by GitHub and by rustdoc, and the one where reading begins.
    let by_others = ["/.github/", "/store/src/guide.md"];
    for page in pages {
        let shown = by_others
            .iter()
            .any(|part| page.to_string_lossy().contains(part));
        let is_first = page == workspace().join("README.md");
        assert!(
            shown || is_first || linked.contains(&page.canonicalize().unwrap()),
            "{} is not linked",
            page.display()
        );
    }
}

#[test]
fn every_path_that_a_page_names_exists() {
    let rooms = [
        "lock/",
        "store/",
        "cli/",
        "tests/",
        "fixtures/",
        "docs/",
        ".ci/",
    ];
    let is_path = |word: &&str| {
        // `store/posixage` is where the reference implementation lies in its own repository.
        *word != "store/posixage"
            && rooms.iter().any(|room| word.starts_with(room))
            && !word.contains(|c: char| c.is_ascii_uppercase() || "*…$ ".contains(c))
    };
    for page in all_pages() {
        let text = fs::read_to_string(&page).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let word = word.split(' ').next().unwrap_or_default();
            if is_path(&word) {
                let folder = page.parent().unwrap();
                let exists = [workspace().join(word), folder.join(word)]
                    .iter()
                    .any(|path| path.exists());
                assert!(exists, "{word} in {}", page.display());
            }
        }
    }
}
