//! Claim: `tests/compare` runs, whichever of the peers are installed, and leaves nothing behind. This
//! test ignores what it measures.

use posixage_tests::{Sandbox, binary, tools, tree::Snapshot};

#[test]
fn every_comparison_runs() {
    for (program, package) in [("hyperfine", "hyperfine"), ("time", "time")] {
        let _ = tools::need(program, package);
    }
    let sandbox = Sandbox::new();
    let temporary = sandbox.directory("temporary");
    let tests = binary::workspace().join("tests");
    let plots = Snapshot::of(&tests.join("plots"));
    let programs = binary::posixage().parent().expect("a directory");
    let output = sandbox
        .program(tools::need("python3", "python3"))
        .arg(tests.join("compare"))
        .args(["--test", "--bin-dir"])
        .arg(programs)
        .env("TMPDIR", &temporary)
        .run()
        .succeeds();
    let table = output.out();
    for row in [
        "| /bin/true | ",
        "| posixage get | ",
        "| posixage get, peak memory | ",
        "| docker-credential-posixage list, 100 | ",
    ] {
        assert!(table.contains(row), "{table}");
    }
    assert_eq!(Snapshot::of(&tests.join("plots")), plots);
    let left = std::fs::read_dir(temporary).expect("list").count();
    assert_eq!(left, 0, "{output:?}");
}
