//! Claim: `update` excludes other processes, and one that was stopped and lost its lock commits
//! nothing.

use posixage_tests::{Sandbox, operation::operate, shape};
use rustix::process::Signal;

#[test]
fn two_processes_that_each_add_a_thousand_end_at_two_thousand() {
    let sandbox = Sandbox::new().initialised();
    let start = || operate(&sandbox, ["increment", "number", "1000"]).start();
    let both = [start(), start()];
    for one in both {
        one.wait().succeeds_silently();
    }
    assert_eq!(sandbox.get("number"), b"2000");
    shape::assert_store(&sandbox.store(), ["number"]);
}

/// At its real pace: half a minute has to pass before anybody may take the lock.
#[test]
fn a_writer_that_was_stopped_and_overtaken_writes_nothing() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let mut writer = operate(&sandbox, ["hold", "x", "from the stopped one"]).start();
    writer.wait_for("held");
    writer.signal(Signal::STOP);
    let pid = writer.id().to_string();
    let set = |value: &'static str| {
        sandbox
            .posixage(["set", "-f", "x", "--lock-timeout", "1s"])
            .input(value)
            .run()
    };
    // No takeover without being asked for; the error names the holder and says that it is stopped.
    set("too early")
        .fails(6)
        .says([&pid, "stopped", "hint: ", "kill -CONT"]);

    let unlock = sandbox.run(["unlock", "--force"]).succeeds();
    assert!(unlock.err().contains(&pid), "{unlock:?}");
    set("new").succeeds_silently();

    writer.signal(Signal::CONT);
    writer.write(b"go on\n");
    let writer = writer.wait();
    assert_eq!(writer.status.code(), Some(1), "{writer:?}");
    assert!(writer.err().contains("lost the lock"), "{writer:?}");
    assert_eq!(sandbox.get("x"), b"new");
    shape::assert_store(&sandbox.store(), ["x"]);
}
