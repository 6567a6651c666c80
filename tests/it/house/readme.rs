//! Claim: the README's commands do what it says, word for word, in a fresh clone with an empty home.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use posixage_tests::{Program, Sandbox, binary, page, tools};

/// The shell blocks of the README.
fn blocks() -> Vec<String> {
    page::blocks("README.md", "sh")
}

#[test]
fn the_setup_works_word_for_word_in_a_fresh_clone_with_an_empty_home() {
    let sandbox = Sandbox::new();
    let clone = sandbox.path().join("clone");
    // The repository may belong to somebody else than who runs the tests.
    let settings = sandbox.file("gitconfig", "[safe]\n\tdirectory = *\n");
    sandbox
        .program(tools::need("git", "git"))
        .env("GIT_CONFIG_GLOBAL", settings)
        .args(["clone", "--quiet", "--no-local"])
        .args([&binary::workspace(), &clone])
        .run()
        .succeeds();
    // Kept between runs: a build from nothing takes minutes.
    let target = binary::workspace().join("target/readme");
    // Where cargo and its downloads are, since the home is not the one they were installed in.
    let cargo = PathBuf::from(env!("CARGO"));
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let place = |variable: &str, default: &str| {
        std::env::var_os(variable).unwrap_or_else(|| home.join(default).into())
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", cargo.parent().expect("a directory").display());
    let setup = &blocks()[0];
    let run = |script: &str| {
        sandbox
            .program("sh")
            .args(["-euc", script])
            .current_dir(&clone)
            .env("PATH", &path)
            .env("CARGO_HOME", place("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", place("RUSTUP_HOME", ".rustup"))
            .env("CARGO_TARGET_DIR", &target)
            // The last touches of a release take as long as all the rest.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .within(std::time::Duration::from_secs(1800))
            .run()
    };
    let output = run(setup).succeeds();
    assert_eq!(output.out(), "", "{output:?}");
    let output = output.says([
        sandbox.store().to_str().unwrap(),
        sandbox.identity().to_str().unwrap(),
    ]);
    drop(output);

    // What the README shows next, with the binary that it built.
    let posixage = target.join("release/posixage");
    let get = sandbox.program(&posixage).args(["get", "demo/token"]).run();
    assert_eq!(get.succeeds_silently().out(), "correct horse");
    let missing = sandbox.program(&posixage).args(["get", "demo/tokn"]).run();
    missing.fails(3).says(["posixage: no secret demo/tokn"]);
}

#[test]
fn the_test_command_is_there_and_can_be_run() {
    let blocks = blocks();
    assert_eq!(blocks[1].trim(), "tests/run", "{blocks:?}");
    let script = binary::workspace().join("tests/run");
    assert_eq!(
        fs::metadata(&script).unwrap().permissions().mode() & 0o111,
        0o111
    );
    Program::new(tools::need("bash", "bash"))
        .arg("-n")
        .arg(script)
        .run()
        .succeeds_silently();
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = fs::read_to_string(binary::workspace().join("README.md")).unwrap();
    let sandbox = Sandbox::new();
    let mut commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split([' ', '`']).next())
        .collect();
    commands.dedup();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        sandbox.run([command, "--help"]).succeeds_silently();
    }
}
