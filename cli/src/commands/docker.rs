//! `posixage docker`

use crate::{
    args::{Docker, DockerCommand},
    docker::{setup, status, undo},
    failure::Failure,
    settings::Settings,
};

pub(crate) fn run(settings: &Settings, args: &Docker) -> Result<(), Failure> {
    let report = match &args.command {
        DockerCommand::Status(args) => return status::run(settings, args.json),
        DockerCommand::Setup(args) if args.undo => undo::run(settings, args.dry_run)?,
        DockerCommand::Setup(args) => setup::run(settings, args.dry_run)?,
    };
    report.print()?;
    report.notes.iter().for_each(|note| settings.note(note));
    Ok(())
}
