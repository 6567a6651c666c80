//! Claim: no login is lost, whatever `posixage docker setup` and `--undo` find in the store and in the
//! file.

use std::{fs, path::Path};

use posixage_tests::{
    Program, Sandbox,
    docker::{assert_damaged, assert_encrypted, docker, setup, undo, with_config},
    docker_helper::{get, pair, store},
    shape,
    tree::Snapshot,
};

/// zoe:canary-1
const ZOE: &str = r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"}}}"#;
/// bob:canary-2
const BOB: &str = r#"{"auths":{"h":{"auth":"Ym9iOmNhbmFyeS0y"}}}"#;

/// `posixage docker setup` of the config.json in a directory of its own.
fn setup_of(sandbox: &Sandbox, directory: &str, args: &[&str]) -> Program {
    let directory = sandbox.path().join(directory);
    docker(sandbox, &[&["setup"], args].concat()).env("DOCKER_CONFIG", directory)
}

fn auth_file(sandbox: &Sandbox, path: &Path, args: &[&str]) -> Program {
    let setup = docker(sandbox, &["setup", "--auth-file"]);
    setup.arg(path).args(args)
}

#[test]
fn two_files_with_two_accounts_do_not_overwrite_each_other() {
    let sandbox = Sandbox::new();
    let a = sandbox.file("a/config.json", ZOE);
    let b = sandbox.file("b/config.json", BOB);
    setup_of(&sandbox, "a", &[]).run().succeeds();
    let before = sandbox.run(["list"]).out();
    for args in [&["--dry-run"][..], &[]] {
        let refused = setup_of(&sandbox, "b", args).run().fails(4);
        let refused = refused.says(["h: the store has another credential (zoe)", "(bob)"]);
        assert!(refused.hint().contains("docker logout h"), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(&b).unwrap(), BOB);
    assert_eq!(sandbox.run(["list"]).out(), before);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    setup_of(&sandbox, "a", &["--undo"]).run().succeeds();
    assert_eq!(fs::read_to_string(&a).unwrap(), ZOE);
    setup_of(&sandbox, "b", &[]).run().succeeds();
    assert_eq!(get(&sandbox, "h"), pair("bob", "canary-2"));
}

#[test]
fn dockers_and_podmans_logins_do_not_overwrite_each_other() {
    let sandbox = with_config(ZOE);
    let podman = sandbox.file("auth.json", BOB);
    setup(&sandbox);
    let out = auth_file(&sandbox, &podman, &[]).run().succeeds().out();
    let stays = "stays       h: the store has another credential (zoe)";
    assert!(out.contains(stays), "{out}");
    assert_eq!(fs::read_to_string(&podman).unwrap(), BOB);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), ZOE);
    assert_eq!(fs::read_to_string(&podman).unwrap(), BOB);
}

#[test]
fn setup_does_not_replace_a_stored_login_by_the_files() {
    let sandbox = with_config(ZOE).initialised();
    store(&sandbox, "h", "zoe", "newer");
    docker(&sandbox, &["setup"]).run().fails(4);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "newer"));
    assert_eq!(sandbox.docker_config_text(), ZOE);
    docker(&sandbox, &["setup", "--undo"]).run().fails(3);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "newer"));
}

#[test]
fn what_two_files_share_stays_until_both_are_undone() {
    for first in [true, false] {
        let sandbox = with_config(ZOE);
        let podman = sandbox.file("auth.json", ZOE);
        setup(&sandbox);
        auth_file(&sandbox, &podman, &[]).run().succeeds();
        assert_encrypted(&sandbox);
        let undo_podman = auth_file(&sandbox, &podman, &["--undo"]);
        if first {
            assert!(undo(&sandbox).out().contains("kept        h: "));
        } else {
            undo_podman.clone().run().succeeds();
        }
        assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
        if first {
            undo_podman.run().succeeds();
        } else {
            undo(&sandbox);
        }
        assert_eq!(sandbox.docker_config_text(), ZOE);
        assert_eq!(fs::read_to_string(&podman).unwrap(), ZOE);
        shape::assert_store(&sandbox.store(), []);
    }
}

#[test]
fn setups_and_undos_of_two_files_at_once_lose_nothing() {
    let sandbox = with_config(ZOE).initialised();
    let podman = sandbox.file("auth.json", ZOE);
    for _ in 0..3 {
        for args in [&[][..], &["--undo"]] {
            let of_docker = docker(&sandbox, &[&["setup"], args].concat());
            let of_podman = auth_file(&sandbox, &podman, args);
            let running = [&of_docker, &of_podman, &of_docker, &of_podman];
            for running in running.map(|program| program.clone().start()) {
                let output = running.wait();
                // The second undo finds nothing to do.
                assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
            }
            if args.is_empty() {
                assert_encrypted(&sandbox);
                assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
            }
        }
        assert_eq!(sandbox.docker_config_text(), ZOE);
        assert_eq!(fs::read_to_string(&podman).unwrap(), ZOE);
        shape::assert_store(&sandbox.store(), []);
    }
}

