//! `posixage set`

use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    os::unix::ffi::OsStrExt,
};

use posixage::{Error, Id, Metadata, Secret, Store};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::{
    args::Set,
    failure::{Code, Failure},
    helpers,
    io::{input, terminal, value::Encoding},
    session::Session,
    settings::Settings,
    usage,
};

/// What `--json` reads: what `get --json` prints, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(alias = "value")]
    secret: Zeroizing<String>,
    #[serde(default)]
    encoding: Encoding,
    /// `null` is none; absent, nothing is said of it.
    #[serde(default, deserialize_with = "present")]
    metadata: Option<Option<Metadata>>,
    /// The id that the value was read from; it is written to the one in the arguments.
    #[serde(default, rename = "id")]
    _id: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Metadata>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// A value, and the metadata that was given with it.
struct Given {
    value: Zeroizing<Vec<u8>>,
    metadata: Option<Option<Metadata>>,
}

pub(crate) fn run(settings: &Settings, args: Set) -> Result<(), Failure> {
    let Target { id, value } = Target::parse(&args.id)?;
    if args.json && value.is_some() {
        return Err(
            Failure::new("a value is given twice: in the argument, and by --json")
                .code(Code::Usage),
        );
    }
    let store = Session::open_or_make(settings)?.writer()?;
    if !args.force {
        // Before a value is typed in vain. What decides is the commit.
        match store.metadata(&id) {
            Err(Error::NotFound { .. }) => {}
            Err(error @ (Error::Lock(_) | Error::Io { .. })) => return Err(error.into()),
            _ => return Err(Error::AlreadyExists { id }.into()),
        }
    }
    // In JSON an empty text is meant.
    let source = match value {
        None if !io::stdin().is_terminal() => "standard input",
        _ => "the value",
    };
    let (force, may_be_empty) = (args.force, args.allow_empty || args.raw || args.json);
    let given = match args.json {
        true => from_json(&input::read_json()?)?,
        false => given(&id, value, args)?,
    };
    if given.value.is_empty() && !may_be_empty {
        // So it looks when what should have written it has failed.
        return Err(Failure::new(format!("{source} is empty"))
            .hint("--allow-empty, or --raw, sets an empty value"));
    }
    let metadata = match given.metadata {
        Some(metadata) => metadata,
        None if force => of_helper(&store, &id)?,
        None => None,
    };
    let secret = Secret::from(given.value).with_metadata(metadata);
    match force {
        true => store.set(&id, &secret)?,
        false => store.create(&id, &secret)?,
    }
    Ok(())
}

fn given(id: &Id, argument: Option<Zeroizing<Vec<u8>>>, args: Set) -> Result<Given, Failure> {
    let value = match argument {
        Some(value) => {
            if input::is_waiting() {
                return Err(Failure::new(
                    "a value is given twice: in the argument, and on standard input",
                )
                .hint("for the one in the argument: </dev/null")
                .code(Code::Usage));
            }
            value
        }
        None if io::stdin().is_terminal() => terminal::ask_new(&format!("value of {id}: "))?,
        None if args.raw => input::read()?,
        None => without_line_end(input::read()?),
    };
    let metadata: Metadata = args.metadata.into_iter().collect();
    let metadata = (!metadata.is_empty()).then_some(Some(metadata));
    Ok(Given { value, metadata })
}

/// The metadata of a credential helper's entry, by which the helper finds it again: it stays when
/// only the value is replaced.
fn of_helper(store: &Store, id: &Id) -> Result<Option<Metadata>, Failure> {
    if !helpers::owns(id) {
        return Ok(None);
    }
    match store.metadata(id) {
        Ok(metadata) => Ok(metadata),
        Err(error @ (Error::Lock(_) | Error::Io { .. })) => Err(error.into()),
        // A new one, or one that is damaged, which this replaces.
        Err(_) => Ok(None),
    }
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
        let id: Id = String::from_utf8_lossy(id).parse().map_err(usage::bad_id)?;
        if value
            .as_ref()
            .is_some_and(|value| is_part_of_a_name(&id, value))
        {
            return Err(
                Failure::new("this looks like a name with a = in it, not like ID=VALUE")
                    .hint("an id has no =; a value that begins so can come from standard input")
                    .code(Code::Usage),
            );
        }
        Ok(Self { id, value })
    }
}

/// Whether an `=` is the padding of base64 in a name, such as `x/aHR0=/u`, rather than what separates an
/// id from a value.
fn is_part_of_a_name(id: &Id, value: &[u8]) -> bool {
    let padding = value.iter().take_while(|byte| **byte == b'=').count();
    let rest = &value[padding..];
    let last = id.components().next_back().unwrap_or_default();
    let has = |wanted: fn(&u8) -> bool| last.as_bytes().iter().any(wanted);
    let is_base64 = last.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase);
    match rest {
        [] => padding > 0,
        [b'/', path @ ..] => {
            is_base64 && str::from_utf8(path).is_ok_and(|path| path.parse::<Id>().is_ok())
        }
        _ => false,
    }
}

/// The value less the end of its line, if it is one line. Of several the last keeps its end: a key
/// file is not one without it.
fn without_line_end(mut value: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let newlines = value.iter().filter(|byte| **byte == b'\n').count();
    if newlines == 1 && value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    value
}

fn from_json(text: &[u8]) -> Result<Given, Failure> {
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
    Ok(Given {
        value,
        metadata: object.metadata,
    })
}
