//! Claim: not a byte of a value, a password, a passphrase or a key is in the arguments or the
//! environment of a child, in a file in the clear, or where another process could read it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use posixage_tests::{
    Sandbox, Terminal,
    canary::{PASSWORD, VALUE, assert_clean, store},
    golden, tools,
    tree::Snapshot,
};

#[test]
fn a_child_has_no_secret_in_its_arguments_or_environment() {
    let store = store();
    let sandbox = &store.sandbox;
    let set = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_PASSWORD", PASSWORD);
    set.input(VALUE).run().succeeds();
    let report = sandbox.path().join("report");
    let script = sandbox.file(
        "report.sh",
        format!(
            "exec 3>>'{}'; tr '\\0' '\\n' </proc/$$/cmdline >&3; tr '\\0' '\\n' </proc/$$/environ >&3; \
             tr '\\0' '\\n' </proc/$PPID/cmdline >&3; ls -l /proc/self/fd >&3; echo '{PASSWORD}'",
            report.display(),
        ),
    );
    // The command is given the password's place in the file, not the password.
    let command = script.to_str().unwrap();
    sandbox.config(&format!("password-command = \"exec sh {command}\"\n"));
    let seen = |what: &str| {
        let text = fs::read(&report).unwrap_or_default();
        assert!(!text.is_empty(), "{what} was not run");
        assert_clean(what, &text, &store.canaries);
        fs::remove_file(&report).unwrap();
    };

    sandbox
        .posixage(["set", "--force", "x"])
        .input(VALUE)
        .run()
        .succeeds();
    seen("the password-command of set");
    let other = golden::key(sandbox, "ssh-rsa");
    let get = sandbox.posixage(["get", "x", "-i"]).arg(&other).run();
    assert_eq!(get.succeeds_silently().out(), VALUE);
    seen("the password-command of get");

    let lock = sandbox.posixage(["lock", "--", "sh", command]);
    lock.env("POSIXAGE_PASSWORD", PASSWORD).run().succeeds();
    seen("the command under a lock");
}

/// `strace` in front of a program: these calls, with all of their arguments, go to `trace`.
fn strace(calls: &str, trace: &Path) -> [std::ffi::OsString; 9] {
    let strace = tools::need("strace", "strace");
    let calls = format!("trace={calls}");
    let options = ["-f", "-v", "-s", "100000", "-e", &calls, "-o"].map(Into::into);
    let [f, v, s, length, e, calls, o] = options;
    [strace.into(), f, v, s, length, e, calls, o, trace.into()]
}

#[test]
fn a_trace_of_everything_that_is_executed_shows_no_secret() {
    if !tools::may_trace() {
        tools::left_out("a trace of what is executed: only root may look into posixage's memory");
        return;
    }
    let store = store();
    let trace = store.sandbox.path().join("trace");
    let mut executed = String::new();
    for program in store.every_command() {
        let program = program.env_remove("POSIXAGE_PASSWORD_FILE");
        let program = program.env("POSIXAGE_PASSWORD", PASSWORD);
        program.behind(strace("execve,execveat", &trace)).run();
        let text = fs::read_to_string(&trace).unwrap();
        // The arguments of the first are the person's own.
        let (first, later) = text.split_once('\n').unwrap();
        assert!(first.contains("posixage"), "{text}");
        assert_clean("what is executed", later.as_bytes(), &store.canaries);
        executed.push_str(later);
    }
    // The command under the lock.
    assert!(executed.contains("[\"true\"]"), "{executed}");
}

#[test]
fn nothing_is_written_in_the_clear_anywhere() {
    let store = store();
    let sandbox = &store.sandbox;
    let trace = sandbox.path().join("trace");
    let set = sandbox.posixage(["set", "x"]).input(VALUE);
    let mut set = set.env("POSIXAGE_PASSWORD_FILE", &store.password_file);
    if tools::may_trace() {
        let calls =
            "write,pwrite64,writev,sendto,sendmsg,openat,mkdirat,renameat2,linkat,memfd_create";
        set = set.behind(strace(calls, &trace));
    } else {
        tools::left_out("a trace of what is written: only root may look into posixage's memory");
    }
    set.run().succeeds();
    if tools::may_trace() {
        let text = fs::read(&trace).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("age-encryption.org/v1"));
        assert_clean("what is written", &text, &store.canaries);
    }
    let tree = Snapshot::of(&sandbox.store());
    assert!(tree.contains(b"age-encryption.org/v1"));
    assert!(!tree.contains(VALUE.as_bytes()) && !tree.contains(PASSWORD.as_bytes()));
}

#[test]
fn no_other_process_of_the_same_user_may_look_into_its_memory() {
    // What holds for a core dump, too: the kernel gives the files of such a process to root.
    let sandbox = Sandbox::ordinary().initialised();
    let mut terminal = Terminal::start(sandbox.posixage(["set", "x"]));
    terminal.wait_for_hidden("value of x");
    let memory = format!("/proc/{}/mem", terminal.id());
    assert_eq!(fs::metadata(memory).unwrap().uid(), 0);
    terminal.interrupts();
    terminal.wait();
}
