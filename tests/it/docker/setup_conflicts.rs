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
