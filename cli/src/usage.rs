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
    let failure = match error.kind() {
        ErrorKind::UnknownArgument => unknown(error),
        ErrorKind::TooManyValues => Failure::new(format!("{} takes no value", option(error))),
        _ => Failure::new(text.strip_prefix("error: ").unwrap_or(&text).trim_end()),
    };
    Err(failure.code(Code::Usage))
}

fn unknown(error: &clap::Error) -> Failure {
    let option = option(error);
    if !option.starts_with('-') {
        return Failure::new("one argument too many")
            .hint("a value comes from the prompt, from standard input, or as ID=VALUE");
    }
    let failure = Failure::new(format!("there is no option {option}"));
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(similar)) => failure.hint(format_args!("there is {similar}")),
        _ => failure.hint("--help lists the options"),
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
