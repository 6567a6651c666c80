//! Files of variables, `NAME=value` a line.
//!
//! | written | value |
//! | --- | --- |
//! | `A=some text # comment` | `some text`: to the end of the line, less a comment and the blanks around it |
//! | `A='…'` | all of it as it is, lines too; CR LF is LF |
//! | `A="…"` | the same, with `\n` `\r` `\t` `\\` `\"` `\$` |
//! | `export A=…`, `# comment`, an empty line | as in a shell |
//!
//! Nothing is expanded: a `$` is a `$`. Anything else is an error, not a guess.

use std::{ffi::OsString, fs::File, io, os::unix::ffi::OsStringExt, path::Path};

use crate::{
    failure::{Failure, reason},
    io::input,
};

/// The largest file in bytes (16 MiB): no environment takes as much.
const MAX_LEN: usize = 16 << 20;

type Variable = (OsString, OsString);

/// The variables in a file, in order.
pub(crate) fn read(path: &Path) -> Result<Vec<Variable>, Failure> {
    let read = File::open(path).and_then(|file| {
        let text = input::read_from(file, MAX_LEN, |_, _| false)?;
        text.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    });
    let path = path.display();
    let text = read.map_err(|e| Failure::new(format!("cannot read {path}: {}", reason(&e))))?;
    parse(&text).map_err(|(line, why)| Failure::new(format!("{path}: line {line}: {why}")))
}

fn parse(text: &[u8]) -> Result<Vec<Variable>, (usize, &'static str)> {
    let mut variables = Vec::new();
    let mut scanner = Scanner {
        rest: text,
        line: 1,
    };
    scanner.skip(b"\xef\xbb\xbf");
    while scanner.seek_variable() {
        // Where it begins, should a quote be missing.
        let line = scanner.line;
        let variable = scanner.variable().map_err(|why| (line, why))?;
        variables.push(variable);
    }
    Ok(variables)
}

struct Scanner<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Scanner<'a> {
    /// Passes over empty lines and comments; whether there is more.
    fn seek_variable(&mut self) -> bool {
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            if !self.rest.starts_with(b"#") {
                return !self.rest.is_empty();
            }
            self.take_while(|byte| byte != b'\n');
        }
    }

    fn variable(&mut self) -> Result<Variable, &'static str> {
        let name = match self.name() {
            b"export" if self.blanks() > 0 => self.name(),
            name => name,
        };
        if !self.skip(b"=") {
            return Err("not NAME=value");
        }
        if name.is_empty() || name[0].is_ascii_digit() {
            return Err("a name begins with a letter or _, and has no blank behind it");
        }
        let value = self.value()?;
        if value.contains(&0) {
            return Err("a value has no NUL");
        }
        Ok((OsString::from_vec(name.to_vec()), OsString::from_vec(value)))
    }

    fn name(&mut self) -> &'a [u8] {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    }

    fn value(&mut self) -> Result<Vec<u8>, &'static str> {
        let blanks = self.blanks();
        let value = match self.rest.first() {
            Some(b'\'') => self.single_quoted()?,
            Some(b'"') => self.double_quoted()?,
            _ => return Ok(self.unquoted(blanks > 0)),
        };
        // As in a shell: what follows a quote at once goes on with the word, and is no comment.
        if self.rest.starts_with(b"#") {
            return Ok([value, self.unquoted(false)].concat());
        }
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        match self.rest.first() {
            None | Some(b'\n' | b'#') => Ok(value),
            Some(_) => Err("something follows the closing quote"),
        }
    }

    fn unquoted(&mut self, mut after_blank: bool) -> Vec<u8> {
        let line = self.take_while(|byte| byte != b'\n');
        let mut end = line.len();
        for (at, byte) in line.iter().enumerate() {
            if after_blank && *byte == b'#' {
                end = at;
                break;
            }
            after_blank = matches!(byte, b' ' | b'\t');
        }
        line[..end].trim_ascii_end().to_vec()
    }

    fn single_quoted(&mut self) -> Result<Vec<u8>, &'static str> {
        self.skip(b"'");
        let value = lines(self.take_while(|byte| byte != b'\''));
        match self.skip(b"'") {
            true => Ok(value),
            false => Err(UNCLOSED),
        }
    }

    fn double_quoted(&mut self) -> Result<Vec<u8>, &'static str> {
        self.skip(b"\"");
        let mut value = Vec::new();
        loop {
            value.extend(lines(self.take_while(|byte| !matches!(byte, b'"' | b'\\'))));
            let (byte, length) = match self.rest {
                [] => return Err(UNCLOSED),
                [b'"', ..] => break,
                [_, b'n', ..] => (b'\n', 2),
                [_, b'r', ..] => (b'\r', 2),
                [_, b't', ..] => (b'\t', 2),
                [_, same @ (b'\\' | b'"' | b'$'), ..] => (*same, 2),
                _ => return Err(r#"behind a \ stands none of n r t \ " $"#),
            };
            value.push(byte);
            self.rest = &self.rest[length..];
        }
        self.skip(b"\"");
        Ok(value)
    }

    fn blanks(&mut self) -> usize {
        self.take_while(|byte| matches!(byte, b' ' | b'\t')).len()
    }

    fn skip(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !wanted(*byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.line += taken.iter().filter(|byte| **byte == b'\n').count();
        self.rest = rest;
        taken
    }
}

