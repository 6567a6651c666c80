//! A JSON object as text, of which members are set and removed and every other byte stays as it is: the
//! file belongs to another program, and its owner may care for its order and its looks.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
};

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The text; wiped when dropped, since it may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JsonObject(Zeroizing<String>);

/// Where a member stands.
struct Member {
    name: String,
    /// From the name's first quote.
    start: usize,
    /// To the name's last quote.
    name_end: usize,
    value: Range<usize>,
}

impl JsonObject {
    /// The object that `text` is, or `{}`.
    ///
    /// # Errors
    /// The text is anything else, or has a name twice. The error does not quote it.
    pub(crate) fn parse(text: Zeroizing<String>) -> Result<Self, serde_json::Error> {
        members(&text)?;
        Ok(Self(text))
    }

    pub(crate) fn empty() -> Self {
        Self(Zeroizing::new("{}".into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of the value that the names in `path` lead to.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&str> {
        Some(&self.0[self.span(path)?])
    }

    /// Names and values of the object that `path` leads to; of anything else, none.
    pub(crate) fn members(&self, path: &[&str]) -> Vec<(String, &str)> {
        self.try_members(path).unwrap_or_default()
    }

    /// The same.
    ///
    /// # Errors
    /// It is no object, or has a name twice.
    pub(crate) fn try_members(
        &self,
        path: &[&str],
    ) -> Result<Vec<(String, &str)>, serde_json::Error> {
        let Some(object) = self.get(path) else {
            return Ok(Vec::new());
        };
        let pair = |member: Member| (member.name, &object[member.value]);
        Ok(members(object)?.into_iter().map(pair).collect())
    }

    /// Sets a member to a JSON text; a new one comes last, spaced as the first one is. Does nothing
    /// if there is no object to set it in.
    pub(crate) fn set(&mut self, path: &[&str], json: &str) {
        if let Some((name, parent)) = path.split_last() {
            self.edit(parent, &[(name, Some(json))]);
        }
    }

    /// Removes a member, with the comma and the space that set it apart.
    pub(crate) fn remove(&mut self, path: &[&str]) {
        if let Some((name, parent)) = path.split_last() {
            self.edit(parent, &[(name, None)]);
        }
    }

    /// Sets (`Some`) and removes (`None`) members of the object that `path` leads to, each named once,
    /// in one pass: a file with many registries takes one, and not one for each.
    pub(crate) fn edit(&mut self, path: &[&str], changes: &[(&str, Option<&str>)]) {
        let Some(object) = self.span(path) else {
            return;
        };
        let text = &self.0[object.clone()];
        let Ok(members) = members(text) else {
            return;
        };
        let edited = edited(text, &members, changes, path.len() + 1);
        let parts = [&self.0[..object.start], &edited, &self.0[object.end..]];
        self.0 = Zeroizing::new(parts.concat());
    }

    fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        let trimmed = self.0.trim_ascii();
        let start = self.0.len() - self.0.trim_ascii_start().len();
        let mut span = start..start + trimmed.len();
        for name in path {
            let members = members(&self.0[span.clone()]).ok()?;
            let member = members.into_iter().find(|member| member.name == *name)?;
            span = span.start + member.value.start..span.start + member.value.end;
        }
        Some(span)
    }
}

/// The object that `text` is with other members; `depth` tabs indent the first one of an empty object.
fn edited(
    text: &str,
    members: &[Member],
    changes: &[(&str, Option<&str>)],
    depth: usize,
) -> Zeroizing<String> {
    let change: HashMap<&str, Option<&str>> = changes.iter().copied().collect();
    let is_there: HashSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let is_removed = |member: &Member| change.get(member.name.as_str()) == Some(&None);
    let has_old = members.iter().any(|member| !is_removed(member));
    let tabs = "\t".repeat(depth);
    let (indent, colon, close) = match (members.first(), members.last()) {
        (Some(first), Some(last)) if has_old => (
            text[1..first.start].to_owned(),
            &text[first.name_end..first.value.start],
            text[last.value.end..].to_owned(),
        ),
        _ => (
            format!("\n{tabs}"),
            ": ",
            format!("\n{}}}", &tabs[..depth.saturating_sub(1)]),
        ),
    };
    let new: Vec<(String, &str)> = changes
        .iter()
        .filter(|(name, _)| !is_there.contains(name))
        .filter_map(|(name, json)| Some((serde_json::Value::from(*name).to_string(), (*json)?)))
        .collect();
    // As long as it may get: a text that grows leaves copies behind.
    let added: usize = changes
        .iter()
        .filter_map(|(_, json)| Some((*json)?.len()))
        .sum();
    let spaces = new
        .iter()
        .map(|(name, _)| name.len() + indent.len() + colon.len() + 1);
    let mut out = Zeroizing::new(String::with_capacity(
        text.len() + added + spaces.sum::<usize>() + indent.len() + close.len() + 2,
    ));
    if !has_old && new.is_empty() {
        // Nothing was there, or nothing is left.
        out.push_str(if members.is_empty() { text } else { "{}" });
        return out;
    }
    out.push('{');
    let mut is_first = true;
    for (at, member) in members.iter().enumerate() {
        if is_removed(member) {
            continue;
        }
        match at.checked_sub(1).filter(|_| !is_first) {
            Some(before) => out.push_str(&text[members[before].value.end..member.start]),
            None => out.push_str(&indent),
        }
        out.push_str(&text[member.start..member.value.start]);
        let old = &text[member.value.clone()];
        out.push_str(
            change
                .get(member.name.as_str())
                .copied()
                .flatten()
                .unwrap_or(old),
        );
        is_first = false;
    }
    for (name, json) in new {
        if !is_first {
            out.push(',');
        }
        for part in [&indent, name.as_str(), colon, json] {
            out.push_str(part);
        }
        is_first = false;
    }
    out.push_str(&close);
    out
}

/// The members of the object that `text` is.
fn members(text: &str) -> Result<Vec<Member>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members { text })?;
    deserializer.end()?;
    Ok(members)
}

