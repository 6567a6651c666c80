//! Claim: the README's commands do what it says, word for word, in a fresh clone with an empty home.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use posixage_tests::{Program, Sandbox, binary, page, tools};

/// The shell block that contains this text.
#[track_caller]
fn block(text: &str) -> String {
    let mut blocks = page::blocks("README.md", "sh").into_iter();
    let found = blocks.find(|block| block.contains(text));
    found.unwrap_or_else(|| panic!("no block with {text}"))
}

#[test]
fn setup_works_word_for_word_in_a_fresh_clone() {
    let sandbox = Sandbox::new();
    let clone = sandbox.path().join("clone");
    // The repository may belong to another user than the one that runs the tests.
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
    let installed = sandbox.directory("installed");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!(
        "{}/bin:{}:{path}",
        installed.display(),
        cargo.parent().expect("a directory").display()
    );
    let run = |script: &str| {
        sandbox
            .program("sh")
            .args(["-euc", script])
            .current_dir(&clone)
            .env("PATH", &path)
            .env("CARGO_HOME", place("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", place("RUSTUP_HOME", ".rustup"))
            .env("CARGO_INSTALL_ROOT", &installed)
            .env("CARGO_TARGET_DIR", &target)
            // The last touches of a release take as long as all the rest.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .within(std::time::Duration::from_secs(1800))
            .run()
    };
    let output = run(&block("cargo install")).succeeds();
    assert_eq!(output.out(), "", "{output:?}");
    let output = output.says([
        sandbox.store().to_str().unwrap(),
        sandbox.identity().to_str().unwrap(),
    ]);
    drop(output);

    // What the README shows next, with the binary that it installed.
    let get = run("posixage get demo/token");
    assert_eq!(get.succeeds_silently().out(), "correct horse");
    let missing = run("posixage get demo/tokn");
    missing.fails(3).says(["posixage: no secret demo/tokn"]);

    let auths = r#"{"auths":{"registry.example.com":{"auth":"em9lOmNhbmFyeQ=="}}}"#;
    let config = sandbox.file("home/.docker/config.json", auths);
    run("posixage docker setup; git config --global credential.helper posixage").succeeds();
    assert!(!fs::read_to_string(&config).unwrap().contains("em9l"));
    run(&block("cargo uninstall")).succeeds();
    assert!(fs::read_to_string(&config).unwrap().contains("em9l"));
    let settings = fs::read_to_string(sandbox.home().join(".gitconfig")).unwrap_or_default();
    assert!(!settings.contains("helper"), "{settings}");
    assert!(!installed.join("bin/posixage").exists());
    assert!(sandbox.identity().is_file(), "the key stays");
}

/// A home with two secrets, and a shell in it.
fn two_secrets() -> (Sandbox, impl Fn(&Sandbox, &str) -> Program) {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("demo/token", "correct horse");
    let set = ["set", "--metadata", "user=zoe", "db/password"];
    sandbox.posixage(set).input("battery\n").run().succeeds();
    (sandbox, |sandbox, script| {
        sandbox.client("sh").args(["-euc", script])
    })
}

#[track_caller]
fn assert_both_are_there(sandbox: &Sandbox) {
    assert_eq!(sandbox.get("demo/token"), b"correct horse");
    assert_eq!(sandbox.get("db/password"), b"battery");
    let metadata = sandbox.run(["get", "--metadata", "db/password"]);
    assert_eq!(metadata.out().trim(), r#"{"user":"zoe"}"#);
}

#[test]
fn backup_and_restore_work_word_for_word() {
    let (here, shell) = two_secrets();
    shell(&here, &block("-czf ~/store.tar.gz")).run().succeeds();
    shell(&here, &block("key-for-the-safe.txt"))
        .run()
        .succeeds();
    let there = Sandbox::new();
    for file in ["store.tar.gz", "key-for-the-safe.txt"] {
        let content = fs::read(here.home().join(file)).unwrap();
        there.file(Path::new("home").join(file), content);
    }
    shell(&there, &block("-xpzf ~/store.tar.gz"))
        .run()
        .succeeds();
    assert_both_are_there(&there);
}

#[test]
fn the_move_to_another_machine_works_word_for_word() {
    let (here, shell) = two_secrets();
    let there = Sandbox::new();
    // What ssh would do, with the other machine's home.
    let ssh = format!(
        "#!/bin/sh\nshift; HOME='{0}'; export HOME; cd \"$HOME\"; exec \"$@\"\n",
        there.home().display()
    );
    let ssh = here.file("home/bin/ssh", ssh);
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!("PATH=\"$HOME/bin:$PATH\"; {}", block("ssh other"));
    shell(&here, &script).run().succeeds();
    assert_both_are_there(&there);
}

#[test]
fn a_change_of_the_key_works_word_for_word() {
    let _ = tools::need("age", "age");
    let (sandbox, shell) = two_secrets();
    let before = fs::read(sandbox.identity()).unwrap();
    shell(&sandbox, &block("age-keygen")).run().succeeds();
    assert_both_are_there(&sandbox);
    assert_ne!(fs::read(sandbox.identity()).unwrap(), before);
    let old = sandbox.identity().with_file_name("old.txt");
    assert_eq!(fs::read(&old).unwrap(), before);
    let get = ["-i", old.to_str().unwrap(), "get", "demo/token"];
    sandbox.run(get).fails(5);
}

#[test]
fn the_test_command_can_be_run() {
    assert_eq!(block("tests/run").trim(), "tests/run");
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
