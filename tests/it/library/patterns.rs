//! Claim: an id and its directory's name are one to one, and matching is what its definition says.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use posixage::{Id, Pattern};
use proptest::prelude::*;

/// All sequences of at most `longest` of these components.
fn sequences(components: &[&'static str], longest: usize) -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        let longer = last.iter().flat_map(|sequence| {
            components
                .iter()
                .map(|component| [sequence.as_slice(), &[*component]].concat())
        });
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all.retain(|sequence| !sequence.is_empty());
    all
}

/// What a pattern matches, by writing out all that it stands for: every `**` as each number of `*`
/// that an id could have, then component by component.
fn oracle(pattern: &[&str], id: &[&str]) -> bool {
    let Some(at) = pattern.iter().position(|part| *part == "**") else {
        return pattern.len() == id.len()
            && pattern
                .iter()
                .zip(id)
                .all(|(part, name)| *part == "*" || part == name);
    };
    (0..=id.len()).any(|stars| {
        let (before, after) = (&pattern[..at], &pattern[at + 1..]);
        oracle(&[before, &vec!["*"; stars], after].concat(), id)
    })
}

#[test]
fn short_patterns_and_ids_agree_with_the_definition() {
    let ids = sequences(&["a", "b"], 4);
    let mut matches = 0;
    for parts in sequences(&["a", "b", "*", "**"], 4) {
        let pattern: Pattern = parts.join("/").parse().unwrap();
        for names in &ids {
            let id: Id = names.join("/").parse().unwrap();
            let expected = oracle(&parts, names);
            assert_eq!(pattern.matches(&id), expected, "{pattern} {id}");
            matches += usize::from(expected);
        }
    }
    assert!(matches > 1000, "{matches}");
}

#[test]
fn forty_double_stars_against_ninety_components_end() {
    let pattern: Pattern = (vec!["**/a"; 40].join("/") + "/b").parse().unwrap();
    let id: Id = vec!["a"; 90].join("/").parse().unwrap();
    let begin = Instant::now();
    for _ in 0..100 {
        assert!(!pattern.matches(&id));
    }
    // Under a millisecond each, with room for an unoptimised build on a busy machine: what is
    // exponential here takes longer than the universe is old.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn ids_that_differ_in_case_or_dots_have_different_directories() {
    let ids = sequences(&["a", "A", ".", "..", "-"], 3);
    let names: BTreeSet<String> = ids
        .iter()
        .map(|components| components.join("/").parse::<Id>().unwrap().directory_name())
        .collect();
    assert_eq!(names.len(), ids.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_and_its_directory_name_are_one_to_one(
        text in "[A-Za-z0-9._:-]{1,40}(/[A-Za-z0-9._:-]{1,40}){0,3}",
    ) {
        let id: Id = text.parse().unwrap();
        let name = id.directory_name();
        prop_assert!(!name.contains(['/', '+', '\0']));
        prop_assert!(!name.starts_with('.') && name.len() <= 255);
        prop_assert_eq!(Id::from_directory_name(name.as_bytes()), Some(id));
    }

    #[test]
    fn a_name_that_is_read_as_an_id_is_the_name_of_that_id(name in "[A-Za-z0-9+/=._-]{0,40}") {
        if let Some(id) = Id::from_directory_name(name.as_bytes()) {
            prop_assert_eq!(id.directory_name(), name);
        }
    }

    #[test]
    fn random_patterns_agree_with_the_definition(
        parts in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("*"), Just("**")], 1..6),
        names in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..8),
    ) {
        let pattern: Pattern = parts.join("/").parse().unwrap();
        let id: Id = names.join("/").parse().unwrap();
        prop_assert_eq!(pattern.matches(&id), oracle(&parts, &names));
    }
}
