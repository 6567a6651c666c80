//! One run opens the store once, whichever keys it turns out to need.

use posixage_tests::{
    Program, Sandbox,
    docker_helper::{self, request},
    git_credential, strace, tools,
};

/// Runs the program, and counts how often it opens the root by its path, and reads the store's
/// recipients.
#[track_caller]
fn opens_once(sandbox: &Sandbox, program: Program) {
    let (output, trace) = strace::calls(sandbox, program, "openat");
    output.succeeds();
    let root = format!("\"{}\"", sandbox.store().display());
    let count = |name: &str| {
        let is_opened = |line: &&str| line.contains(name) && !line.contains("ENOENT");
        trace.lines().filter(is_opened).count()
    };
    let counted = (count(&root), count("\".posixage.toml\""));
    assert_eq!(counted, (1, 1), "{trace}");
}

#[test]
fn a_command_opens_the_store_once() {
    if !tools::may_trace() {
        return tools::left_out("strace");
    }
    let sandbox = Sandbox::new().initialised();
    let command = |words: &[&str]| sandbox.posixage(words).input("value");
    for words in [
        &["set", "a/b"] as &[&str],
        &["set", "--force", "a/b"],
        &["get", "a/b"],
        &["get", "--metadata", "a/b"],
        &["list", "--long"],
        &["status"],
        &["verify", "--decrypt"],
        &["run", "--", "true"],
        &["lock", "--", "true"],
        &["rm", "a/b"],
    ] {
        opens_once(&sandbox, command(words).env("TOKEN", "se://a/b"));
    }
}

#[test]
fn a_store_with_a_password_is_opened_once() {
    if !tools::may_trace() {
        return tools::left_out("strace");
    }
    let sandbox = Sandbox::new();
    let password = sandbox.file("home/password", "correct horse");
    let command = |words: &[&str]| {
        let program = sandbox.posixage(words).input("value");
        program.env("POSIXAGE_PASSWORD_FILE", &password)
    };
    let init = ["init", "--password", "--scrypt-work-factor", "1"];
    command(&init).run().succeeds();
    opens_once(&sandbox, command(&["set", "a/b"]));
    opens_once(&sandbox, command(&["set", "c/d"]));
    opens_once(&sandbox, command(&["get", "c/d"]));
}

#[test]
fn a_helper_opens_the_store_once() {
    if !tools::may_trace() {
        return tools::left_out("strace");
    }
    let sandbox = Sandbox::new().initialised();
    let url = "registry.example.com";
    let login = request(url, "zoe", "hunter2");
    for (action, input) in [
        ("store", &*login),
        ("list", ""),
        ("get", url),
        ("erase", url),
    ] {
        opens_once(&sandbox, docker_helper::helper(&sandbox, action, input));
    }
    let place = "protocol=https\nhost=git.example.com\nusername=zoe\npassword=hunter2\n";
    for operation in ["store", "store", "get", "erase"] {
        opens_once(&sandbox, git_credential::helper(&sandbox, operation, place));
    }
    for action in [
        "\"login\",\"token\":\"hunter2\"",
        "\"get\",\"operation\":\"read\"",
        "\"logout\"",
    ] {
        let request = format!(
            "{{\"v\":1,\"registry\":{{\"index-url\":\"https://crates.example.com\"}},\"kind\":{action}}}\n"
        );
        let helper = sandbox.helper("cargo-credential-posixage");
        opens_once(&sandbox, helper.arg("--cargo-plugin").input(request));
    }
}
