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
    let config = made.store.config();
    let config = config.expect("a store that was just made");
    print(|out| {
        writeln!(out, "store: {}", made.store.path().display())?;
        if let (true, Some(path)) = (made.default_identity, &settings.default_identity) {
            writeln!(out, "identity: {}", path.display())?;
        }
        for recipient in &config.recipients {
            writeln!(out, "recipient: {recipient}")?;
        }
        if config.password {
            writeln!(out, "recipient: password")?;
        }
        Ok(())
    })
}
