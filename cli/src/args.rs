//! What can be said on the command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Keeps secrets in age-encrypted files, for machines without a desktop keyring.
#[derive(Debug, Parser)]
#[command(
    name = "posixage",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 ok, 1 other, 2 usage, 3 no such secret, 4 already exists, \
    5 no key fits, 6 locked, 7 damaged, 8 unsafe permissions; of `run` the command's own, 126 or 127."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Global {
    /// The store's directory [default: $POSIXAGE_STORE, config.toml, ~/.local/share/posixage]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// A file with age identities or an SSH private key; may be repeated, tried in order
    #[arg(short, long = "identity", global = true, value_name = "FILE")]
    pub(crate) identities: Vec<PathBuf>,
    /// A file whose first line is the password
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long to wait for the store's lock, such as 500ms, 30s, 2m; 0 does not wait
    /// [default: $POSIXAGE_LOCK_TIMEOUT, 30s]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// Use a store or key file that others can read or write
    #[arg(long, global = true)]
    pub(crate) allow_insecure_permissions: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store and, with no key given, an age identity
    Init(Init),
    /// Write a secret
    Set(Set),
    /// Print a secret
    Get(Get),
    /// Print the ids of secrets, sorted; decrypts nothing
    #[command(visible_alias = "ls")]
    List(List),
    /// Remove secrets
    Rm(Rm),
    /// Run a command with secrets in its environment, instead of se://ID
    Run(Run),
    /// Tell where the store is, which keys fit and which process holds the lock
    Status(Status),
    /// Check the store, a line for each finding; exits with 7 if something is wrong
    Verify(Verify),
    /// Run a command while holding the store's lock, for which another posixage would wait
    Lock(Lock),
    /// Take the lock from a process that stands still
    Unlock(Unlock),
    /// Have docker keep its credentials in the store
    Docker(Docker),
    /// Print a completion script for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Encrypt with a password too; without other keys, with a password only
    #[arg(long)]
    pub(crate) password: bool,
    /// Encrypt to this public key too: age1…, ssh-ed25519 … or ssh-rsa …
    #[arg(long = "recipient", value_name = "KEY")]
    pub(crate) recipients: Vec<posixage::Recipient>,
    /// The cost of guessing the password, 1 to 22: each step doubles it
    #[arg(long, value_name = "N", default_value_t = posixage::DEFAULT_WORK_FACTOR,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(posixage::MAX_WORK_FACTOR)))]
    pub(crate) scrypt_work_factor: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The secret's name; the value comes from a prompt or standard input unless given here, where
    /// other users of the machine may see it
    #[arg(value_name = "ID[=VALUE]")]
    pub(crate) id: OsString,
    /// Take standard input as it is: keep the newline of a single line, and let it be empty
    #[arg(long)]
    pub(crate) raw: bool,
    /// Let the value be empty
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Unencrypted text to keep with the secret; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub(crate) metadata: Vec<(String, String)>,
    /// Read {"secret":…,"metadata":{…}} from standard input, or what `get --json` prints
    #[arg(long, conflicts_with_all = ["raw", "allow_empty", "metadata"])]
    pub(crate) json: bool,
    /// Replace a secret that is there, and its metadata; of a helper's entry the value only, unless
    /// metadata are given
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The secret's name
    pub(crate) id: posixage::Id,
    /// Print {"id":…,"value":…,"encoding":"utf8"|"base64","metadata":…}
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the metadata only, as JSON; decrypts nothing
    #[arg(long, conflicts_with = "json")]
    pub(crate) metadata: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// An id in which * stands for one component and ** for any number; without them, what is below it
    /// too
    #[arg(value_parser = parse_listing)]
    pub(crate) pattern: Option<posixage::Pattern>,
    /// With metadata
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Print [{"id":…,"metadata":{…}|null}]
    #[arg(long, conflicts_with_all = ["long", "tree"])]
    pub(crate) json: bool,
    /// Draw a tree
    #[arg(long, conflicts_with = "long")]
    pub(crate) tree: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The secrets' names
    #[arg(required_unless_present = "all", value_name = "ID")]
    pub(crate) ids: Vec<posixage::Id>,
    /// Remove every secret but the entries of docker, git and cargo
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Do not ask whether to remove all
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A file of variables, NAME=value a line; may be repeated. What it says goes before the
    /// environment, and a later file before an earlier one
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// The command and its arguments. It takes this process's place: signals and exit code are its
    /// own
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print an object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Decrypt what the keys that are there fit, and compare the copies
    #[arg(long)]
    pub(crate) decrypt: bool,
    /// Repair what needs no guess: modes, what interrupted writes left; removes no ciphertext
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print [{"path":…,"id":…,"kind":…,"problem":…,"wrong":…,"repaired":…}]
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// Keep writers out, but let others read
    #[arg(long)]
    pub(crate) shared: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// Watch the holder for 30 s, and take the lock from it if it has not moved
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Docker {
    #[command(subcommand)]
    pub(crate) command: DockerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DockerCommand {
    /// Set credsStore in docker's config.json, and move the passwords in it into the store
    Setup(DockerSetup),
    /// Tell where docker keeps its credentials, and whether that works
    Status(DockerStatus),
}

#[derive(Debug, Args)]
pub(crate) struct DockerSetup {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Put everything back as it was, passwords in plaintext included
    #[arg(long)]
    pub(crate) undo: bool,
    /// An auth.json of Podman, Skopeo or Buildah instead of docker's config.json: each registry
    /// that moves gets the helper in credHelpers
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DockerStatus {
    /// Print an object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a time such as 500ms, 30s or 2m")?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err("not a time such as 500ms, 30s or 2m".into()),
    }
}

/// A name without a wildcard is a folder: all that is below it, and itself.
fn parse_listing(text: &str) -> Result<posixage::Pattern, posixage::ParseIdError> {
    if text.contains('*') {
        return text.parse();
    }
    format!("{}/**", text.strip_suffix('/').unwrap_or(text)).parse()
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in [
            "",
            "s",
            "30",
            "-1s",
            "1h",
            "1.5s",
            "30 s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
