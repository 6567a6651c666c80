//! Claim: a key or a password that stands where something else belongs is not printed.

use posixage_tests::{Output, Program, Sandbox};

const AGE: &str = "AGE-SECRET-KEY-1CANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARY";
const PEM: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACANARY\n-----END OPENSSH PRIVATE KEY-----\n";
const PASSWORD: &str = "canary-horse";
const LONG: &str = "canary/horse:battery staple";

/// Fails, and says nothing that was in `secret`.
#[track_caller]
fn is_hidden(output: Output, secret: &str) -> Output {
    assert!(!output.status.success(), "{output:?}");
    let said = format!("{}{}", output.out(), output.err());
    assert!(!said.to_lowercase().contains("canary"), "{secret}: {said}");
    output
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    sandbox
}

#[test]
fn a_key_in_the_place_of_a_path_is_hidden_and_its_place_named() {
    let sandbox = sandbox();
    for secret in [AGE, PEM, PASSWORD, LONG, &"canary".repeat(100)] {
        let get = |args: &[&str]| sandbox.posixage(args).args(["get", "x"]);
        let option = format!("--identity={secret}");
        let by_option = is_hidden(get(&[&option]).run(), secret);
        by_option.says(["-i", "POSIXAGE_IDENTITY_KEY"]);
        is_hidden(get(&["-v", &option]).run(), secret);
        let by_variable = get(&[]).env("POSIXAGE_IDENTITY", secret).run();
        is_hidden(by_variable, secret).says(["POSIXAGE_IDENTITY", "POSIXAGE_IDENTITY_KEY"]);
        sandbox.config(&format!("identities = [{secret:?}]"));
        is_hidden(get(&[]).run(), secret).says(["config.toml"]);
        sandbox.config("");
        let init = ["--store", "other", &option, "init"];
        is_hidden(sandbox.run(init), secret);
        assert!(!sandbox.home().join("other").exists());
    }
}

#[test]
fn a_password_in_the_place_of_a_path_is_hidden() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "1"];
    sandbox.run(init).succeeds();
    let with = |program: Program| program.env("POSIXAGE_PASSWORD", PASSWORD);
    with(sandbox.posixage(["set", "x"]).input("value"))
        .run()
        .succeeds();
    for secret in [PASSWORD, LONG, AGE] {
        for command in [["get", "x"], ["set", "y"]] {
            let run = |args: &[&str]| sandbox.posixage(args).args(command).input("value");
            let by_option = run(&["--password-file", secret]).run();
            is_hidden(by_option, secret).says(["--password-file"]);
            let by_variable = run(&[]).env("POSIXAGE_PASSWORD_FILE", secret).run();
            is_hidden(by_variable, secret).says(["POSIXAGE_PASSWORD_FILE"]);
            sandbox.config(&format!("password-command = [{secret:?}]"));
            is_hidden(run(&["-v"]).run(), secret).says(["password command"]);
            sandbox.config("");
        }
    }
}

#[test]
fn a_malformed_config_is_not_quoted() {
    let sandbox = sandbox();
    for toml in [
        format!("identities = {PASSWORD:?}"),
        format!("identities = {AGE:?}"),
        format!("{PASSWORD} = 1"),
        format!("store = [{PASSWORD:?}]"),
        format!("password-command = {{ {PASSWORD} = 1 }}"),
        format!("\n\nidentities = [{PASSWORD}]"),
        format!("max-scrypt-work-factor = {PASSWORD:?}"),
    ] {
        sandbox.config(&toml);
        is_hidden(sandbox.run(["get", "x"]), &toml).says(["config.toml: line ", "identities ="]);
    }
}

#[test]
fn a_key_that_stands_anywhere_is_hidden_by_its_form() {
    let sandbox = sandbox();
    for args in [
        &["get", AGE] as &[&str],
        &["rm", AGE],
        &["-v", "get", AGE],
        &["list", AGE],
        &[AGE],
        &["get", "x", AGE],
        &["--store", AGE, "list"],
        &["--store", PEM, "get", "x"],
        &["init", "--recipient", AGE],
        &["init", "--recipient", PEM],
        &["set", PEM],
        &["run", "--env-file", AGE, "--", "true"],
        &["lock", "--", AGE],
        &["run", "--", AGE],
        &["docker", "setup", "--auth-file", AGE],
        &["--lock-timeout", AGE, "list"],
    ] {
        if args[0] == "list" {
            // A pattern that matches nothing is no failure, and nothing is said.
            assert!(!sandbox.run(args).err().contains("CANARY"));
            continue;
        }
        is_hidden(sandbox.run(args), AGE);
    }
}

#[test]
fn a_helper_hides_it_too() {
    let sandbox = sandbox();
    let login = r#"{"ServerURL":"r","Username":"zoe","Secret":"s"}"#;
    let store = sandbox.helper("docker-credential-posixage").arg("store");
    store.input(login).run().succeeds();
    for secret in [AGE, PASSWORD] {
        let helper = sandbox.helper("docker-credential-posixage").arg("get");
        is_hidden(
            helper.input("r").env("POSIXAGE_IDENTITY", secret).run(),
            secret,
        );
    }
}
