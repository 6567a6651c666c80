//! How a program ended, and what it is expected to have said.

use std::{ffi::OsString, fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

/// How a program ended, and all that it wrote.
#[derive(Clone)]
pub struct Output {
    pub(crate) words: Vec<OsString>,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// The standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// It exited with 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    /// It exited with 0 and had nothing to say but its result.
    #[track_caller]
    pub fn succeeds_silently(self) -> Self {
        let output = self.succeeds();
        assert!(output.stderr.is_empty(), "{output:?}");
        output
    }

    /// It exited with `code`, printed no result, and said in a line that begins with `posixage: `
    /// what is wrong.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert!(self.stdout.is_empty(), "{self:?}");
        self.complains(code)
    }

    /// As [`fails`](Self::fails), but part of the result may have been printed.
    #[track_caller]
    pub fn complains(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        let err = self.err();
        let lines: Vec<&str> = err.lines().collect();
        let errors: Vec<&&str> = lines
            .iter()
            .filter(|l| l.starts_with("posixage: "))
            .collect();
        assert!(!errors.is_empty(), "{self:?}");
        for error in errors {
            assert!(!error.ends_with('.'), "{self:?}");
            let first = error["posixage: ".len()..].chars().next();
            assert!(first.is_some_and(|c| !c.is_uppercase()), "{self:?}");
        }
        assert!(
            !err.contains("panicked") && !err.contains("RUST_BACKTRACE"),
            "{self:?}"
        );
        self
    }

    /// What it wrote to standard error contains each of `texts`.
    #[track_caller]
    pub fn says<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let err = self.err();
        for text in texts {
            assert!(err.contains(text), "no {text:?} in {self:?}");
        }
        self
    }

    /// The hint that it gave.
    ///
    /// # Panics
    /// It gave none.
    #[track_caller]
    #[must_use]
    pub fn hint(&self) -> String {
        let err = self.err();
        err.lines()
            .find_map(|line| line.strip_prefix("hint: "))
            .unwrap_or_else(|| panic!("no hint in {self:?}"))
            .into()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.words, self.status)?;
        writeln!(f, "--- stdout\n{}", self.out())?;
        write!(f, "--- stderr\n{}", self.err())
    }
}
