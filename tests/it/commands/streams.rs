//! Claim: an output that goes nowhere is an error; a reader that has seen enough is none.

use posixage_tests::{Program, Sandbox};

/// Runs it into a reader that goes away after `head`.
fn into(program: Program, head: &str) -> posixage_tests::Output {
    let script = format!(r#"{{ "$@"; echo $? >&2; }} | {head}"#);
    program.in_shell(&script).run()
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("large", vec![b'v'; 1 << 20]);
    let output = into(sandbox.posixage(["get", "large"]), "head -c 1").succeeds();
    assert_eq!(
        (output.out().as_str(), output.err().as_str()),
        ("v", "141\n")
    );
    let output = into(sandbox.posixage(["get", "--json", "large"]), "head -c 1").succeeds();
    assert_eq!(
        (output.out().as_str(), output.err().as_str()),
        ("{", "141\n")
    );
    // A reader that reads nothing at all.
    let output = into(sandbox.posixage(["get", "large"]), "true").succeeds();
    assert_eq!(
        (output.out().as_str(), output.err().as_str()),
        ("", "141\n")
    );
}

#[test]
fn list_into_head_prints_the_first_line() {
    let sandbox = Sandbox::new().initialised();
    // More than a pipe holds, without a thousand secrets: metadata is printed, too.
    let metadata = serde_json::json!({ "k": "m".repeat(200_000) });
    for id in ["a", "b"] {
        let json = serde_json::json!({ "secret": "v", "metadata": metadata }).to_string();
        sandbox
            .posixage(["set", "--json", id])
            .input(json)
            .run()
            .succeeds();
    }
    let output = into(sandbox.posixage(["list", "--long"]), "head -c 1").succeeds();
    assert_eq!(
        (output.out().as_str(), output.err().as_str()),
        ("a", "141\n")
    );
    // What fits into the pipe may end either way, but says nothing.
    let output = into(sandbox.posixage(["list"]), "head -n 1").succeeds();
    assert_eq!(output.out(), "a\n");
    assert!(
        ["0\n", "141\n"].contains(&output.err().as_str()),
        "{output:?}"
    );
}

#[test]
fn output_to_a_full_disk_is_an_error() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    for args in [
        &["get", "x"][..],
        &["list"],
        &["get", "--json", "x"],
        &["completions", "bash"],
    ] {
        let output = sandbox
            .posixage(args)
            .in_shell(r#"exec "$@" >/dev/full"#)
            .run();
        output.fails(1).says(["standard output", "no space left"]);
    }
}

#[test]
fn an_error_that_cannot_be_printed_is_an_error_still() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let run = |args: &[&str]| {
        let script = r#"exec "$@" 2>/dev/full"#;
        sandbox.posixage(args).in_shell(script).run()
    };
    for (args, code) in [
        (&["get", "missing"][..], 3),
        (&["gte"], 2),
        (&["set", "x=new"], 4),
        (&["get"], 2),
        (&["-v", "get", "missing"], 3),
    ] {
        assert_eq!(run(args).status.code(), Some(code), "{args:?}");
    }
    assert_eq!(run(&["-v", "get", "x"]).succeeds().out(), "value");
}
