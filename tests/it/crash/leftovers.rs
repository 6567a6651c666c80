//! Claim: what a writer that died left behind is cleared away by the next one, and what a living
//! one is at work on is not.

use std::{fs, fs::File, path::Path};

use posixage_tests::{
    Sandbox, shape, strace,
    subject::{Subject, leftovers},
};
use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};

fn leftover(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let inside = Path::new("home/.local/share/posixage").join(name);
    sandbox.file(inside.join("secretage"), "half a cipher");
    sandbox.file(inside.join("metadata.json"), "null");
    sandbox.path().join(inside)
}

#[test]
fn stages_and_trash_of_the_dead_are_gone_after_the_next_write() {
    for write in [&["set", "y"][..], &["set", "--force", "x"], &["rm", "x"]] {
        let sandbox = Sandbox::new().initialised();
        sandbox.set("x", "value");
        for name in [
            ".posixage.stage.0123456789abcdef",
            ".posixage.trash.0123456789abcdef",
        ] {
            leftover(&sandbox, name);
        }
        // Reading lists no such thing, and touches none.
        assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "x\n");
        assert_eq!(sandbox.get("x"), b"value");
        assert!(
            sandbox
                .store()
                .join(".posixage.stage.0123456789abcdef")
                .exists()
        );
        sandbox.posixage(write).input("value").run().succeeds();
        let ids: &[&str] = match write[0] {
            "rm" => &[],
            _ if write[1] == "y" => &["x", "y"],
            _ => &["x"],
        };
        shape::assert_store(&sandbox.store(), ids.iter().copied());
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "plays a live writer, which is recognised by its flock"
)]
fn the_stage_of_a_living_writer_stays() {
    let sandbox = Sandbox::new().initialised();
    let alive = leftover(&sandbox, ".posixage.stage.0123456789abcdef");
    let sign = File::open(&alive).unwrap();
    flock(&sign, FlockOperation::NonBlockingLockExclusive).unwrap();
    sandbox.set("x", "value");
    assert_eq!(fs::read_dir(&alive).unwrap().count(), 2);
    drop(sign);
    sandbox.set("x", "value");
    assert!(!alive.exists());
}

#[test]
fn a_writer_killed_in_its_wait_leaves_nothing_for_long() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let writer = sandbox.posixage(["-v", "set", "--force", "x=new"]).start();
    // By now it has staged the new value.
    writer.wait_for_stderr("waiting for the lock");
    writer.signal(Signal::KILL);
    writer.end();
    holder.write(b"done");
    holder.wait().succeeds();
    assert_eq!(sandbox.get("x"), b"old");
    sandbox.set("y", "value");
    shape::assert_store(&sandbox.store(), ["x", "y"]);
}

#[test]
fn a_writer_that_gives_up_waiting_leaves_nothing() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    sandbox
        .run(["set", "--force", "x=new", "--lock-timeout", "10ms"])
        .fails(6);
    shape::assert_store(&sandbox.store(), ["x"]);
    holder.write(b"done");
    holder.wait().succeeds();
    assert_eq!(sandbox.get("x"), b"old");
}

#[test]
fn what_only_looks_like_a_leftover_stays() {
    let sandbox = Sandbox::new().initialised();
    for name in [
        ".posixage.notes",
        ".posixage-stage.1",
        ".stage.1",
        "posixage.stage.1",
    ] {
        leftover(&sandbox, name);
    }
    sandbox.set("x", "value");
    for name in [
        ".posixage.notes",
        ".posixage-stage.1",
        ".stage.1",
        "posixage.stage.1",
    ] {
        assert!(
            sandbox.store().join(name).join("secretage").exists(),
            "{name}"
        );
    }
}

/// On a file system without inodes of its own, a directory that is open is gone with its name.
#[test]
fn a_stage_that_a_sweep_was_faster_with_is_made_again() {
    let sandbox = Sandbox::new().initialised();
    let mut made_again = 0;
    for nth in 1.. {
        let set = sandbox.posixage(["set", "--force", "x=value"]);
        let gone = format!("inject=fstat:error=ENOENT:when={nth}");
        let (output, trace) = strace::tampered(&sandbox, set, &[gone]);
        let Some(line) = trace.lines().find(|l| l.contains(strace::INJECTED)) else {
            break;
        };
        let path = line.split(['<', '>']).nth(1).expect("a descriptor's path");
        if path
            .rsplit('/')
            .next()
            .is_some_and(|n| n.starts_with(".posixage.stage."))
        {
            output.succeeds_silently();
            made_again += 1;
        }
    }
    assert!(made_again > 0);
    sandbox.set("y", "value");
    shape::assert_store(&sandbox.store(), ["x", "y"]);
}

/// What an error made it leave, a handle clears away itself: it may live for years.
#[test]
fn a_write_clears_away_what_a_write_of_the_same_handle_left() {
    // Two files, their directory, and the root.
    for nth in 1..=4 {
        let subject = Subject::new();
        subject.put(Some(1));
        let id = subject.id();
        let steps = ["set:2", "try:3", "set:4"].map(|s| s.replace(':', &format!(":{id}:")));
        let fail = format!("inject=fsync:error=EIO:when={}", 4 + nth);
        let (output, _) = strace::tampered(subject.sandbox(), subject.operate(steps), &[fail]);
        let said = "ok set 2\nbegin try 3\nfailed try 3\nbegin set 4\nok set 4\n";
        assert_eq!(output.succeeds().out(), format!("begin set 2\n{said}"));
        assert!(leftovers(&subject.store()).is_empty(), "{nth}");
        assert_eq!(subject.read(), Ok(Some(4)));
    }
}