#[test]
fn json_that_docker_reads_in_another_way_is_refused() {
    for text in [
        r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"},"h":{"auth":"em9lOmNhbmFyeS0x"}}}"#,
        r#"{"Auths":{"h":{"Auth":"em9lOmNhbmFyeS0x"}}}"#,
        r#"{"auths":{"h":{"Auth":"em9lOmNhbmFyeS0x"}}}"#,
        r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x","auth":"em9lOmNhbmFyeS0x"}}}"#,
        r#"{"auths":{"h":{"paſſword":"canary-1","username":"zoe"}}}"#,
        r#"{"credsstore":"pass"}"#,
        r#"{"credHelpers":{"h":"gcloud","h":"pass"}}"#,
        r#"{"CREDHELPERS":{}}"#,
    ] {
        assert_damaged(text);
        let sandbox = with_config(ZOE);
        setup(&sandbox);
        fs::write(sandbox.docker_config(), text).unwrap();
        docker(&sandbox, &["setup", "--undo"]).run().fails(7);
        assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
        assert_eq!(sandbox.docker_config_text(), text);
    }
}

#[test]
fn what_docker_would_no_longer_find_is_refused_first() {
    for entry in [
        r#"{"auth":"!"}"#,
        r#"{"auth":"em9lOmNhbmFyeS0x","identitytoken":"t"}"#,
        r#"{"password":"canary-1"}"#,
    ] {
        let config = format!(r#"{{"auths":{{"h":{entry},"g":{{"auth":"em9lOmNhbmFyeS0x"}}}}}}"#);
        let sandbox = with_config(&config);
        let before = Snapshot::of(&sandbox.home());
        for args in [&["setup", "--dry-run"][..], &["setup"]] {
            let refused = docker(&sandbox, args).run().fails(1).says(["h has "]);
            assert!(refused.hint().contains("docker logout h"), "{refused:?}");
            assert!(!refused.err().contains("canary"), "{refused:?}");
        }
        assert_eq!(Snapshot::of(&sandbox.home()), before);
        // Where docker reads it from the file in any case, or not at all, nothing is lost.
        for more in [
            r#""credHelpers":{"h":""}"#,
            r#""credHelpers":{"h":"gcloud"}"#,
            r#""credsStore":"pass""#,
        ] {
            let config = format!("{},{more}}}", &config[..config.len() - 1]);
            let sandbox = with_config(&config);
            let out = setup(&sandbox).out();
            assert!(out.contains("stays       h: "), "{out}");
            undo(&sandbox);
            assert_eq!(sandbox.docker_config_text(), config);
        }
    }
}

#[test]
fn base64_in_lines_is_read_as_docker_reads_it() {
    let sandbox = with_config(r#"{"auths":{"h":{"auth":"em9lOm\nNhbmF\r\nyeS0x"}}}"#);
    setup(&sandbox);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), ZOE);
}

#[test]
fn a_later_login_goes_back_to_where_docker_looks_for_it() {
    let config = r#"{"auths":{"https://old/v1/":{"auth":"em9lOmNhbmFyeS0x"}}}"#;
    let sandbox = with_config(config);
    setup(&sandbox);
    // docker login old
    store(&sandbox, "old", "bob", "canary-2");
    let now = sandbox.docker_config_text();
    let now = now.replace(
        r#""https://old/v1/":{}"#,
        r#""https://old/v1/":{},"old":{}"#,
    );
    fs::write(sandbox.docker_config(), now).unwrap();
    undo(&sandbox);
    let expected = r#"{"auths":{"https://old/v1/":{},"old":{"auth":"Ym9iOmNhbmFyeS0y"}}}"#;
    assert_eq!(sandbox.docker_config_text(), expected);
}