struct Members<'a> {
    text: &'a str,
}

impl<'a> Visitor<'a> for Members<'a> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
        // What is borrowed lies in the text.
        let offset = |part: &str| part.as_ptr().addr() - self.text.as_ptr().addr();
        let mut members: Vec<Member> = Vec::new();
        let mut names = HashSet::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (quoted, value) = (name.get(), value.get());
            let name: String = serde_json::from_str(quoted).map_err(A::Error::custom)?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name appears twice"));
            }
            let (start, value_start) = (offset(quoted), offset(value));
            members.push(Member {
                name,
                start,
                name_end: start + quoted.len(),
                value: value_start..value_start + value.len(),
            });
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCKERS: &str = "{\n\t\"auths\": {\n\t\t\"a\": {},\n\t\t\"b\": {\n\t\t\t\"auth\": \"x\"\n\t\t}\n\t},\n\t\"psFormat\": \"{{.ID}}\"\n}";

    fn object(text: &str) -> JsonObject {
        JsonObject::parse(Zeroizing::new(text.into())).unwrap()
    }

    #[test]
    fn what_is_set_and_removed_again_leaves_no_trace() {
        for text in [
            DOCKERS,
            "{}",
            "{\"a\":1}",
            "  { \"a\" : 1.50e+00 , \"z\":[ ] }\n",
            "{\n    \"b\": \"\\u0061\",\n    \"a\": 123456789012345678901234567890\n}\n",
        ] {
            let mut edited = object(text);
            edited.set(&["credsStore"], "\"posixage\"");
            assert_eq!(edited.get(&["credsStore"]), Some("\"posixage\""));
            edited.remove(&["credsStore"]);
            assert_eq!(edited.as_str(), text);
        }
    }

    #[test]
    fn a_new_member_is_spaced_as_the_first_one_is() {
        let mut docker = object(DOCKERS);
        docker.set(&["credsStore"], "\"x\"");
        docker.set(&["auths", "c"], "{}");
        docker.set(&["auths", "b"], "{}");
        assert_eq!(
            docker.as_str(),
            "{\n\t\"auths\": {\n\t\t\"a\": {},\n\t\t\"b\": {},\n\t\t\"c\": {}\n\t},\n\t\"psFormat\": \"{{.ID}}\",\n\t\"credsStore\": \"x\"\n}"
        );
        let mut compact = object("{\"a\":1}");
        compact.set(&["b"], "2");
        assert_eq!(compact.as_str(), "{\"a\":1,\"b\":2}");
        let mut empty = object("{\"auths\":{}}");
        empty.set(&["auths", "h"], "{}");
        assert_eq!(empty.as_str(), "{\"auths\":{\n\t\t\"h\": {}\n\t}}");
    }

    #[test]
    fn any_member_can_be_removed() {
        for (name, left) in [
            ("a", "{ \"b\": 2, \"c\": 3 }"),
            ("b", "{ \"a\": 1, \"c\": 3 }"),
            ("c", "{ \"a\": 1, \"b\": 2 }"),
            ("d", "{ \"a\": 1, \"b\": 2, \"c\": 3 }"),
        ] {
            let mut edited = object("{ \"a\": 1, \"b\": 2, \"c\": 3 }");
            edited.remove(&[name]);
            assert_eq!(edited.as_str(), left);
        }
    }

    #[test]
    fn what_is_no_object_or_ambiguous_is_refused() {
        for bad in [
            "",
            "[]",
            "null",
            "1",
            "{",
            "{}x",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":tru}",
            "\u{feff}{}",
        ] {
            assert!(
                JsonObject::parse(Zeroizing::new(bad.into())).is_err(),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_leave_anything_but_an_object(
            text in "[\\[\\]{}\":,a1 \\n\\\\u]{0,40}|\\PC{0,40}", name in "[a1]{1,2}",
        ) {
            if let Ok(mut edited) = JsonObject::parse(Zeroizing::new(text)) {
                edited.set(&["a", &name], "1");
                edited.set(&[&name], "{}");
                edited.set(&[&name, "x"], "null");
                prop_assert_eq!(edited.get(&[&name, "x"]), Some("null"));
                edited.remove(&["a"]);
                edited.remove(&[&name, "x"]);
                prop_assert!(JsonObject::parse(Zeroizing::new(edited.as_str().into())).is_ok());
            }
        }

        #[test]
        fn every_other_member_keeps_its_text(
            values in proptest::collection::btree_map("[a-c\"\\\\é]{1,3}", "[0-9]{1,3}", 0..5),
            name in "[a-c\"\\\\é]{1,3}",
        ) {
            let text = serde_json::to_string_pretty(&values).unwrap();
            let mut edited = object(&text);
            edited.set(&[&name], "[true]");
            for (key, value) in values.iter().filter(|(key, _)| **key != name) {
                let json = format!("\"{value}\"");
                prop_assert_eq!(edited.get(&[key]), Some(json.as_str()));
            }
            prop_assert_eq!(edited.get(&[&name]), Some("[true]"));
            edited.remove(&[&name]);
            prop_assert_eq!(edited.get(&[&name]), None);
            prop_assert!(JsonObject::parse(Zeroizing::new(edited.as_str().into())).is_ok());
        }
    }
}
