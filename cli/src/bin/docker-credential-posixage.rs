//! `docker-credential-posixage`: keeps the credentials of Docker, Podman, Skopeo and Buildah in the
//! posixage secret store.

fn main() -> std::process::ExitCode {
    posixage_cli::docker_credential_posixage()
}
