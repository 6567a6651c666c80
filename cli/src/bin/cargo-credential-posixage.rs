//! `cargo-credential-posixage`: keeps the tokens of registries for Cargo in the posixage secret store.

fn main() -> std::process::ExitCode {
    posixage_cli::cargo_credential_posixage()
}
