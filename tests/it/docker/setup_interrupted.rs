//! Claim: no login is lost, and none comes back, when `posixage docker setup` or `--undo` fails or is
//! killed, and when a login or logout happens meanwhile.

use std::fs;

use posixage::Id;
use posixage_tests::{
    Program, Sandbox,
    docker::{assert_encrypted, docker, setup, undo, with_config},
    docker_helper::{get, pair, store},
    shape, strace, tools,
};

/// zoe:canary-1
const ZOE: &str = r#"{"auths":{"h":{"auth":"em9lOmNhbmFyeS0x"}}}"#;

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
fn plaintext_left_by_a_killed_run_is_named_and_removed() {
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
fn a_logout_after_a_killed_setup_is_not_undone_by_the_next() {
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
fn a_second_run_finishes_a_setup_in_which_any_call_failed() {
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
