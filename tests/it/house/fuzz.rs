//! Claim: no input in `fixtures/fuzz/` breaks a rule of its target. What a fuzzer finds is added there.

use std::fs;

use posixage_tests::{binary::workspace, fuzz::TARGETS};

#[test]
fn every_input_of_every_target() {
    let inputs = workspace().join("fixtures/fuzz");
    for (name, run) in TARGETS {
        let mut count = 0;
        for file in fs::read_dir(inputs.join(name)).expect("a directory for each target") {
            let path = file.expect("an input").path();
            eprintln!("{}", path.display());
            run(&fs::read(&path).expect("an input"));
            count += 1;
        }
        assert!(count > 5, "{name} has {count} inputs");
    }
    let targets = workspace().join("tests/fuzz/fuzz_targets");
    for (name, _) in TARGETS {
        let target = fs::read_to_string(targets.join(format!("{name}.rs"))).expect("a target");
        assert!(target.contains(&format!("posixage_tests::fuzz::{name}::run(input)")));
    }
    let directories = fs::read_dir(&inputs).expect("fixtures/fuzz").count();
    assert_eq!(directories, TARGETS.len(), "a directory without a target");
}
