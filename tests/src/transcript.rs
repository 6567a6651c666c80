//! What a person sees in a terminal: commands, and what they say, as one text.

use crate::{Output, Sandbox};

/// A text like that of a terminal, to be compared with a snapshot.
pub struct Transcript<'a> {
    sandbox: &'a Sandbox,
    text: String,
}

impl<'a> Transcript<'a> {
    /// Nothing so far.
    #[must_use]
    pub fn of(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            text: String::new(),
        }
    }

    /// Runs `posixage` with these arguments, and adds the command, its output, and how it ended.
    pub fn run(&mut self, args: &[&str]) -> &mut Self {
        let command = args.iter().map(|arg| match arg.contains([' ', '*', '"']) {
            true => format!(" '{arg}'"),
            false => format!(" {arg}"),
        });
        let output = self.sandbox.run(args);
        self.add(&format!("posixage{}", command.collect::<String>()), &output)
    }

    /// Adds a command that has run.
    pub fn add(&mut self, command: &str, output: &Output) -> &mut Self {
        self.text += &format!("$ {command}\n{}{}", output.out(), output.err());
        match output.status.code() {
            Some(0) => {}
            Some(code) => self.text += &format!("[exit {code}]\n"),
            None => self.text += &format!("[{}]\n", output.status),
        }
        self.text.push('\n');
        self
    }

    /// All of it. What differs from run to run is replaced: the sandbox's directory, and keys.
    #[must_use]
    pub fn text(&self) -> String {
        let directory = self.sandbox.path().display().to_string();
        let text = self.text.replace(&directory, "[SANDBOX]");
        // A recipient is 62 characters of a small alphabet.
        let mut parts = text.split("age1");
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let key = part.bytes().take_while(u8::is_ascii_alphanumeric).count();
            shown += match key {
                58 => "[RECIPIENT]",
                _ => "age1",
            };
            shown += if key == 58 { &part[58..] } else { part };
        }
        shown
    }
}
