//! Claim: where the system refuses files, threads or calls, there is an error and no harm.

use posixage_tests::{Program, Sandbox, shape, strace, tools, tree::Snapshot};

fn limited(program: Program, limit: &str) -> Program {
    let prlimit = tools::need("prlimit", "util-linux");
    program.behind([prlimit.as_os_str(), limit.as_ref(), "--".as_ref()])
}

#[test]
fn too_few_files_are_an_error_and_the_old_value_stays() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let (mut refused, mut done) = (0, 0);
    // Fewer than the loader and the standard streams take are not ours to answer for.
    for limit in 4..24 {
        let set = sandbox.posixage(["set", "--force", "x=new"]);
        let set = limited(set, &format!("--nofile={limit}")).run();
        if set.status.success() {
            done += 1;
            assert_eq!(sandbox.get("x"), b"new");
            sandbox.set("x", "old");
        } else {
            refused += 1;
            set.fails(1).says(["too many open files"]);
            assert_eq!(sandbox.get("x"), b"old", "{limit}");
            let ids = sandbox.run(["list"]).succeeds_silently().out();
            assert_eq!(ids, "x\n", "{limit}");
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {done}");
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn a_file_that_may_not_grow_leaves_the_old_value() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let set = sandbox
        .posixage(["set", "--force", "x"])
        .input(vec![b'v'; 100_000]);
    let set = limited(set, "--fsize=1000").run();
    set.fails(1)
        .says(["cannot write", "secretage: file too large"]);
    assert_eq!(sandbox.get("x"), b"old");
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn without_threads_it_works_or_says_why_not() {
    // Root is not bound by this limit.
    let sandbox = Sandbox::ordinary().initialised();
    sandbox.set("x", "old");
    let run = |args: &[&str]| limited(sandbox.posixage(args).input("new"), "--nproc=0").run();
    let get = run(&["get", "x"]);
    if get.status.success() {
        assert_eq!(get.out(), "old");
    } else {
        get.fails(1);
    }
    let set = run(&["set", "--force", "x"]);
    if set.status.success() {
        assert_eq!(sandbox.get("x"), b"new");
    } else {
        set.fails(1);
        assert_eq!(sandbox.get("x"), b"old");
    }
    shape::assert_store(&sandbox.store(), ["x"]);
}

/// Whatever number of threads and processes may be had: either the command does not start, or the lock
/// is held until it has ended.
#[test]
fn without_threads_a_command_runs_under_its_lock_or_not_at_all() {
    // Root is not bound by this limit.
    let sandbox = Sandbox::ordinary().initialised();
    for limit in 0..200 {
        let lock = sandbox.posixage(["lock", "--", "sh", "-c", "echo began; read line"]);
        let mut holder = limited(lock, &format!("--nproc={limit}")).start();
        if holder.says("began") {
            let other = ["lock", "--lock-timeout", "0", "--", "true"];
            sandbox.run(other).fails(6);
            holder.write(b"done\n");
            holder.wait().succeeds_silently();
            assert_ne!(limit, 0);
            return;
        }
        holder.wait().fails(126).says(["cannot run sh"]);
    }
    panic!("it never began");
}

#[test]
fn without_threads_a_wait_ends_at_its_deadline_or_with_the_lock() {
    // Root is not bound by this limit.
    let sandbox = Sandbox::ordinary().initialised();
    let lock = ["lock", "--", "sh", "-c", "echo held; read line"];
    let mut holder = sandbox.posixage(lock).start();
    holder.wait_for("held");
    let list = |wait| {
        let list = sandbox.posixage(["list", "--lock-timeout", wait]);
        limited(list, "--nproc=0")
    };
    let pid = holder.id().to_string();
    list("200ms").run().fails(6).says([pid.as_str()]);
    let waiting = list("60s").start();
    holder.write(b"done\n");
    holder.wait().succeeds_silently();
    waiting.wait().succeeds_silently();
}

#[test]
fn without_flock_nothing_is_read_or_written() {
    // As a network file system without its lock server, and a kernel that knows none.
    for error in ["EOPNOTSUPP", "ENOLCK", "ENOSYS"] {
        let sandbox = Sandbox::new().initialised();
        sandbox.set("x", "old");
        let before = Snapshot::of(&sandbox.store());
        for args in [
            &["get", "x"][..],
            &["list"],
            &["set", "--force", "x=new"],
            &["set", "y=new"],
            &["rm", "x"],
            &["verify"],
        ] {
            let none = format!("inject=flock:error={error}");
            let (output, _) = strace::tampered(&sandbox, sandbox.posixage(args), &[none]);
            output
                .fails(1)
                .says([&*sandbox.store().to_string_lossy(), "flock"]);
            assert!(Snapshot::of(&sandbox.store()) == before, "{args:?}");
        }
    }
}

#[test]
fn without_getrandom_it_works() {
    // An old kernel, and a sandbox that forbids it.
    for error in ["ENOSYS", "EPERM"] {
        let sandbox = Sandbox::new();
        let run = |args: &[&str]| {
            let none = format!("inject=getrandom:error={error}");
            let (output, trace) = strace::tampered(&sandbox, sandbox.posixage(args), &[none]);
            assert!(trace.contains(strace::INJECTED), "{trace}");
            output.succeeds()
        };
        run(&["set", "x=value"]);
        assert_eq!(run(&["get", "x"]).out(), "value");
    }
}

#[test]
fn without_proc_it_works() {
    if !tools::may_mount() {
        tools::left_out("a machine without /proc, which takes root to make");
        return;
    }
    let sandbox = Sandbox::new();
    let script = r#"
        mount -t tmpfs none /proc && "$@" set x=value && "$@" get x && "$@" list &&
        "$@" lock -- "$@" status >/dev/null && "$@" lock -- "$@" list --lock-timeout 0
    "#;
    let unshare = tools::need("unshare", "util-linux");
    let posixage = sandbox.posixage([""; 0]).in_shell(script);
    let output = posixage.behind([unshare.as_os_str(), "-m".as_ref()]).run();
    // The holder cannot be named then, but that there is one can be said.
    assert_eq!(output.out(), "valuex\n", "{output:?}");
    output.complains(6).says(["lock"]);
}

#[test]
fn a_command_under_a_shared_lock_may_read() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let script = r#""$0" lock --shared -- "$0" get x --lock-timeout 0"#;
    let nested = sandbox.posixage([""; 0]).behind(["sh", "-c", script]).run();
    assert_eq!(nested.succeeds_silently().out(), "value");
}

/// What is wiped of the stack at the end must not be more than there may be.
#[test]
fn a_small_stack_is_no_reason_to_fail() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    for limit in [192, 256, 512] {
        let get = limited(
            sandbox.posixage(["get", "x"]),
            &format!("--stack={}", limit << 10),
        );
        assert_eq!(get.run().succeeds_silently().out(), "value", "{limit} KiB");
    }
}
