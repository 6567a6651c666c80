//! `posixage get`

use posixage_tests::{Sandbox, tree::Snapshot};

#[test]
fn prints_the_value_byte_for_byte_and_nothing_else() {
    let sandbox = Sandbox::new().initialised();
    for value in [&b"value"[..], b"", b"\n", b"\0\xff", b"a\nb\n\n"] {
        sandbox.set("x", value);
        assert_eq!(sandbox.get("x"), value);
    }
}

#[test]
fn a_secret_that_is_not_there_is_exit_code_3() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let before = Snapshot::of(&sandbox.store());
    for args in [
        &["get", "y"][..],
        &["get", "--metadata", "y"],
        &["get", "--json", "y"],
    ] {
        sandbox.run(args).fails(3).says(["no secret", "y"]);
    }
    // Neither above nor below is the same, nor does case matter not.
    for id in ["x/y", "X", "x-"] {
        sandbox.run(["get", id]).fails(3);
    }
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn json_has_id_value_encoding_and_metadata() {
    let sandbox = Sandbox::new().initialised();
    sandbox
        .run(["set", "a/b=text", "--metadata", "k=v"])
        .succeeds();
    sandbox.set("binary", b"\xff\0");
    let get = |id| sandbox.run(["get", "--json", id]).succeeds_silently().out();
    assert_eq!(
        get("a/b"),
        "{\"id\":\"a/b\",\"value\":\"text\",\"encoding\":\"utf8\",\"metadata\":{\"k\":\"v\"}}\n"
    );
    assert_eq!(
        get("binary"),
        "{\"id\":\"binary\",\"value\":\"/wA=\",\"encoding\":\"base64\",\"metadata\":null}\n"
    );
}

#[test]
fn metadata_takes_no_key() {
    let sandbox = Sandbox::new().initialised();
    sandbox
        .run(["set", "x=value", "--metadata", "k=v"])
        .succeeds();
    std::fs::remove_file(sandbox.identity()).unwrap();
    let metadata = sandbox.run(["get", "--metadata", "x"]).succeeds_silently();
    assert_eq!(metadata.out(), "{\"k\":\"v\"}\n");
    sandbox.run(["get", "x"]).fails(5);
}

#[test]
fn reading_changes_nothing() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let before = Snapshot::of(&sandbox.home());
    for args in [
        &["get", "x"][..],
        &["get", "--json", "x"],
        &["list"],
        &["status"],
    ] {
        sandbox.run(args).succeeds();
    }
    assert_eq!(Snapshot::of(&sandbox.home()), before);
}
