//! `posixage set`

use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    os::unix::ffi::OsStrExt,
};

use posixage::{Error, Id, Metadata, Secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    args::Set,
    failure::{Code, Failure},
    io::{input, terminal, value::Encoding},
    session::Session,
    settings::Settings,
};

/// What `--json` reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    secret: Zeroizing<String>,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default)]
    metadata: Option<Metadata>,
}

pub(crate) fn run(settings: &Settings, args: Set) -> Result<(), Failure> {
    let Target { id, value } = Target::parse(&args.id)?;
    let store = Session::open_or_make(settings)?.writer()?;
    if !args.force {
        // Nobody should type a value for nothing. What decides is the commit.
        match store.metadata(&id) {
            Err(Error::NotFound { .. }) => {}
            Err(error @ (Error::Lock(_) | Error::Io { .. })) => return Err(error.into()),
            _ => return Err(Error::AlreadyExists { id }.into()),
        }
    }
    let secret = if args.json {
        from_json(&input::read()?)?
    } else {
        let value = match value {
            Some(value) => value,
            None if io::stdin().is_terminal() => terminal::ask_new(&format!("value of {id}: "))?,
            None => from_stdin(args.raw)?,
        };
        let metadata: Metadata = args.metadata.into_iter().collect();
        Secret::from(value).with_metadata((!metadata.is_empty()).then_some(metadata))
    };
    if args.force {
        store.set(&id, &secret)?;
    } else {
        store.create(&id, &secret)?;
    }
    Ok(())
}

/// `ID` or `ID=VALUE`; an id has no `=`.
struct Target {
    id: Id,
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Target {
    fn parse(argument: &OsStr) -> Result<Self, Failure> {
        let bytes = argument.as_bytes();
        let (id, value) = match bytes.iter().position(|b| *b == b'=') {
            Some(at) => (&bytes[..at], Some(Zeroizing::new(bytes[at + 1..].to_vec()))),
            None => (bytes, None),
        };
        match String::from_utf8_lossy(id).parse() {
            Ok(id) => Ok(Self { id, value }),
            Err(error) => Err(Failure::new(error)
                .code(Code::Usage)
                .hint("an id is made of A-Z a-z 0-9 . _ : - in components joined by /")),
        }
    }
}

fn from_stdin(raw: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut value = input::read()?;
    if !raw && value.is_empty() {
        // So it looks when what should have written it has failed.
        return Err(Failure::new("standard input is empty").hint("--raw sets an empty value"));
    }
    if !raw && value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    Ok(value)
}

fn from_json(text: &[u8]) -> Result<Secret, Failure> {
    let object: Object = serde_json::from_slice(text).map_err(|e| {
        // The error's own text may quote the input.
        Failure::new(format!(
            "standard input is not {{\"secret\":…,\"metadata\":{{…}}}} (line {}, column {})",
            e.line(),
            e.column()
        ))
    })?;
    let value = object
        .encoding
        .decode(object.secret)
        .ok_or_else(|| Failure::new("standard input says base64, and the secret is not"))?;
    Ok(Secret::from(value).with_metadata(object.metadata))
}
