//! A first use, which makes the key, the store and the secret, killed before any system call, leaves
//! nothing that a second try does not mend, or clear away.

use std::{collections::BTreeSet, fs};

use posixage_tests::{Program, Sandbox, shape, strace};

const ID: &str = "some/secret";

fn set(sandbox: &Sandbox, value: &str) -> Program {
    sandbox
        .posixage(["set", "--raw", "--force", ID])
        .input(value)
}

#[test]
fn a_second_use_repairs_a_first_killed_at_any_call() {
    let sandbox = Sandbox::new();
    let home = sandbox.home().display().to_string();
    let census = strace::census(&sandbox, set(&sandbox, "first"), &[], &home);
    let mut found = BTreeSet::new();
    let mut deaths = 0;
    for (call, before) in census {
        for nth in before + 1.. {
            let kill = format!("inject={call}:signal=KILL:when={nth}");
            let sandbox = Sandbox::new();
            let (output, _) = strace::tampered(
                &sandbox,
                set(&sandbox, "first"),
                std::slice::from_ref(&kill),
            );
            if output.status.success() {
                break;
            }
            assert_eq!(output.signal(), Some(9), "{kill}: {output:?}");
            deaths += 1;
            let get = sandbox.run(["get", ID]);
            found.insert(get.out());
            match get.status.success() {
                true => assert_eq!(get.out(), "first", "{kill}"),
                false => assert!(
                    get.err().starts_with("posixage: no s"),
                    "{kill}: no store, or no secret, but {get:?}"
                ),
            }
            let again = set(&sandbox, "second").run();
            assert!(again.status.success(), "{kill}: {again:?}");
            assert_eq!(sandbox.get(ID), b"second", "{kill}");
            shape::assert_store(&sandbox.store(), [ID]);
            let keys = sandbox.identity();
            let beside: Vec<_> = fs::read_dir(keys.parent().expect("a directory"))
                .expect("list")
                .map(|entry| entry.expect("an entry").path())
                .collect();
            assert_eq!(beside, [keys], "{kill}");
        }
    }
    eprintln!("{deaths} deaths");
    assert!(deaths > 100, "{deaths}");
    assert_eq!(found, ["", "first"].map(String::from).into());
}
