//! `posixage verify`

use std::{collections::HashSet, path::Path};

use posixage::{Finding, KeyType, Pattern, Problem, Store, VerifyOptions};
use serde::Serialize;

use crate::{
    args::Verify,
    failure::{Code, Failure},
    io::output::{print, print_json, printable},
    session::Session,
    settings::Settings,
};

/// A finding as `--json` prints it.
#[derive(Serialize)]
struct Object {
    path: String,
    id: Option<String>,
    kind: &'static str,
    problem: String,
    wrong: bool,
    repaired: bool,
}

pub(crate) fn run(settings: &Settings, args: &Verify) -> Result<(), Failure> {
    let session = Session::open_to_check(settings)?;
    let store = match args.decrypt {
        true => session.checker()?,
        false => session.keyless().clone(),
    };
    let what = VerifyOptions::new()
        .with_decrypt(args.decrypt)
        .with_repair(args.repair);
    let mut findings: Vec<Finding> = Vec::new();
    let checked = store.verify(what, |finding| findings.push(finding));
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    if args.json {
        print_json(&findings.iter().map(object).collect::<Vec<_>>())?;
    } else {
        print(|out| {
            let mut lines = findings
                .iter()
                .map(|finding| printable(&finding.to_string()));
            lines.try_for_each(|line| writeln!(out, "{line}"))
        })?;
    }
    // After the findings: what was repaired by then is repaired.
    checked?;
    if findings
        .iter()
        .any(|finding| finding.problem.is_wrong() && !finding.repaired)
    {
        return Err(Failure::silent(Code::Damaged));
    }
    if args.decrypt && decrypted_nothing(&store, &findings)? {
        return Err(Failure::new("nothing was decrypted: no key fits")
            .hint(
                "name a key that fits: -i FILE, POSIXAGE_IDENTITY, or `identities` in config.toml",
            )
            .code(Code::NoKeyFits));
    }
    Ok(())
}

/// Whether there are secrets, and no copy of any of them was opened.
fn decrypted_nothing(store: &Store, findings: &[Finding]) -> Result<bool, Failure> {
    let unopened: HashSet<&Path> = findings
        .iter()
        .filter(|finding| matches!(finding.problem, Problem::NotOpened { .. }))
        .map(|finding| finding.path.as_path())
        .collect();
    if unopened.is_empty() {
        return Ok(false);
    }
    let types = [KeyType::Password, KeyType::Age, KeyType::Ssh];
    let mut copies = store.list(&Pattern::all())?.flat_map(|entry| {
        let secret = store.path().join(entry.id.directory_name());
        types.map(|key_type| secret.join(key_type.file_name()))
    });
    Ok(!copies.any(|copy| !unopened.contains(copy.as_path()) && copy.exists()))
}

fn object(finding: &Finding) -> Object {
    Object {
        path: finding.path.display().to_string(),
        id: finding.id.as_ref().map(ToString::to_string),
        kind: finding.problem.kind(),
        problem: finding.problem.to_string(),
        wrong: finding.problem.is_wrong(),
        repaired: finding.repaired,
    }
}
