//! `posixage completions`

use posixage_tests::{Program, Sandbox, tools};

#[test]
fn prints_a_script_that_the_shell_takes() {
    let sandbox = Sandbox::new();
    let script = sandbox
        .run(["completions", "bash"])
        .succeeds_silently()
        .stdout;
    let file = sandbox.file("posixage.bash", script);
    let bash = Program::new(tools::need("bash", "bash")).arg("-c");
    let offered = bash
        .arg(r#". "$0" && COMP_WORDS=(posixage s) COMP_CWORD=1 && _posixage posixage s posixage && echo "${COMPREPLY[@]}""#)
        .arg(file)
        .run()
        .succeeds()
        .out();
    let offered: Vec<&str> = offered.split_whitespace().collect();
    assert_eq!(offered, ["set", "status"]);
}

#[test]
fn is_there_for_every_shell_and_needs_no_home() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = sandbox
            .posixage(["completions", shell])
            .env_remove("HOME")
            .run();
        assert!(
            output.succeeds_silently().out().contains("posixage"),
            "{shell}"
        );
    }
    sandbox.run(["completions", "tcsh"]).fails(2);
}
