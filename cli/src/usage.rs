//! What was wrong with a command line, without saying it back: it may hold a secret that somebody
//! took for an argument.

use std::{error::Error, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{
    failure::{Code, Failure},
    io::output::{print, say},
};

/// Help and version are results; anything else is a mistake, said like every other.
pub(crate) fn report(error: &clap::Error) -> Result<ExitCode, Failure> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return print(|out| out.write_all(text.as_bytes())).map(|()| ExitCode::SUCCESS);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say(text.trim_end());
            return Err(Failure::silent(Code::Usage));
        }
        _ => {}
    }
    let failure = match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(error, &text),
        ErrorKind::InvalidSubcommand => unknown_command(error),
        ErrorKind::MissingRequiredArgument => Failure::new(format!(
            "{} is missing",
            context(error, ContextKind::InvalidArg)
        ))
        .hint(usage(&text)),
        ErrorKind::TooManyValues => Failure::new(format!("{} takes no value", option(error))),
        ErrorKind::ValueValidation => {
            let reason = error.source().map_or_else(String::new, ToString::to_string);
            Failure::new(format!(
                "{}: {reason}",
                context(error, ContextKind::InvalidArg)
            ))
        }
        ErrorKind::InvalidValue => {
            let argument = context(error, ContextKind::InvalidArg);
            match context(error, ContextKind::ValidValue) {
                values if values.is_empty() => Failure::new(format!("{argument} needs a value")),
                values => Failure::new(format!("{argument} is one of {values}")),
            }
        }
        _ => Failure::new(
            text.lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: "),
        )
        .hint(usage(&text)),
    };
    Err(failure.code(Code::Usage))
}

/// What is wrong with an id, and what one is made of.
pub(crate) fn bad_id(error: posixage::ParseIdError) -> Failure {
    Failure::new(error)
        .code(Code::Usage)
        .hint("an id is made of A-Z a-z 0-9 . _ : - in components joined by /")
}

fn unknown_argument(error: &clap::Error, text: &str) -> Failure {
    let option = option(error);
    if !option.starts_with('-') {
        let failure = Failure::new("one argument too many");
        return match usage(text) {
            usage if usage.starts_with("posixage set") => {
                failure.hint("a value comes from the prompt, from standard input, or as ID=VALUE")
            }
            usage => failure.hint(usage),
        };
    }
    let failure = Failure::new(format!("there is no option {option}"));
    match context(error, ContextKind::SuggestedArg) {
        similar if !similar.is_empty() => failure.hint(format_args!("there is {similar}")),
        _ => failure.hint("--help lists the options"),
    }
}

fn unknown_command(error: &clap::Error) -> Failure {
    let command = context(error, ContextKind::InvalidSubcommand);
    let failure = Failure::new(format!("there is no command {command}"));
    match context(error, ContextKind::SuggestedSubcommand) {
        similar if !similar.is_empty() => failure.hint(format_args!("there is {similar}")),
        _ => failure.hint("posixage --help lists the commands"),
    }
}

/// The argument that is wrong, as far as it names an option.
fn option(error: &clap::Error) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    argument
        .split(['=', ' '])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

fn usage(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    line.unwrap_or("posixage --help").to_owned()
}
