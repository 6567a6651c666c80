//! `posixage docker`

use crate::{
    args::{Docker, DockerCommand},
    docker_setup::{config_file::ConfigFile, setup, status, undo},
    failure::{self, Failure},
    settings::Settings,
};

pub(crate) fn run(settings: &Settings, args: &Docker) -> Result<(), Failure> {
    let args = match &args.command {
        DockerCommand::Status(args) => return status::run(settings, args.json),
        DockerCommand::Setup(args) => args,
    };
    let file = ConfigFile::find(args.auth_file.as_deref())?;
    let report = match args.undo {
        true => undo::run(settings, &file, args.dry_run)?,
        false => setup::run(settings, &file, args.dry_run)?,
    };
    report.print()?;
    report.notes.iter().for_each(|note| settings.note(note));
    failure::all(report.failures)
}
