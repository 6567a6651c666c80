//! `git-credential-posixage`: keeps credentials for Git, as gitcredentials(7) asks of a helper.
//!
//! Git runs it with one operation and the description of a credential on standard input. What it
//! prints for `get` overrides what Git knows; whatever its exit code, Git then goes on to the next
//! helper, or to a prompt, unless it has a username and a password.

mod description;
mod entry;
mod erase;
mod get;
mod store;
mod url;

use std::{env, ffi::OsString, process::ExitCode};

use crate::{
    failure::{Code, Failure},
    helpers::git::description::Description,
    io::{output::print, terminal},
    settings::Settings,
};

const USAGE: &str = "Usage: git-credential-posixage <get|store|erase|capability>";

/// What git-credential(1) calls a capability announcement. `state` is of no use here.
const CAPABILITIES: &str = "version 0\ncapability authtype\n";

pub(crate) fn run(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let args: Vec<OsString> = args.collect();
    let [operation] = args.as_slice() else {
        return Err(Failure::new("one operation is needed")
            .hint(USAGE)
            .code(Code::Usage));
    };
    match operation.to_str() {
        Some("get") => get::run(&settings()?, &Description::read()?)?,
        Some("store") => store::run(&settings()?, &Description::read()?)?,
        Some("erase") => erase::run(&settings()?, &Description::read()?)?,
        Some("capability") => print(|out| out.write_all(CAPABILITIES.as_bytes()))?,
        Some("--help" | "-h") => print(|out| writeln!(out, "{USAGE}"))?,
        Some("--version" | "-V") => print(|out| {
            let version = env!("CARGO_PKG_VERSION");
            writeln!(out, "git-credential-posixage {version}")
        })?,
        // Room for operations of later versions.
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn settings() -> Result<Settings, Failure> {
    // A user that tells Git not to ask on the terminal means its helpers too.
    let asks = env::var_os("GIT_TERMINAL_PROMPT");
    if asks.is_some_and(|value| {
        ["", "0", "false", "no", "off"]
            .iter()
            .any(|no| value == *no)
    }) {
        terminal::never_ask();
    }
    Settings::from_environment()
}
