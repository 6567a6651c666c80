//! Claim: no login is lost, and none comes back, whatever `posixage docker setup` and `--undo` find in
//! the store and in the file, and whoever logs in or out while they work.

use std::{fs, path::Path};

use posixage::Id;
use posixage_tests::{
    Program, Sandbox,
    docker::{assert_encrypted, docker, setup, undo, with_config},
    docker_helper::{get, pair, store},
    shape, strace, tools,
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

/// Whether there is an entry for that server.
fn is_stored(sandbox: &Sandbox, server: &str) -> bool {
    let id: Id = format!("docker/{server}").parse().expect("an id");
    sandbox.store().join(id.directory_name()).exists()
}

/// Runs the program, and `act` once, as soon as it stands after a call with `when` true.
fn interrupted(program: Program, when: impl Fn(&str) -> bool, act: impl FnOnce()) {
    let mut act = Some(act);
    let output = strace::stopped_at_each_call(program, &[], |trace| {
        if let Some(act) = act.take_if(|_| when(trace)) {
            act();
        }
    });
    assert!(act.is_none(), "it never came to that: {output:?}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn two_files_with_two_accounts_at_one_registry_do_not_overwrite_each_other() {
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
fn dockers_login_and_podmans_at_one_registry_do_not_overwrite_each_other() {
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
fn a_login_that_is_in_the_store_is_not_overwritten_by_an_older_one_in_the_file() {
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
fn a_login_while_undo_works_is_not_lost() {
    if !tools::may_trace() {
        tools::left_out("a process stopped at its system calls, which takes root to trace");
        return;
    }
    let sandbox = with_config(ZOE);
    setup(&sandbox);
    let renamed = |trace: &str| trace.contains(".docker/config.json\") = 0");
    interrupted(docker(&sandbox, &["setup", "--undo"]), renamed, || {
        store(&sandbox, "h", "zoe", "newer");
    });
    assert_eq!(sandbox.docker_config_text(), ZOE);
    assert_eq!(get(&sandbox, "h"), pair("zoe", "newer"));
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
        let sandbox = with_config(text);
        let before = Snapshot::of(&sandbox.home());
        for args in [&["setup"][..], &["setup", "--dry-run"], &["status"]] {
            let output = docker(&sandbox, args).run().fails(7).says(["config.json"]);
            assert!(!output.err().contains("canary"), "{output:?}");
        }
        assert_eq!(Snapshot::of(&sandbox.home()), before, "{text:?}");
        let sandbox = with_config(ZOE);
        setup(&sandbox);
        fs::write(sandbox.docker_config(), text).unwrap();
        docker(&sandbox, &["setup", "--undo"]).run().fails(7);
        assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
        assert_eq!(sandbox.docker_config_text(), text);
    }
}

#[test]
fn what_docker_would_no_longer_find_is_refused_before_anything_is_done() {
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
fn a_file_with_plaintext_that_a_killed_run_left_is_named_and_removed() {
    if !tools::may_trace() {
        tools::left_out("a kill before a single system call, which takes root to trace");
        return;
    }
    for args in [&["setup"][..], &["setup", "--undo"]] {
        let sandbox = with_config(ZOE);
        setup(&sandbox);
        let undo = docker(&sandbox, &["setup", "--undo"]);
        let kill = ["inject=rename:signal=KILL:when=1".to_owned()];
        let (output, _) = strace::tampered(&sandbox, undo, &kill);
        assert_eq!(output.signal(), Some(9), "{output:?}");
        let directory = sandbox.home().join(".docker");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(&directory).unwrap();
            let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let names = entries.map(name).filter(|name| name != "config.json");
            names.map(|name| name.into_string().unwrap()).collect()
        };
        let left = names();
        assert_eq!(left.len(), 1, "{left:?}");
        let status = docker(&sandbox, &["status"]).run().succeeds();
        assert!(status.out().contains(&left[0]), "{status:?}");
        let status = docker(&sandbox, &["status", "--json"]).run().succeeds();
        assert!(status.out().contains(&left[0]), "{status:?}");
        docker(&sandbox, args).run().succeeds();
        assert_eq!(names(), Vec::<String>::new());
    }
}

#[test]
fn a_logout_while_setup_works_is_not_taken_back() {
    if !tools::may_trace() {
        tools::left_out("a process stopped at its system calls, which takes root to trace");
        return;
    }
    let config =
        r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"},"reg2":{"auth":"Ym9iOmNhbmFyeS0y"}}}"#;
    let sandbox = with_config(config).initialised();
    let stored = |_: &str| is_stored(&sandbox, "reg2");
    interrupted(docker(&sandbox, &["setup"]), stored, || {
        fs::write(sandbox.docker_config(), ZOE).unwrap();
    });
    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
    assert_eq!(get(&sandbox, "reg2"), None);
    undo(&sandbox);
    assert_eq!(sandbox.docker_config_text(), ZOE);
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn a_logout_after_a_setup_that_was_killed_is_not_put_back_and_what_the_store_has_is_named() {
    if !tools::may_trace() {
        tools::left_out("a kill before a single system call, which takes root to trace");
        return;
    }
    let config =
        r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"},"reg2":{"auth":"Ym9iOmNhbmFyeS0y"}}}"#;
    let kill = ["inject=rename:signal=KILL:when=1".to_owned()];
    for again in [true, false] {
        let sandbox = with_config(config).initialised();
        let (output, _) = strace::tampered(&sandbox, docker(&sandbox, &["setup"]), &kill);
        assert_eq!(output.signal(), Some(9), "{output:?}");
        assert!(is_stored(&sandbox, "reg2"));
        fs::write(sandbox.docker_config(), ZOE).unwrap();
        if again {
            let out = setup(&sandbox).out();
            assert!(out.contains("login       reg2: is in the store"), "{out}");
        }
        undo(&sandbox);
        assert_eq!(sandbox.docker_config_text(), ZOE);
        assert!(!is_stored(&sandbox, "h"));
    }
}

#[test]
fn a_setup_that_fails_leaves_no_copy_in_the_store() {
    if !tools::may_trace() {
        tools::left_out("a system call that fails, which takes root to trace");
        return;
    }
    let sandbox = with_config(ZOE).initialised();
    let inject = ["inject=rename:error=ENOSPC:when=1".to_owned()];
    let (output, _) = strace::tampered(&sandbox, docker(&sandbox, &["setup"]), &inject);
    output.fails(1).says(["no space left"]);
    assert_eq!(sandbox.docker_config_text(), ZOE);
    shape::assert_store(&sandbox.store(), []);
    setup(&sandbox);
    undo(&sandbox);
    shape::assert_store(&sandbox.store(), []);
}

#[test]
fn whatever_call_fails_loses_no_credential_and_a_second_run_ends_the_work() {
    if !tools::may_trace() {
        tools::left_out("system calls that fail, which takes root to trace");
        return;
    }
    let mut failures = 0;
    for args in [&["setup"][..], &["setup", "--undo"]] {
        for call in ["fsync", "rename", "renameat2", "unlink", "unlinkat"] {
            for nth in 1.. {
                let sandbox = with_config(ZOE).initialised();
                if args.len() > 1 {
                    setup(&sandbox);
                }
                let inject = [format!("inject={call}:error=EIO:when={nth}")];
                let (output, trace) = strace::tampered(&sandbox, docker(&sandbox, args), &inject);
                let is_plain = sandbox.docker_config_text() == ZOE;
                let is_kept = get(&sandbox, "h") == pair("zoe", "canary-1");
                assert!(is_plain || is_kept, "{call} {nth}: {output:?}");
                if !trace.contains(strace::INJECTED) {
                    break;
                }
                failures += 1;
                if args.len() == 1 {
                    setup(&sandbox);
                    assert_encrypted(&sandbox);
                    assert_eq!(get(&sandbox, "h"), pair("zoe", "canary-1"));
                }
                let undo = docker(&sandbox, &["setup", "--undo"]).run();
                assert!(matches!(undo.status.code(), Some(0 | 3)), "{undo:?}");
                assert_eq!(sandbox.docker_config_text(), ZOE, "{call} {nth}");
                assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "");
            }
        }
    }
    assert!(failures > 20, "{failures}");
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
