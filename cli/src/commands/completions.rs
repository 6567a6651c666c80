//! `posixage completions SHELL`

use clap::CommandFactory;

use crate::{
    args::{Cli, Completions},
    failure::Failure,
    io::output::print,
};

pub(crate) fn run(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "posixage", &mut script);
    print(|out| out.write_all(&script))
}
