//! `docker-credential-posixage`: keeps registry logins for Docker, Podman, Skopeo and Buildah.

pub(crate) mod credential;
pub(crate) mod protocol;

pub(crate) use protocol::run;
