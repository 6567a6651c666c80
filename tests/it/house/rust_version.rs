//! Claim: `rust-version` in `Cargo.toml` is the newest that a dependency of the three crates asks for.
//!
//! That our own code calls nothing newer is clippy's to say (`incompatible_msrv`).

use std::collections::{BTreeMap, BTreeSet};

use posixage_tests::{Program, binary::workspace};
use serde_json::Value;

/// Major and minor, to be compared.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map_while(|number| number.parse().ok());
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next())
}

#[test]
fn no_dependency_needs_a_newer_rust() {
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ];
    let cargo = Program::new(env!("CARGO")).args(arguments);
    let home = std::env::var_os("HOME").unwrap_or_default();
    let mut cargo = cargo.current_dir(workspace()).env("HOME", home);
    for variable in ["CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(variable) {
            cargo = cargo.env(variable, value);
        }
    }
    let metadata: Value = serde_json::from_str(&cargo.run().succeeds().out()).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();

    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let ours = ["posixage-lock", "posixage", "posixage-cli"].map(Value::from);
    let is_ours = |package: &Value| package["source"].is_null() && ours.contains(&package["name"]);
    let mut open: Vec<String> = packages
        .iter()
        .filter(|(_, package)| is_ours(package))
        .map(|(id, _)| id.clone())
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id.clone()) {
            for dependency in list(&nodes[&id]["deps"]) {
                let kinds = list(&dependency["dep_kinds"]);
                if kinds.iter().any(|kind| kind["kind"] != "dev") {
                    open.push(text(&dependency["pkg"]));
                }
            }
        }
    }
    assert!(seen.len() > 50, "{} packages", seen.len());

    let (ours, theirs): (Vec<_>, Vec<_>) = seen
        .iter()
        .map(|id| &packages[id])
        .partition(|package| is_ours(package));
    let stated: BTreeSet<_> = ours
        .iter()
        .map(|package| version(&text(&package["rust_version"])))
        .collect();
    let needed = theirs
        .iter()
        .map(|package| {
            (
                version(&text(&package["rust_version"])),
                text(&package["name"]),
            )
        })
        .max()
        .expect("a dependency");
    assert_eq!(stated, BTreeSet::from([needed.0]), "needed by {}", needed.1);
}
