//! Directory names, ids and patterns.

use posixage::{Id, Pattern};

/// The input is the name of a directory; and a pattern and an id, with a newline between them.
pub fn run(input: &[u8]) {
    if let Some(id) = Id::from_directory_name(input) {
        assert_eq!(id.directory_name().as_bytes(), input);
        assert_eq!(id.as_str().parse(), Ok(id));
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (pattern, id) = text.split_once('\n').unwrap_or((text, text));
    let (parsed_pattern, parsed_id) = (pattern.parse::<Pattern>(), id.parse::<Id>());
    assert_eq!(parsed_id.is_ok(), is_id(id), "{id:?}");
    let is_pattern = pattern.len() <= 1024
        && (pattern.split('/')).all(|part| matches!(part, "*" | "**") || is_component(part));
    assert_eq!(parsed_pattern.is_ok(), is_pattern, "{pattern:?}");
    if let Ok(id) = &parsed_id {
        let name = id.directory_name();
        assert!(name.len() <= 255 && !name.starts_with('.') && !name.contains('/'));
        assert_eq!(Id::from_directory_name(name.as_bytes()).as_ref(), Some(id));
        assert!(Pattern::all().matches(id) && Pattern::from(id).matches(id));
    }
    if let (Ok(parsed_pattern), Ok(parsed_id)) = (parsed_pattern, parsed_id) {
        assert_eq!(
            parsed_pattern.matches(&parsed_id),
            matches(pattern, id),
            "{pattern:?} {id:?}"
        );
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= 189 && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// The definition as a table: which numbers of names the parts so far can stand for.
fn matches(pattern: &str, id: &str) -> bool {
    let names: Vec<&str> = id.split('/').collect();
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in pattern.split('/') {
        let mut next = vec![false; names.len() + 1];
        for at in 0..=names.len() {
            next[at] = match part {
                "**" => reached[at] || at > 0 && next[at - 1],
                "*" => at > 0 && reached[at - 1],
                literal => at > 0 && reached[at - 1] && names[at - 1] == literal,
            };
        }
        reached = next;
    }
    reached[names.len()]
}
