//! `posixage status`. What a person reads is in `shown/state.txt`.

use std::ffi::OsString;

use posixage_tests::{Program, Sandbox, golden, keys, tools};
use serde_json::{Value, json};

fn status(sandbox: &Sandbox, args: &[&str]) -> Value {
    let output = sandbox.posixage(["status", "--json"]).args(args).run();
    serde_json::from_slice(&output.succeeds_silently().stdout).expect("JSON")
}

#[test]
fn says_where_how_many_and_which_key_fits() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let status = status(&sandbox, &[]);
    assert_eq!(status["store"], sandbox.store().to_str().unwrap());
    assert_eq!(status["secrets"], 1);
    assert_eq!(status["recipients"].as_array().unwrap().len(), 1);
    assert_eq!(status["password"], false);
    assert_eq!(status["keys"][0]["type"], "age");
    assert_eq!(status["keys"][0]["fits"], true);
    assert_eq!(status["lock"]["held"], false);
    assert_eq!(status["lock"]["holders"], json!([]));
}

#[test]
fn a_key_that_does_not_fit_is_said_not_to() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    let status = status(&sandbox, &["-i", stranger.to_str().unwrap()]);
    assert_eq!(status["keys"].as_array().unwrap().len(), 1);
    assert_eq!(status["keys"][0]["fits"], false);
}

#[test]
fn keys_are_tried_on_a_store_of_the_reference() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "ssh-rsa");
    let keys = ["ssh-ed25519", "ssh-rsa"].map(|name| golden::key(&sandbox, name));
    let [wrong, right] = keys.each_ref().map(|key| key.to_str().unwrap());
    let status = status(
        &sandbox,
        &["--store", store.to_str().unwrap(), "-i", wrong, "-i", right],
    );
    assert_eq!(status["recipients"], Value::Null);
    assert_eq!(status["secrets"], 3);
    let fits: Vec<&Value> = status["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| &k["fits"])
        .collect();
    assert_eq!(fits, [&json!(false), &json!(true)]);
}

#[test]
fn no_passphrase_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox
        .run([
            "init",
            "--recipient",
            &keys::recipient("ssh-rsa-locked.pub"),
        ])
        .succeeds();
    let fits = |name: &str| {
        let key = keys::locked(&sandbox, name);
        status(&sandbox, &["-i", key.to_str().unwrap()])["keys"][0]["fits"].clone()
    };
    // An SSH key shows its public half without its passphrase; an age identity does not.
    assert_eq!(fits("ssh-rsa-locked"), json!(true));
    assert_eq!(fits("ssh-ed25519-locked"), json!(false));
    assert_eq!(fits("age-locked"), Value::Null);
}

#[test]
fn names_the_lock_holder_without_waiting() {
    let sandbox = Sandbox::new().initialised();
    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let output = sandbox
        .posixage(["status", "--json", "--lock-timeout", "0"])
        .run();
    let status: Value = serde_json::from_slice(&output.succeeds().stdout).unwrap();
    let holders = status["lock"]["holders"].as_array().unwrap();
    assert_eq!(holders.len(), 1, "{status}");
    assert_eq!(holders[0]["pid"], holder.id());
    assert_eq!(holders[0]["mode"], "exclusive");
    assert!(
        holders[0]["command"].as_str().unwrap().contains("posixage"),
        "{status}"
    );
    let text = sandbox
        .run(["status", "--lock-timeout", "0"])
        .succeeds()
        .out();
    assert!(text.contains(&holder.id().to_string()), "{text}");
    holder.write(b"done");
    holder.wait().succeeds();
}

#[test]
fn without_a_store_says_how_to_make_one() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["status"]).fails(1);
    assert!(output.hint().contains("posixage init"));
}

/// What a program needs to be in namespaces of its own, if this user may have them.
fn namespaces(which: &[&str]) -> Option<Vec<OsString>> {
    let mut words = vec![tools::need("unshare", "util-linux").into()];
    if !tools::is_root() {
        words.extend(["--user", "--map-root-user"].map(OsString::from));
    }
    words.extend(which.iter().map(OsString::from));
    let (unshare, options) = words.split_first()?;
    let may = Program::new(unshare).args(options).arg("true").run();
    may.status.success().then_some(words)
}

