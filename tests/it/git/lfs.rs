//! Claim: Git LFS, which asks for credentials once more, is given those in the store.

use std::fs;

use posixage_tests::{
    Program, Sandbox,
    git_credential::{approve, unattended_git},
    git_server::GitServer,
    tools,
    tree::Snapshot,
};

const PASSWORD: &str = "canary-of-zoe";

#[test]
fn large_files_are_pushed_and_fetched() {
    let _ = tools::need("git-lfs", "git-lfs");
    let sandbox = Sandbox::new();
    let server = GitServer::start(&sandbox);
    server.repository("a.git", "zoe", PASSWORD);
    let git = |args: &[&str]| -> Program { unattended_git(&sandbox, &["posixage"]).args(args) };
    // LFS reads its configuration from git's files only.
    for (key, value) in [
        ("credential.helper", "posixage"),
        ("user.name", "Zoe"),
        ("user.email", "zoe@example.com"),
    ] {
        git(&["config", "--global", key, value]).run().succeeds();
    }
    git(&["lfs", "install", "--skip-repo"]).run().succeeds();
    let url = server.url("a.git");
    let clone = |to: &str| git(&["clone", "--quiet", &url, to]).run();
    assert!(!clone("refused").status.success(), "the control");

    let described = format!("url={url}\nusername=zoe\npassword={PASSWORD}\n\n");
    approve(&sandbox, &described);
    clone("one").succeeds();
    let one = sandbox.home().join("one");
    let content = vec![7; 1 << 16];
    fs::write(one.join("large.bin"), &content).unwrap();
    for args in [
        &["lfs", "install", "--local"][..],
        &["lfs", "track", "*.bin"],
        &["add", "."],
        &["commit", "--quiet", "--message", "large"],
    ] {
        git(args).current_dir(&one).run().succeeds();
    }
    drop(server.seen());
    let push = git(&["push", "--quiet", "origin", "HEAD"]).current_dir(&one);
    push.run().succeeds();
    // git's own requests, LFS's batch, and the object.
    assert!(server.seen().iter().flatten().count() > 3);

    clone("two").succeeds();
    let fetched = fs::read(sandbox.home().join("two/large.bin")).unwrap();
    assert!(fetched == content, "{} bytes", fetched.len());
    let home = Snapshot::of(&sandbox.home());
    // zoe:canary in base64, too.
    for secret in [PASSWORD, "em9lOmNhbmFyeS1vZi"] {
        assert!(
            !home.contains(secret.as_bytes()),
            "{secret} is in the clear"
        );
    }
}
