//! `git credential`, and the helper as git runs it.

use crate::{Program, Sandbox, tools};

/// git with these helpers, and no terminal to ask on.
pub fn unattended_git(sandbox: &Sandbox, helpers: &[&str]) -> Program {
    let helper = |helper: &&str| ["-c".into(), format!("credential.helper={helper}")];
    sandbox
        .client(tools::need("git", "git"))
        .args(helpers.iter().flat_map(helper))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
}

/// `git credential` with our helper.
pub fn program(sandbox: &Sandbox, action: &str, description: &str) -> Program {
    unattended_git(sandbox, &["posixage"])
        .args(["credential", action])
        .input(description)
}

/// Tells git that a credential is good.
#[track_caller]
pub fn approve(sandbox: &Sandbox, description: &str) {
    let approve = program(sandbox, "approve", description).run();
    assert_eq!(approve.succeeds().out(), "");
}

/// Tells git that a credential is not good.
#[track_caller]
pub fn reject(sandbox: &Sandbox, description: &str) {
    let reject = program(sandbox, "reject", description).run();
    assert_eq!(reject.succeeds_silently().out(), "");
}

/// What git fills in; none if it would have to ask.
#[track_caller]
#[must_use]
pub fn fill(sandbox: &Sandbox, description: &str) -> Option<String> {
    let output = program(sandbox, "fill", description).run();
    if output.status.success() {
        return Some(output.succeeds_silently().out());
    }
    let output = output.says(["terminal prompts disabled"]);
    assert_eq!(output.err().lines().count(), 1, "{output:?}");
    None
}

/// The helper alone.
pub fn helper(sandbox: &Sandbox, operation: &str, description: impl Into<Vec<u8>>) -> Program {
    let helper = sandbox.helper("git-credential-posixage").arg(operation);
    helper.input(description)
}

/// What the helper answers to `get`.
#[track_caller]
#[must_use]
pub fn get(sandbox: &Sandbox, description: &str) -> String {
    let output = helper(sandbox, "get", description).run();
    output.succeeds_silently().out()
}

/// Has the helper keep a credential.
#[track_caller]
pub fn store(sandbox: &Sandbox, description: impl Into<Vec<u8>>) {
    helper(sandbox, "store", description).run().succeeds();
}

/// The ids in the store, one a line.
#[track_caller]
#[must_use]
pub fn ids(sandbox: &Sandbox) -> String {
    sandbox.run(["list"]).succeeds_silently().out()
}