#[test]
fn a_holder_outside_of_the_pid_namespace_is_said_to_be_there() {
    let Some(container) = namespaces(&["--pid", "--fork", "--mount-proc"]) else {
        tools::left_out("a PID namespace, which this user may not make");
        return;
    };
    let sandbox = Sandbox::new().initialised();
    let status = || sandbox.posixage(["status"]).behind(&container).run();
    assert!(status().succeeds().out().contains("lock        free\n"));
    for mode in [&[][..], &["--shared"]] {
        let lock = sandbox.posixage(["lock"]).args(mode);
        let mut holder = lock.args(["--", "sh", "-c", "echo held; cat"]).start();
        holder.wait_for("held");
        let text = status().succeeds().out();
        assert!(
            text.contains("lock        held, by which process cannot be seen"),
            "{text}"
        );
        let unlock = sandbox.posixage(["unlock"]).behind(&container);
        unlock.run().fails(2).says(["the lock is held"]);
        // Looking did no harm.
        holder.write(b"done");
        holder.wait().succeeds();
    }
}

/// Its files have another device and other inodes than the kernel's own.
#[test]
fn a_holder_on_overlayfs_is_named() {
    let Some(container) = namespaces(&["--mount", "--propagation=private"]) else {
        tools::left_out("a mount namespace, which this user may not make");
        return;
    };
    let sandbox = Sandbox::new();
    let script = r#"
        cd "$HOME" && mount -t tmpfs t . && cd "$HOME" && mkdir lower upper work over &&
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work o over &&
        "$@" --store over/store init >/dev/null 2>&1 &&
        "$@" --store over/store lock -- "$@" --store over/store status
    "#;
    let posixage = sandbox
        .posixage([""; 0])
        .in_shell(script)
        .behind(&container);
    let text = posixage.run().succeeds().out();
    assert!(text.contains("held by pid"), "{text}");
}

#[test]
fn a_password_at_hand_is_tried() {
    let sandbox = Sandbox::new();
    let init = ["init", "--password", "--scrypt-work-factor", "1"];
    sandbox.run(init).succeeds();
    let set = sandbox.posixage(["set", "x"]).input("value");
    set.env("POSIXAGE_PASSWORD", "right").run().succeeds();
    let fits = |password: &str| {
        let status = sandbox.posixage(["status", "--json"]);
        let output = status.env("POSIXAGE_PASSWORD", password).run();
        let status: Value = serde_json::from_slice(&output.succeeds().stdout).unwrap();
        assert_eq!(status["keys"][0]["type"], "password", "{status}");
        status["keys"][0]["fits"].clone()
    };
    assert_eq!(fits("right"), json!(true));
    assert_eq!(fits("wrong"), json!(false));
    // None is given: it would be asked for.
    assert_eq!(fits(""), Value::Null);
    sandbox.config("password-command = [\"false\"]");
    assert_eq!(fits(""), Value::Null);
}

#[test]
fn secrets_for_earlier_recipients_are_counted() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    assert_eq!(status(&sandbox, &[])["stale"], 0);
    // Another recipient from now on: what is there is not encrypted to it.
    let config = sandbox.store().join(".posixage.toml");
    let toml = std::fs::read_to_string(&config).unwrap();
    let other = keys::recipient("age-locked.pub");
    let toml = toml.replace("recipients = [", &format!("recipients = [{other:?}, "));
    std::fs::write(&config, toml).unwrap();
    sandbox.set("y", "value");
    let report = status(&sandbox, &[]);
    assert_eq!(report["stale"], 1, "{report}");
    assert_eq!(report["keys"][0]["fits"], true);
    let text = sandbox.run(["status"]).succeeds().out();
    assert!(
        text.contains("1 of 2 secrets: encrypted to others"),
        "{text}"
    );
}
