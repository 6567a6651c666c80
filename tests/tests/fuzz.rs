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
    let directories = fs::read_dir(&inputs).expect("fixtures/fuzz").count();
    assert_eq!(directories, TARGETS.len(), "a directory without a target");
}
