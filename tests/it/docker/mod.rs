//! Docker, Podman, Skopeo and Buildah: the helper, `docker setup` and `docker status`.

mod client;
mod daemon;
mod helper;
mod helper_refused;
mod planted_record;
mod podman;
mod setup;
mod setup_client;
mod setup_conflicts;
mod setup_interrupted;
mod setup_refused;
mod setup_undo;
mod skopeo;
mod status;
