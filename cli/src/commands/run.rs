//! `posixage run`

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        process::CommandExt,
    },
    process::{Command, ExitCode},
    slice,
};

use posixage::{Error, Id};
use zeroize::Zeroizing;

use crate::{
    args::Run,
    commands::near,
    failure::{self, Code, Failure, reason},
    io::{dotenv, password},
    session::Session,
    settings::Settings,
    usage,
};

/// What a value begins with that stands for a secret.
const SCHEME: &[u8] = b"se://";

type Environment = BTreeMap<OsString, OsString>;

/// Becomes the command; returns only if that fails.
pub(crate) fn run(settings: &Settings, args: &Run) -> Result<ExitCode, Failure> {
    let mut environment: Environment = env::vars_os().collect();
    for name in password::SECRET_VARIABLES {
        environment.remove(OsStr::new(name));
    }
    for file in &args.env_files {
        environment.extend(dotenv::read(file)?);
    }
    resolve(settings, &mut environment)?;
    let (program, words) = args.command.split_first().expect("clap asks for one");
    let path = environment.get(OsStr::new("PATH")).cloned();
    let mut command = Command::new(program);
    command.args(words).env_clear().envs(environment);
    let error = command.exec();
    Err(not_started(program, &path.unwrap_or_default(), &error))
}

/// Replaces references by their secrets. Every reference that fails is named.
fn resolve(settings: &Settings, environment: &mut Environment) -> Result<(), Failure> {
    let mut failures = Vec::new();
    let mut references: BTreeMap<Id, Vec<OsString>> = BTreeMap::new();
    for (name, value) in &*environment {
        let Some(text) = value.as_bytes().strip_prefix(SCHEME) else {
            continue;
        };
        match String::from_utf8_lossy(text).parse() {
            Ok(id) => references.entry(id).or_default().push(name.clone()),
            Err(error) => {
                let failure = usage::bad_id(error).code(Code::Other);
                failures.push(failure.about(variables_called(slice::from_ref(name))));
            }
        }
    }
    // Without references there is no need of a store.
    if !references.is_empty() {
        let store = Session::open(settings)?.reader()?;
        // In one pass: what a secret says is not looked into, and each is decrypted once.
        for (id, names) in references {
            let value = match store.get(&id) {
                Ok(secret) if secret.expose().contains(&0) => Err(Failure::new(format!(
                    "secret {id} has a NUL in it, which no variable can hold"
                ))),
                Ok(secret) => Ok(secret.into_value()),
                // All others would have to be waited for as long.
                Err(error @ Error::Lock(_)) => return Err(error.into()),
                Err(error) => Err(near::failure(&store, error)),
            };
            match value {
                Ok(value) => set(environment, names, &value),
                Err(failure) => failures.push(failure.about(variables_called(&names))),
            }
        }
    }
    failure::all(failures)
}

fn set(environment: &mut Environment, names: Vec<OsString>, value: &Zeroizing<Vec<u8>>) {
    for name in names {
        environment.insert(name, OsString::from_vec(value.to_vec()));
    }
}

fn variables_called(names: &[OsString]) -> String {
    let plural = if names.len() > 1 { "s" } else { "" };
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
    format!("variable{plural} {}", names.join(", "))
}

/// As a shell has it: 127 for a program that is not there, 126 for one that cannot be run.
pub(crate) fn not_started(program: &OsStr, path: &OsStr, error: &io::Error) -> Failure {
    let is_missing = match error.kind() {
        io::ErrorKind::NotFound => true,
        // So says exec(3), too, of a program that is in no directory of PATH, if it may not look into
        // one of them.
        io::ErrorKind::PermissionDenied => {
            let is_name = !program.as_bytes().contains(&b'/');
            is_name && !env::split_paths(path).any(|dir| dir.join(program).exists())
        }
        _ => false,
    };
    let (why, code) = match is_missing {
        true => ("no such program".into(), Code::NoSuchProgram),
        false => (reason(error), Code::NotRunnable),
    };
    let failure = Failure::new(format!("cannot run {}: {why}", program.display())).code(code);
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong => failure.hint("a variable holds 128 KiB at most"),
        _ => failure,
    }
}
