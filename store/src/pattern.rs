//! Which ids a caller means.

use std::{fmt, str::FromStr};

use crate::id::{Id, ParseIdError, check_component, check_len};

/// The longest pattern in bytes; `**` may stand for nothing, so it can be longer than an id.
pub const MAX_PATTERN_LEN: usize = 1024;

/// An id in which a whole component may be `*`, any one component, or `**`, any number of
/// components, none included.
///
/// ```
/// use posixage::Pattern;
///
/// let pattern: Pattern = "docker/**".parse()?;
/// assert!(pattern.matches(&"docker/registry:5000/team".parse()?));
/// assert!(pattern.matches(&"docker".parse()?));
/// assert!(!pattern.matches(&"git/example.com".parse()?));
/// # Ok::<(), posixage::ParseIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Literal(String),
    One,
    Any,
}

impl Pattern {
    /// `**`: every id.
    #[must_use]
    pub fn all() -> Self {
        Self {
            text: "**".into(),
            parts: vec![Part::Any],
        }
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one id that matches, if the pattern has no wildcard.
    pub(crate) fn as_id(&self) -> Option<Id> {
        self.text.parse().ok()
    }

    /// Whether `id` matches; takes at most components × parts comparisons.
    #[must_use]
    pub fn matches(&self, id: &Id) -> bool {
        let names: Vec<&str> = id.components().collect();
        let (mut part, mut name) = (0, 0);
        // Where the last `**` stands, and the first name that it does not cover yet. Only the last
        // one need ever grow: whatever an earlier one could cover, the last can as well.
        let mut last_any = None;
        while name < names.len() {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    last_any = Some((part, name));
                    part += 1;
                }
                Some(p) if p.matches(names[name]) => {
                    part += 1;
                    name += 1;
                }
                _ => {
                    let Some((any, covered)) = last_any else {
                        return false;
                    };
                    last_any = Some((any, covered + 1));
                    part = any + 1;
                    name = covered + 1;
                }
            }
        }
        self.parts[part..].iter().all(|p| *p == Part::Any)
    }
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Part::Literal(literal) => literal == name,
            Part::One | Part::Any => true,
        }
    }
}

impl FromStr for Pattern {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        check_len(text, MAX_PATTERN_LEN)?;
        let part = |component: &str| {
            Ok(match component {
                "*" => Part::One,
                "**" => Part::Any,
                part if part.contains('*') => {
                    return Err(ParseIdError::PartialWildcard { text: text.into() });
                }
                literal => {
                    check_component(text, literal)?;
                    Part::Literal(literal.to_owned())
                }
            })
        };
        Ok(Self {
            text: text.to_owned(),
            parts: text.split('/').map(part).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Id> for Pattern {
    fn from(id: &Id) -> Self {
        Self {
            text: id.as_str().to_owned(),
            parts: id.components().map(|c| Part::Literal(c.into())).collect(),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word: slow, and obviously right.
    fn oracle(parts: &[&str], names: &[&str]) -> bool {
        match (parts, names) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=names.len()).any(|n| oracle(rest, &names[n..])),
            (["*", rest @ ..], [_, names @ ..]) => oracle(rest, names),
            ([part, rest @ ..], [name, names @ ..]) => part == name && oracle(rest, names),
            _ => false,
        }
    }

    #[test]
    fn wildcards_are_whole_components() {
        for bad in ["a*", "***", "*a", "a/**b", "", "a//b", "[a]", "?"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_pattern_without_wildcards_is_an_id() {
        assert_eq!(
            "a/b".parse::<Pattern>().unwrap().as_id().unwrap().as_str(),
            "a/b"
        );
        assert_eq!("a/*".parse::<Pattern>().unwrap().as_id(), None);
        assert_eq!(Pattern::all().as_id(), None);
    }

    /// The reference needs 0.73 s for 10 `**` on 30 components, and twice that for each one more.
    /// The bound is on work, not on time: parts × components steps are some 3,600 here.
    #[test]
    fn forty_double_stars_against_ninety_components_do_not_explode() {
        let pattern: Pattern = format!("{}/b", vec!["**/a"; 40].join("/")).parse().unwrap();
        let id: Id = vec!["a"; 90].join("/").parse().unwrap();
        assert!(!pattern.matches(&id));
        let stars: Pattern = vec!["**"; 40].join("/").parse().unwrap();
        assert!(stars.matches(&id));
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(
            parts in proptest::collection::vec(prop_oneof!["a", "b", "\\*", "\\*\\*"], 1..7),
            names in proptest::collection::vec("[ab]", 1..8),
        ) {
            let pattern: Pattern = parts.join("/").parse().unwrap();
            let id: Id = names.join("/").parse().unwrap();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            prop_assert_eq!(pattern.matches(&id), oracle(&parts, &names));
        }
    }
}
