//! What was wrong with a command line, without saying it back: it may hold a secret that somebody
//! took for an argument.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{
    failure::{Code, Failure},
    output::print,
};

/// Help and version are results; anything else is a mistake, said like every other.
pub(crate) fn report(error: &clap::Error) -> Result<ExitCode, Failure> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return print(|out| out.write_all(text.as_bytes())).map(|()| ExitCode::SUCCESS);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{text}");
            return Err(Failure::silent(Code::Usage));
        }
        _ => {}
    }
    let message = match error.kind() {
        ErrorKind::UnknownArgument => unknown(error),
        ErrorKind::TooManyValues => format!("{} takes no value", option(error)),
        _ => text
            .strip_prefix("error: ")
            .unwrap_or(&text)
            .trim_end()
            .to_owned(),
    };
    let mut lines = message;
    if !lines.contains("Usage: ")
        && let Some(usage) = text.lines().find(|line| line.starts_with("Usage: "))
    {
        lines = format!("{lines}\n\n{usage}");
    }
    Err(Failure::new(lines).code(Code::Usage))
}

fn unknown(error: &clap::Error) -> String {
    match option(error) {
        option if option.starts_with('-') => format!("there is no option {option}"),
        _ => "one argument too many; a value comes from the prompt, from standard input, or as \
              ID=VALUE"
            .into(),
    }
}

/// The argument that is wrong, as far as it names an option.
fn option(error: &clap::Error) -> String {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return String::new();
    };
    argument
        .split(['=', ' '])
        .next()
        .unwrap_or_default()
        .to_owned()
}
