//! Claim: a binary needs no file of the machine that it was built on.
//!
//! The age crate reports damage in words that its debug builds read from age's own sources; where those
//! are not, they panic.

use std::{env, fs, path::PathBuf};

use posixage::KeyType;
use posixage_tests::{Sandbox, age, binary, namespace, tools, vector::Vector};

#[test]
fn damage_is_reported_where_there_are_no_sources() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let file = age::ciphertext(&sandbox.store(), "x", KeyType::Age);
    // The one kind of damage that age has words for.
    let vector = Vector::named("stream_last_chunk_empty");
    fs::write(file, &vector.file).expect("write");
    let key = sandbox.file("key", vector.one("identity"));

    let hide = r#"mount -t tmpfs tmpfs "$SOURCES" && test -z "$(ls "$SOURCES")" && exec "$@""#;
    let Some(shell) = namespace::shell(hide) else {
        return tools::left_out("a machine without cargo's sources, which takes a mount");
    };
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    shell
        .arg(binary::posixage())
        .args(["get", "x", "-i"])
        .arg(key)
        .env("SOURCES", cargo_home.expect("a home").join("registry"))
        .env("HOME", sandbox.home())
        .run()
        .fails(7)
        .says(["is truncated or altered"]);
}
