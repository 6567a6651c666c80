//! `posixage init`

use crate::{args::Init, failure::Failure, io::output::print, session, settings::Settings};

pub(crate) fn run(settings: &Settings, args: Init) -> Result<(), Failure> {
    let made = session::make_store(
        settings,
        &args.recipients,
        args.password,
        args.scrypt_work_factor,
    )?;
    if made.new_identity {
        settings.note("made a key; without it nothing can be read: keep a copy");
    }
    print(|out| {
        writeln!(out, "store: {}", settings.store.path.display())?;
        if let (true, Some(path)) = (made.default_identity, &settings.default_identity) {
            writeln!(out, "identity: {}", path.display())?;
        }
        for recipient in &made.config.recipients {
            writeln!(out, "recipient: {recipient}")?;
        }
        if made.config.password {
            writeln!(out, "recipient: password")?;
        }
        Ok(())
    })
}