/// What is quoted, with LF at the ends of its lines, whatever the file has.
fn lines(quoted: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(quoted.len());
    for line in quoted.split_inclusive(|byte| *byte == b'\n') {
        value.extend_from_slice(line.strip_suffix(b"\r\n").unwrap_or(line));
        if line.ends_with(b"\r\n") {
            value.push(b'\n');
        }
    }
    value
}

const UNCLOSED: &str = "a quote is not closed";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let string = |text: OsString| text.into_string().unwrap();
        let variables = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text:?}: {e:?}"));
        variables
            .into_iter()
            .map(|(n, v)| (string(n), string(v)))
            .collect()
    }

    #[test]
    fn values_are_what_they_look_like() {
        for (text, value) in [
            ("A=", ""),
            ("A=b", "b"),
            ("A=b c  ", "b c"),
            ("A= b", "b"),
            ("A=b\r\n", "b"),
            ("A=b # c", "b"),
            ("A=b\t#", "b"),
            ("A= # c", ""),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A=it's", "it's"),
            (r"A=\n$B${C}", r"\n$B${C}"),
            ("A={\"x\": \"y\"}", "{\"x\": \"y\"}"),
            ("A=b=c", "b=c"),
            ("A=''", ""),
            ("A=' b # c' # d", " b # c"),
            (r"A='\n$B'", r"\n$B"),
            ("A='b\nc'", "b\nc"),
            ("A=\"b\nc\"", "b\nc"),
            (r#"A="\n\r\t\\\"\$ $B '""#, "\n\r\t\\\"$ $B '"),
            ("A=\"b\"\r\n", "b"),
            ("A=\"b\" #c", "b"),
            ("A=\"b\"#c", "b#c"),
            ("A='b'#c # d", "b#c"),
            ("A='b'#c\r\n", "b#c"),
            ("A='b\r\nc\r\n'\r\n", "b\nc\n"),
            ("A=\"b\r\n\r\nc\rd\"", "b\n\nc\rd"),
            ("A=\"b\\r\nc\\r\\n\"", "b\r\nc\r\n"),
            ("A=se://db/password", "se://db/password"),
            ("export A=b", "b"),
            ("  export\tA=b", "b"),
            ("\u{feff}A=b", "b"),
        ] {
            assert_eq!(
                parsed(text),
                [("A".to_owned(), value.to_owned())],
                "{text:?}"
            );
        }
    }

    #[test]
    fn lines_without_a_variable_and_odd_names_are_taken() {
        assert_eq!(parsed("\n  # A=b\n\t\r\n#"), []);
        let names = ["a_1", "_", "A.b-c", "export"];
        for name in names {
            assert_eq!(
                parsed(&format!("{name}=")),
                [(name.to_owned(), String::new())]
            );
        }
        assert_eq!(parsed("A=1\nB=2\nA=3").len(), 3);
    }

    #[test]
    fn whatever_else_is_an_error_at_its_line_that_quotes_nothing() {
        for (text, line) in [
            ("A=b\ncanary", 2),
            ("A=b\n\n1canary=", 3),
            ("=canary", 1),
            ("canary =b", 1),
            ("canary canary=b", 1),
            ("export canary", 1),
            ("A='b\nc'\nB='canary\n\n", 3),
            ("A=\"canary", 1),
            ("A=\"b\" canary", 1),
            ("A='b'canary", 1),
            ("A=\"\\q\"", 1),
            ("A=\"\\", 1),
            ("A=b\0", 1),
            ("zoë=b", 1),
        ] {
            let (at, why) = parse(text.as_bytes()).unwrap_err();
            assert_eq!(at, line, "{text:?}");
            assert!(!why.contains("canary"));
        }
    }

    #[test]
    fn values_are_bytes() {
        let variables = parse(b"A=\xff\nB=\"\xfe\"\n").unwrap();
        assert_eq!(variables[0].1.clone().into_vec(), b"\xff");
        assert_eq!(variables[1].1.clone().into_vec(), b"\xfe");
    }

    proptest! {
        #[test]
        fn quoted_whatever_it_is_a_value_is_itself(value in "[^\\x00]{0,40}") {
            // But for the ends of its lines.
            let value = value.replace("\r\n", "\n");
            let single = format!("A='{value}'\n");
            if !value.contains('\'') {
                prop_assert_eq!(parsed(&single), [("A".to_owned(), value.clone())]);
            }
            let escaped = value.replace('\\', r"\\").replace('"', r#"\""#);
            prop_assert_eq!(parsed(&format!("A=\"{escaped}\" # c")), [("A".to_owned(), value)]);
        }

        #[test]
        fn nothing_is_too_odd_for_an_answer(text in "[A='\"\\\\#\\n \\x00\\xff]{0,30}") {
            let _ = parse(text.as_bytes());
        }
    }
}