#[test]
fn an_empty_creds_store_is_none() {
    let sandbox = with_config(r#"{"credsStore":""}"#);
    let output = setup(&sandbox);
    assert!(
        output.out().contains("credsStore  posixage\n"),
        "{output:?}"
    );
    assert!(!output.err().contains("stays there"), "{output:?}");
    let out = undo(&sandbox).out();
    assert!(out.contains("credsStore  not set\n"), "{out}");
}

#[test]
fn two_entries_for_one_registry_are_left_and_named() {
    const AUTH: &str = r#"{"auth":"em9lOmNhbmFyeS0x"}"#;
    // Docker would take one of them or the other.
    let config = format!(
        r#"{{"auths":{{"https://h/v1/":{AUTH},"http://h/v1/":{{"auth":"Ym9iOmNhbmFyeS0y"}},"g":{AUTH}}}}}"#
    );
    let sandbox = with_config(&config);
    let before = Snapshot::of(&sandbox.home());
    for args in [&["setup", "--dry-run"][..], &["setup"]] {
        let refused = docker(&sandbox, args).run().fails(1);
        drop(refused.says(["https://h/v1/", "http://h/v1/", "docker logout"]));
    }
    assert_eq!(Snapshot::of(&sandbox.home()), before);
    // It goes by the name that it asks for, if there is one; the others are passed over.
    let config = format!(
        r#"{{"auths":{{"https://h/v1/":{{"auth":"Ym9iOmNhbmFyeS0y"}},"h/team":{AUTH},"h":{AUTH},"docker.io":{AUTH},"https://index.docker.io/v1/":{AUTH}}}}}"#
    );
    let sandbox = with_config(&config);
    let out = setup(&sandbox).out();
    for line in [
        "moved       h (zoe)",
        "moved       https://index.docker.io/v1/ (zoe)",
        "stays       https://h/v1/: docker goes by the entry h",
        "stays       h/team: docker goes by the entry h",
        "stays       docker.io: docker goes by the entry https://index.docker.io/v1/",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    let ids = sandbox.run(["list", "docker/**"]).out();
    assert_eq!(ids, "docker/h\ndocker/https:/_/index.docker.io/v1/_\n");
    let text = sandbox.docker_config_text();
    assert!(text.contains(r#""https://h/v1/":{"auth":"Ym9iOmNhbmFyeS0y"},"h/team":{"auth""#));
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), config);
}

#[test]
fn of_an_auth_file_a_registry_with_parts_is_left_and_named() {
    const AUTH: &str = r#"{"auth":"em9lOmNhbmFyeS0x"}"#;
    let config = format!(
        r#"{{"auths":{{"quay.io":{AUTH},"quay.io/spam":{AUTH},"quay.io/ham":{{}},"h":{AUTH},"https://twice":{AUTH},"twice":{AUTH},"docker.io":{AUTH}}}}}"#
    );
    let sandbox = Sandbox::new();
    let file = sandbox.file("auth.json", &config);
    let out = auth_file(&sandbox, &file, &[]).run().succeeds().out();
    for line in [
        "stays       quay.io: a helper would hide the entry of a part of it, quay.io/",
        "stays       quay.io/spam: is for a part of a registry",
        "stays       https://twice: is not the only entry for its registry; twice is another",
        "stays       twice: is not the only entry for its registry; https://twice is another",
        "moved       h (zoe)",
        "moved       docker.io (zoe)",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let text = fs::read_to_string(&file).unwrap();
    for kept in ["quay.io", "quay.io/spam", "https://twice", "twice"] {
        assert!(text.contains(&format!(r#""{kept}":{AUTH}"#)), "{text}");
    }
    let now: serde_json::Value = serde_json::from_str(&text).unwrap();
    let helpers = serde_json::json!({"h": "posixage", "docker.io": "posixage"});
    assert_eq!(now["credHelpers"], helpers);
    auth_file(&sandbox, &file, &["--undo"]).run().succeeds();
    assert_eq!(fs::read_to_string(&file).unwrap(), config);
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn a_token_for_a_user_name_is_shown_nowhere() {
    // canary-9:canary-9 at one, ghp_canary0123:x-oauth-basic at the other.
    let config = r#"{"auths":{"h":{"auth":"Y2FuYXJ5LTk6Y2FuYXJ5LTk="},"https://ghp_canary0123@g/":{"auth":"Z2hwX2NhbmFyeTAxMjM6eC1vYXV0aC1iYXNpYw=="}}}"#;
    let sandbox = with_config(config);
    let status = docker(&sandbox, &["status"]).run();
    let dry = docker(&sandbox, &["setup", "--dry-run"]).run();
    let done = setup(&sandbox);
    fs::write(sandbox.docker_config(), config.replace("LTk", "LTg")).unwrap();
    let refused = docker(&sandbox, &["setup"]).run();
    fs::write(sandbox.docker_config(), "{}").unwrap();
    let listed = sandbox.run(["list", "--long"]);
    for output in [status, dry, done, refused, listed] {
        let said = output.out() + &output.err();
        assert!(!said.contains("canary"), "{output:?}");
    }
    let home = Snapshot::of(&sandbox.home());
    assert!(!home.contains(b"canary") && !home.contains(b"Y2FuYXJ5"));
    assert_eq!(get(&sandbox, "h"), pair("canary-9", "canary-9"));
    assert_eq!(get(&sandbox, "g"), pair("ghp_canary0123", "x-oauth-basic"));
}
