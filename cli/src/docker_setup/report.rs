//! What was done, or would be, a line for each thing.

use std::fmt::Display;

use crate::{
    docker_setup::config_file::ConfigFile,
    failure::Failure,
    helpers::entry_id::without_user,
    io::output::{print, printable},
};

/// Lines of a name and what is said about it.
pub(crate) struct Report {
    dry_run: bool,
    lines: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// Why less was done than was asked for.
    pub(crate) failures: Vec<Failure>,
}

/// The name of an entry of `auths` as it can be shown: the user name in a URL may be a token.
pub(crate) fn shown(host: &str) -> String {
    without_user(host)
}

impl Report {
    pub(crate) fn new(file: &ConfigFile, dry_run: bool) -> Self {
        let mut report = Self {
            dry_run,
            lines: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        };
        report.line("config", file.path.display());
        report
    }

    pub(crate) fn line(&mut self, name: &str, text: impl Display) {
        self.lines.push(format!("{name:12}{text}"));
    }

    /// Something that was changed, or that a run in earnest would change.
    pub(crate) fn done(&mut self, name: &str, would: &str, text: impl Display) {
        match self.dry_run {
            true if name == "credsStore" => self.line(would, format_args!("{name} {text}")),
            true => self.line(would, text),
            false => self.line(name, text),
        }
    }

    /// Something to know that is no result.
    pub(crate) fn note(&mut self, text: impl Display) {
        self.notes.push(text.to_string());
    }

    pub(crate) fn print(&self) -> Result<(), Failure> {
        print(|out| {
            let mut lines = self.lines.iter();
            lines.try_for_each(|line| writeln!(out, "{}", printable(line)))
        })
    }
}
