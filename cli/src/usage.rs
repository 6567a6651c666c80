//! What was wrong with a command line, without saying it back: it may hold a secret that was given as
//! an argument by mistake.

use std::{error::Error, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use posixage::ParseIdError;

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
        ErrorKind::MissingRequiredArgument => {
            Failure::new(format!("missing {}", argument(error))).hint(usage(&text))
        }
        ErrorKind::TooManyValues => Failure::new(format!("{} takes no value", option(error))),
        ErrorKind::ValueValidation => invalid(error),
        ErrorKind::InvalidValue => {
            let argument = argument(error);
            match context(error, ContextKind::ValidValue) {
                values if values.is_empty() => Failure::new(format!("{argument} needs a value")),
                values => Failure::new(format!("expected one of {values} as {argument}")),
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

/// A value that does not parse. What an id is needs saying; of an option, which one.
fn invalid(error: &clap::Error) -> Failure {
    let reason = error.source();
    if let Some(reason) = reason.and_then(|reason| reason.downcast_ref::<ParseIdError>()) {
        return bad_id(reason.clone());
    }
    let reason = reason.map_or_else(String::new, ToString::to_string);
    Failure::new(format!("{}: {reason}", argument(error)))
}

/// What is wrong with an id, and what one is made of.
pub(crate) fn bad_id(error: ParseIdError) -> Failure {
    let hint = match error {
        ParseIdError::PartialWildcard { .. } => "* is one whole component, ** any number of them",
        _ => "an id is made of A-Z a-z 0-9 . _ : - in components joined by /",
    };
    Failure::new(error).code(Code::Usage).hint(hint)
}

fn unknown_argument(error: &clap::Error, text: &str) -> Failure {
    let option = option(error);
    if !option.starts_with('-') {
        let failure = Failure::new("unexpected argument");
        return match usage(text) {
            usage if usage.starts_with("posixage set") => {
                failure.hint("a value comes from the prompt, from standard input, or as ID=VALUE")
            }
            usage => failure.hint(usage),
        };
    }
    let failure = Failure::new(format!("unknown option {option}"));
    match context(error, ContextKind::SuggestedArg) {
        similar if !similar.is_empty() => failure.hint(format_args!("did you mean {similar}?")),
        _ => failure.hint("--help lists the options"),
    }
}

fn unknown_command(error: &clap::Error) -> Failure {
    let command = context(error, ContextKind::InvalidSubcommand);
    let failure = Failure::new(format!("unknown command {command}"));
    if let Some(ours) = ours(&command) {
        return failure.hint(ours);
    }
    match context(error, ContextKind::SuggestedSubcommand) {
        similar if !similar.is_empty() => failure.hint(format_args!("did you mean {similar}?")),
        _ => failure.hint("posixage --help lists the commands"),
    }
}

/// How to do what a command of another tool does.
fn ours(command: &str) -> Option<&'static str> {
    Some(match command {
        "show" | "cat" | "read" | "print" | "view" | "reveal" | "copy-to-clipboard" | "clip" => {
            "posixage get ID"
        }
        "insert" | "add" | "put" | "write" | "create" | "new" | "store" | "save" | "update" => {
            "posixage set ID; --force replaces"
        }
        "delete" | "del" | "remove" | "erase" | "unset" | "forget" => "posixage rm ID",
        "find" | "search" | "grep" => {
            "posixage list --long shows ids and metadata; values are not searched"
        }
        "edit" => "posixage get ID, and then posixage set --force ID",
        "generate" | "gen" | "pwgen" => "openssl rand -base64 24 | posixage set ID",
        "exec" | "env" | "with" => "posixage run -- CMD",
        "mv" | "move" | "rename" | "cp" | "copy" => {
            "posixage get --json OLD | posixage set --json NEW"
        }
        "import" => "posixage set ID reads a value from standard input",
        "export" | "dump" => "posixage get --json ID; posixage lock -- CMD for a backup",
        "info" | "whoami" | "which" => "posixage status",
        "check" | "fsck" | "doctor" | "audit" => "posixage verify",
        "login" | "logout" | "configure" => "posixage docker setup; docker login",
        _ => return None,
    })
}

/// The argument as it is called: an option without its value, or a word such as ID.
fn argument(error: &clap::Error) -> String {
    let name = context(error, ContextKind::InvalidArg);
    match name.split_once(' ') {
        Some((option, _)) if name.starts_with('-') => option.to_owned(),
        _ => name.replace(['<', '>', '[', ']'], "").replace("...", ""),
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
        Some(ContextValue::Strings(texts)) => match kind {
            ContextKind::SuggestedSubcommand | ContextKind::SuggestedArg => texts.join(" or "),
            _ => texts.join(", "),
        },
        _ => String::new(),
    }
}

fn usage(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    line.unwrap_or("posixage --help").to_owned()
}
