//! System calls as strace prints them with `-xx`: every string in hexadecimal, nothing cut short.

/// One call that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments as printed.
    pub args: Vec<String>,
    /// What it returned; none for one that does not.
    pub returned: Option<i64>,
}

impl Call {
    /// One line of strace's output; none for what is no call (`+++ exited with 0 +++`).
    ///
    /// # Panics
    /// The line is not understood.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        // Ends, signals, and a call that did not return because the program was killed before it.
        if line.starts_with(['+', '-']) || line.ends_with("<unfinished ...>") {
            return None;
        }
        // So ends a call of a thread that the end of the process was faster with.
        let line = match line.strip_suffix(" <detached ...>") {
            Some(call) => &format!("{call}) = ?"),
            None => line,
        };
        let understood = || {
            let (name, rest) = line.split_once('(')?;
            // The last: an annotation behind it, such as (INJECTED), has no equals sign.
            let (args, returned) = rest.rsplit_once(" = ")?;
            let args = args.trim_end().strip_suffix(')')?;
            Some(Self {
                name: name.into(),
                args: split(args),
                returned: returned.split(' ').next()?.parse().ok(),
            })
        };
        Some(understood().unwrap_or_else(|| panic!("strace printed {line:?}")))
    }

    /// A descriptor among the arguments; none for `AT_FDCWD`.
    ///
    /// # Panics
    /// It is neither.
    #[must_use]
    pub fn descriptor(&self, index: usize) -> Option<i64> {
        match self.args[index].as_str() {
            "AT_FDCWD" => None,
            number => Some(number.parse().unwrap_or_else(|_| panic!("{self:?}"))),
        }
    }

    /// A string among the arguments.
    ///
    /// # Panics
    /// It is none, or was cut short.
    #[must_use]
    pub fn string(&self, index: usize) -> Vec<u8> {
        let text = self.args[index].strip_prefix('"');
        let text = text.and_then(|t| t.strip_suffix('"'));
        let text = text.unwrap_or_else(|| panic!("argument {index} of {self:?}"));
        let byte = |hex| u8::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("{self:?}"));
        text.split("\\x").skip(1).map(byte).collect()
    }

    /// Whether an argument's flags contain a word.
    #[must_use]
    pub fn has(&self, index: usize, flag: &str) -> bool {
        self.args[index].split('|').any(|word| word == flag)
    }
}

/// Splits at the commas outside of brackets. Strings are hexadecimal, so they contain neither.
fn split(args: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut parts = vec![String::new()];
    for c in args.chars() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_taken_apart() {
        let line =
            r#"newfstatat(3, "\x61\x2c", {st_mode=S_IFREG|0644, st_size=1, ...}, AT_X|AT_Y) = 0"#;
        let call = Call::parse(line).expect("a call");
        assert_eq!(call.name, "newfstatat");
        assert_eq!(call.descriptor(0), Some(3));
        assert_eq!(call.string(1), b"a,");
        assert!(call.has(3, "AT_Y"));
        assert_eq!(call.returned, Some(0));
    }

    #[test]
    fn a_failure_and_an_end_are_understood() {
        let failed = Call::parse("fsync(3)   = -1 EIO (Input/output error) (INJECTED)");
        assert_eq!(failed.and_then(|call| call.returned), Some(-1));
        let exit = Call::parse("exit_group(0)      = ?").expect("a call");
        assert_eq!((exit.args[0].as_str(), exit.returned), ("0", None));
        assert_eq!(Call::parse("+++ exited with 0 +++"), None);
    }
}
