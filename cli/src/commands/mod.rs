//! The commands, a file each: parse, call the library, print.

mod completions;
mod docker;
mod get;
mod init;
mod list;
mod lock;
mod near;
mod rm;
mod run;
mod set;
mod status;
mod unlock;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Cli, Command},
    failure::Failure,
    io::hidden,
    io::turn,
    settings::Settings,
    usage,
};

/// Parses the command line and runs the command.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    if let Command::Completions(args) = command {
        return completions::run(&args).map(|()| ExitCode::SUCCESS);
    }
    if global.quiet {
        turn::be_quiet();
    }
    if global.verbose {
        let level = tracing::Level::TRACE;
        tracing_subscriber::fmt()
            .log_internal_errors(false)
            .with_max_level(level)
            .with_writer(|| hidden::Log)
            .init();
    }
    let settings = Settings::resolve(global)?;
    match command {
        Command::Init(args) => init::run(&settings, args)?,
        Command::Set(args) => set::run(&settings, args)?,
        Command::Get(args) => get::run(&settings, &args)?,
        Command::List(args) => list::run(&settings, &args)?,
        Command::Rm(args) => rm::run(&settings, args)?,
        Command::Status(args) => status::run(&settings, &args)?,
        Command::Verify(args) => verify::run(&settings, &args)?,
        Command::Unlock(args) => unlock::run(&settings, &args)?,
        Command::Run(args) => return run::run(&settings, &args),
        Command::Lock(args) => return lock::run(&settings, &args),
        Command::Docker(args) => docker::run(&settings, &args)?,
        Command::Completions(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
