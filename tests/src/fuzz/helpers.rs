//! What Docker and Git write to their helpers: real processes, so that a fuzzer does not see what they do
//! with it.

use crate::{Output, Sandbox, binary, tree::Snapshot};

thread_local! {
    static SANDBOX: Sandbox = Sandbox::new().initialised();
}

/// The input goes to every operation of both.
pub fn run(input: &[u8]) {
    SANDBOX.with(|sandbox| {
        // Not a pipe: it might have no reader, and SIGPIPE ends a fuzzer.
        let input = sandbox.file("input", input);
        for (program, operations) in [
            (
                "docker-credential-posixage",
                ["store", "get", "list", "erase"],
            ),
            (
                "git-credential-posixage",
                ["store", "get", "capability", "erase"],
            ),
        ] {
            for operation in operations {
                let before = Snapshot::of(&sandbox.store());
                let helper = sandbox.program(binary::directory().join(program));
                let output = helper
                    .arg(operation)
                    .in_shell(r#""$@" <"$INPUT""#)
                    .env("INPUT", &input)
                    .run();
                check(&output);
                let changes = matches!(operation, "store" | "erase") && output.status.success();
                if !changes {
                    assert_eq!(Snapshot::of(&sandbox.store()), before, "{output:?}");
                }
            }
        }
    });
}

/// It ends by itself, says why if it fails, and sends nothing to the terminal that moves the cursor.
fn check(output: &Output) {
    let code = output.status.code();
    assert!(code.is_some_and(|code| code < 100), "{output:?}");
    let said = output.err();
    assert!(!said.contains("panicked"), "{output:?}");
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!said.contains(control), "{output:?}");
    if code != Some(0) {
        assert!(!said.is_empty() || !output.stdout.is_empty(), "{output:?}");
    }
}
