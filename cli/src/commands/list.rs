//! `posixage list`

use std::io::{self, Write};

use posixage::{Entry, Id, Metadata, Pattern};
use serde::Serialize;

use crate::{
    args::List,
    failure::{self, Failure},
    io::output::{print, print_json, printable},
    session::Session,
    settings::Settings,
};

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    metadata: Option<&'a Metadata>,
}

pub(crate) fn run(settings: &Settings, args: &List) -> Result<(), Failure> {
    let session = Session::open(settings)?;
    let store = session.keyless();
    let pattern = args.pattern.clone().unwrap_or_else(Pattern::all);
    let mut failures = Vec::new();
    let mut secrets: Vec<(Id, Option<Metadata>)> = Vec::new();
    for Entry { id, metadata, .. } in store.list(&pattern)? {
        match metadata {
            Ok(metadata) => secrets.push((id, metadata)),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    if args.json {
        let objects: Vec<Object<'_>> = secrets
            .iter()
            .map(|(id, metadata)| Object {
                id: id.as_str(),
                metadata: metadata.as_ref(),
            })
            .collect();
        print_json(&objects)?;
    } else {
        print(|out| {
            if args.tree {
                tree(out, &secrets)
            } else if args.long {
                long(out, &secrets)
            } else {
                secrets.iter().try_for_each(|(id, _)| writeln!(out, "{id}"))
            }
        })?;
    }
    failure::all(failures)
}

fn long(out: &mut dyn Write, secrets: &[(Id, Option<Metadata>)]) -> io::Result<()> {
    let width = secrets
        .iter()
        .map(|(id, _)| id.as_str().len())
        .max()
        .unwrap_or(0);
    for (id, metadata) in secrets {
        match metadata {
            Some(metadata) => {
                let metadata = printable(&metadata.to_string());
                writeln!(out, "{id:width$}  {metadata}")?;
            }
            None => writeln!(out, "{id}")?,
        }
    }
    Ok(())
}

/// Each component under the one before it; sorted by component, so that every branch is drawn once.
fn tree(out: &mut dyn Write, secrets: &[(Id, Option<Metadata>)]) -> io::Result<()> {
    let mut paths: Vec<Vec<&str>> = secrets
        .iter()
        .map(|(id, _)| id.components().collect())
        .collect();
    paths.sort_unstable();
    branches(out, &paths, &mut String::new())
}

fn branches(out: &mut dyn Write, paths: &[Vec<&str>], indent: &mut String) -> io::Result<()> {
    let mut groups = paths.chunk_by(|a, b| a[0] == b[0]).peekable();
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        writeln!(
            out,
            "{indent}{}{}",
            if last { "└── " } else { "├── " },
            group[0][0]
        )?;
        let below: Vec<Vec<&str>> = group
            .iter()
            .map(|path| path[1..].to_vec())
            .filter(|path| !path.is_empty())
            .collect();
        if !below.is_empty() {
            let len = indent.len();
            indent.push_str(if last { "    " } else { "│   " });
            branches(out, &below, indent)?;
            indent.truncate(len);
        }
    }
    Ok(())
}
