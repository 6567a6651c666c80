//! `git-credential-posixage`: keeps Git's credentials in the posixage secret store.

fn main() -> std::process::ExitCode {
    posixage_cli::git_credential_posixage()
}
