//! `posixage`: the command line of the posixage secret store.

fn main() -> std::process::ExitCode {
    posixage_cli::posixage()
}
