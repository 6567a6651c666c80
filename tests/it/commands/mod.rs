//! The command line, a file for each command or for what all of them promise.

mod completions;
mod get;
mod hidden_keys;
mod ignored_signals;
mod init;
mod key_files;
mod list;
mod lock;
mod newcomer;
mod opens_once;
mod paths;
mod processes;
mod prompt;
mod prompts_at_once;
mod read_only;
mod rm;
mod run;
mod set;
mod shown;
mod status;
mod stray_binary;
mod streams;
mod systemd_credentials;
mod verify;
