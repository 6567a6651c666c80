//! `posixage get`

use std::io::IsTerminal;

use posixage::Metadata;
use serde::Serialize;

use crate::{
    args::Get,
    commands::near,
    failure::Failure,
    io::{
        output::{print, print_json},
        value::Encoding,
    },
    session::Session,
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
    let session = Session::open(settings)?;
    let store = session.keyless();
    if args.metadata {
        let metadata = store.metadata(&args.id);
        let metadata = metadata.map_err(|error| near::failure(store, error))?;
        return print_json(&metadata);
    }
    let secret = session.reader()?.get(&args.id);
    let secret = secret.map_err(|error| near::failure(store, error))?;
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
