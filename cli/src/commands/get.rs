//! `posixage get`

use std::io::IsTerminal;

use posixage::Metadata;
use serde::Serialize;

use crate::{
    args::Get,
    failure::Failure,
    io::{
        output::{print, print_json},
        value::Encoding,
    },
    session,
    settings::Settings,
};

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    value: &'a str,
    encoding: Encoding,
    metadata: Option<&'a Metadata>,
}

pub(crate) fn run(settings: &Settings, args: &Get) -> Result<(), Failure> {
    if args.metadata {
        let metadata = session::open_keyless(settings)?.metadata(&args.id)?;
        return print_json(&metadata);
    }
    let secret = session::open_to_read(settings)?.get(&args.id)?;
    if args.json {
        let (value, encoding) = Encoding::encode(secret.expose());
        return print_json(&Object {
            id: args.id.as_str(),
            value: &value,
            encoding,
            metadata: secret.metadata(),
        });
    }
    print(|out| {
        out.write_all(secret.expose())?;
        if std::io::stdout().is_terminal() && !secret.expose().ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}
