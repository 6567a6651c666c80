//! Requests to the helper of Docker and its kin, in their form.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Output, Program, Sandbox};

/// The program that they look for.
pub const HELPER: &str = "docker-credential-posixage";

/// Its answer where there is no credential.
pub const NOT_FOUND: &str = "credentials not found in native keychain\n";

/// The helper with an action and a request.
pub fn helper(sandbox: &Sandbox, action: &str, input: impl Into<Vec<u8>>) -> Program {
    sandbox.helper(HELPER).arg(action).input(input)
}

/// What is sent to store a credential.
#[must_use]
pub fn request(url: &str, username: &str, secret: &str) -> String {
    json!({"ServerURL": url, "Username": username, "Secret": secret}).to_string()
}

/// The line that answers a `get`.
#[must_use]
pub fn answer_line(url: &str, username: &str, secret: &str) -> String {
    format!("{{\"ServerURL\":\"{url}\",\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}\n")
}

/// Stores a credential where there is a store.
#[track_caller]
pub fn store(sandbox: &Sandbox, url: &str, username: &str, secret: &str) {
    let output = helper(sandbox, "store", request(url, username, secret)).run();
    assert_eq!(output.succeeds_silently().out(), "");
}

/// The user name and the secret for a URL.
///
/// # Panics
/// It fails, or answers with anything but an object of three texts.
#[must_use]
#[track_caller]
pub fn get(sandbox: &Sandbox, url: &str) -> Option<(String, String)> {
    let output = helper(sandbox, "get", url).run();
    if output.status.code() == Some(1) && output.out() == NOT_FOUND {
        return None;
    }
    let output = output.succeeds_silently();
    assert!(output.stdout.ends_with(b"}\n"), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
    assert_eq!(answer["ServerURL"], url.trim());
    assert_eq!(answer.as_object().expect("an object").len(), 3);
    let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
    Some((text("Username"), text("Secret")))
}

/// What [`get`] returns.
#[must_use]
pub fn pair(username: &str, secret: &str) -> Option<(String, String)> {
    Some((username.into(), secret.into()))
}

/// The URLs that it lists, with their user names.
///
/// # Panics
/// It fails.
#[must_use]
#[track_caller]
pub fn list(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let output = helper(sandbox, "list", "unused").run().succeeds_silently();
    serde_json::from_slice(&output.stdout).expect("an answer")
}

/// It exited with 1 and one of the protocol's own answers.
#[track_caller]
pub fn answers(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((output.out().as_str(), output.err().as_str()), (text, ""));
}

/// It exited with 1 and said why on standard output, as clients want it, and on standard error, where a
/// person sees it although the client says nothing.
#[track_caller]
pub fn refuses(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.out().starts_with("posixage: "), "{output:?}");
    assert!(output.out().contains(text), "{output:?}");
    assert_eq!(output.out(), output.err());
}
