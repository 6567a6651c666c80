//! `posixage set`

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use posixage_tests::{Sandbox, docker_helper, shape, tools, tree::Snapshot};

#[test]
fn the_first_one_makes_store_and_key_and_says_so() {
    let sandbox = Sandbox::new();
    let set = sandbox
        .posixage(["set", "x"])
        .input("value\n")
        .run()
        .succeeds();
    let [store, identity] = [sandbox.store(), sandbox.identity()].map(|p| p.display().to_string());
    let set = set.says([store.as_str(), identity.as_str()]);
    assert_eq!(set.out(), "");
    assert_eq!(sandbox.get("x"), b"value");
    shape::assert_store(&sandbox.store(), ["x"]);
    // The second has nothing to say.
    sandbox
        .posixage(["set", "y"])
        .input("value")
        .run()
        .succeeds_silently();
}

#[test]
fn of_many_first_ones_none_is_lost() {
    let sandbox = Sandbox::new();
    let ids: Vec<String> = (0..8).map(|n| format!("secret/{n}")).collect();
    let start = |id: &String| {
        let mut set = sandbox.posixage(["set", id]).start();
        set.write(id.as_bytes());
        set
    };
    let running: Vec<_> = ids.iter().map(start).collect();
    for set in running {
        set.wait().succeeds();
    }
    for id in &ids {
        assert_eq!(sandbox.get(id), id.as_bytes());
    }
    shape::assert_store(&sandbox.store(), ids.iter().map(String::as_str));
}

#[test]
fn a_missing_named_place_is_an_error_that_hints_at_init() {
    let sandbox = Sandbox::new();
    let place = sandbox.home().join("nowhere");
    let text = place.to_str().unwrap();
    let flag = sandbox
        .posixage(["set", "x", "--store", text])
        .input("v")
        .run();
    let environment = sandbox
        .posixage(["set", "x"])
        .env("POSIXAGE_STORE", text)
        .input("v")
        .run();
    sandbox.config(&format!("store = \"{text}\"\n"));
    let file = sandbox.posixage(["set", "x"]).input("v").run();
    for output in [flag, environment, file] {
        let output = output.fails(1).says([text]);
        let hint = output.hint();
        assert!(
            hint.contains("init") && hint.contains("--store") && hint.contains(text),
            "{hint}"
        );
    }
    assert!(!place.exists() && !sandbox.store().exists() && !sandbox.identity().exists());
}

#[test]
fn the_newline_of_a_single_line_is_dropped_unless_raw() {
    let sandbox = Sandbox::new().initialised();
    let key = "-----BEGIN X-----\nAAAA\n-----END X-----\n";
    for (input, kept) in [
        ("value\n", "value"),
        ("value", "value"),
        ("value\r\n", "value"),
        ("value\r", "value\r"),
        (" value ", " value "),
        // Several lines: the last is one, too.
        ("value\n\n", "value\n\n"),
        ("a\nb\n", "a\nb\n"),
        ("a\nb", "a\nb"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("\n\n", "\n\n"),
        (key, key),
    ] {
        let set = |args: &[&str]| sandbox.posixage(args).input(input).run().succeeds();
        set(&["set", "--force", "x"]);
        assert_eq!(sandbox.get("x"), kept.as_bytes(), "{input:?}");
        set(&["set", "--force", "--raw", "x"]);
        assert_eq!(sandbox.get("x"), input.as_bytes(), "{input:?}");
    }
}

#[test]
fn an_ssh_key_that_was_stored_is_one_for_openssh() {
    let sandbox = Sandbox::new().initialised();
    let keygen = |args: &[&str]| {
        let ssh_keygen = tools::need("ssh-keygen", "openssh-client");
        sandbox.program(ssh_keygen).args(args)
    };
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "key"])
        .run()
        .succeeds();
    let key = fs::read(sandbox.home().join("key")).unwrap();
    sandbox.posixage(["set", "x"]).input(key).run().succeeds();
    sandbox.file("home/again", sandbox.get("x"));
    keygen(&["-y", "-f", "again"]).run().succeeds_silently();
}

#[test]
fn a_value_in_the_argument_is_taken_byte_for_byte() {
    let sandbox = Sandbox::new().initialised();
    for value in [
        "value", "a=b==", "line\n", " x ", "--force", "ä", "/usr/bin", "//x",
    ] {
        let argument = format!("x={value}");
        sandbox.run(["set", "--force", &argument]).succeeds();
        assert_eq!(sandbox.get("x"), value.as_bytes());
    }
    // Standard input is not waited for, nor read.
    let set = sandbox.posixage(["set", "--force", "x=value"]).start();
    set.end().succeeds();
    let bytes = std::os::unix::ffi::OsStrExt::from_bytes(b"x=\xff\xfe");
    let bytes: &std::ffi::OsStr = bytes;
    sandbox
        .posixage(["set", "--force"])
        .arg(bytes)
        .run()
        .succeeds();
    assert_eq!(sandbox.get("x"), b"\xff\xfe");
}

#[test]
fn a_name_with_an_equals_sign_is_not_split_and_its_value_is_not_lost() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for argument in [
        "x/aHR0=/u",
        "x/aHR0cA==/u/v",
        "aHR0=/u",
        "x/aHR0cA==",
        "a b=c",
        "x?a=b",
        "=v",
    ] {
        for input in ["value", ""] {
            let set = sandbox.posixage(["set", "--force", argument]).input(input);
            let set = set.run().fails(2);
            assert!(!set.hint().is_empty(), "{set:?}");
            assert_eq!(Snapshot::of(&sandbox.store()), before, "{argument}");
        }
    }
}

#[test]
fn a_value_that_would_be_passed_over_is_an_error() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for (args, input) in [
        (&["set", "x=value"][..], "another"),
        (&["set", "x=/usr/bin"], "another"),
        (&["set", "--raw", "x=value"], "\n"),
        (&["set", "--json", "x=value"], "{\"secret\":\"another\"}"),
    ] {
        let set = sandbox.posixage(args).input(input).run().fails(2);
        set.says(["twice"]);
        assert_eq!(Snapshot::of(&sandbox.store()), before, "{args:?}");
    }
    let file = sandbox.file("file", "another");
    let from_file = format!("exec \"$@\" <'{}'", file.display());
    let set = sandbox.posixage(["set", "x=value"]).in_shell(&from_file);
    set.run().fails(2).says(["twice"]);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    for input in ["</dev/null", "<&-"] {
        let set = sandbox.posixage(["set", "--force", "x=value"]);
        let set = set.in_shell(&format!("exec \"$@\" {input}"));
        set.run().succeeds_silently();
    }
}

#[test]
fn an_empty_value_has_to_be_meant() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "value");
    let before = Snapshot::of(&sandbox.store());
    for (args, input) in [
        (&["set", "--force", "x="][..], ""),
        (&["set", "new="], ""),
        (&["set", "--force", "x"], ""),
        (&["set", "--force", "x"], "\n"),
        (&["set", "new"], "\r\n"),
    ] {
        let set = sandbox.posixage(args).input(input).run().fails(1);
        let hint = set.says(["is empty"]).hint();
        assert!(
            hint.contains("--allow-empty") && hint.contains("--raw"),
            "{hint}"
        );
        assert_eq!(Snapshot::of(&sandbox.store()), before);
    }
    for args in [
        &["set", "--force", "--allow-empty", "x="][..],
        &["set", "--force", "--allow-empty", "x"],
        &["set", "--force", "--raw", "x"],
        &["set", "--force", "--raw", "x="],
    ] {
        sandbox.set("x", "value");
        sandbox.run(args).succeeds_silently();
        assert_eq!(sandbox.get("x"), b"", "{args:?}");
    }
}

#[test]
fn forcing_keeps_the_metadata_of_a_helpers_entry() {
    let sandbox = Sandbox::new().initialised();
    docker_helper::store(&sandbox, "registry.example", "zoe", "old");
    let list = sandbox.run(["list"]).succeeds_silently().out();
    let id = list.trim();
    let metadata = || sandbox.run(["get", "--metadata", id]).succeeds().out();
    let before = metadata();
    let set = |args: &[&str], input: &str| {
        let set = sandbox.posixage(["set", "--force", id]).args(args);
        set.input(input).run().succeeds_silently();
    };
    set(&[], "new");
    let login = docker_helper::get(&sandbox, "registry.example");
    assert_eq!(login, docker_helper::pair("zoe", "new"));
    set(&["--json"], r#"{"secret":"newer"}"#);
    assert_eq!(metadata(), before);
    set(&["--metadata", "a=b"], "new");
    assert_eq!(metadata(), "{\"a\":\"b\"}\n");
    set(&["--json"], r#"{"secret":"newest","metadata":null}"#);
    assert_eq!(metadata(), "null\n");
}

#[test]
fn replaces_only_with_force() {
    let sandbox = Sandbox::new().initialised();
    sandbox.set("x", "old");
    let before = Snapshot::of(&sandbox.store());
    for args in [&["set", "x"][..], &["set", "x=new"], &["set", "--raw", "x"]] {
        let set = sandbox
            .posixage(args)
            .input("new")
            .run()
            .fails(4)
            .says(["x"]);
        assert!(set.hint().contains("--force"));
        assert_eq!(Snapshot::of(&sandbox.store()), before);
    }
    sandbox
        .posixage(["set", "--force", "x"])
        .input("new")
        .run()
        .succeeds_silently();
    assert_eq!(sandbox.get("x"), b"new");
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn of_many_that_create_the_same_one_does() {
    let sandbox = Sandbox::new().initialised();
    let start = |n: usize| {
        let mut set = sandbox.posixage(["set", "x"]).start();
        set.write(n.to_string().as_bytes());
        set
    };
    let running: Vec<_> = (0..8).map(start).collect();
    let outputs: Vec<_> = running.into_iter().map(|set| set.wait()).collect();
    let winners: Vec<usize> = (0..8).filter(|n| outputs[*n].status.success()).collect();
    assert_eq!(winners.len(), 1, "{outputs:?}");
    assert_eq!(sandbox.get("x"), winners[0].to_string().into_bytes());
    for output in outputs.into_iter().filter(|o| !o.status.success()) {
        output.fails(4);
    }
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn of_many_writes_of_one_secret_the_last_stays() {
    let sandbox = Sandbox::new().initialised();
    let values: Vec<String> = (0..8).map(|n| n.to_string().repeat(100_000)).collect();
    let start = |value: &String| {
        let mut set = sandbox.posixage(["set", "--force", "x"]).start();
        set.write(value.as_bytes());
        set
    };
    let running: Vec<_> = values.iter().map(start).collect();
    for set in running {
        set.wait().succeeds();
    }
    let value = String::from_utf8(sandbox.get("x")).unwrap();
    assert!(values.contains(&value), "{} bytes", value.len());
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn a_reader_during_an_overwrite_sees_old_or_new() {
    let sandbox = Sandbox::new().initialised();
    let values = ["old".repeat(50_000), "new".repeat(60_000)];
    sandbox.set("x", values[0].as_str());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..30 {
                sandbox.set("x", values[n % 2].as_str());
            }
        });
        let mut reads = 0;
        while !writer.is_finished() || reads == 0 {
            let value = String::from_utf8(sandbox.get("x")).unwrap();
            assert!(values.contains(&value), "{} bytes", value.len());
            assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), "x\n");
            reads += 1;
        }
        writer.join().unwrap();
    });
    shape::assert_store(&sandbox.store(), ["x"]);
}

#[test]
fn forcing_replaces_the_metadata_too() {
    let sandbox = Sandbox::new().initialised();
    sandbox
        .run(["set", "x=1", "--metadata", "a=1", "--metadata", "b=2"])
        .succeeds();
    assert_eq!(
        sandbox.run(["get", "--metadata", "x"]).out(),
        "{\"a\":\"1\",\"b\":\"2\"}\n"
    );
    sandbox
        .run(["set", "--force", "x=1", "--metadata", "c=3"])
        .succeeds();
    assert_eq!(
        sandbox.run(["get", "--metadata", "x"]).out(),
        "{\"c\":\"3\"}\n"
    );
    sandbox.run(["set", "--force", "x=1"]).succeeds();
    assert_eq!(sandbox.run(["get", "--metadata", "x"]).out(), "null\n");
}

#[test]
fn json_carries_value_encoding_and_metadata() {
    let sandbox = Sandbox::new().initialised();
    for (json, value, metadata) in [
        (r#"{"secret":"ä\n"}"#, "ä\n".as_bytes(), "null"),
        (r#"{"secret":"","metadata":{}}"#, b"", "{}"),
        (
            r#"{"metadata":{"k":"v"},"secret":"x"}"#,
            b"x",
            r#"{"k":"v"}"#,
        ),
        (
            r#"{"secret":"/wA=","encoding":"base64","metadata":null}"#,
            b"\xff\0",
            "null",
        ),
        (r#"{"secret":"/wA=","encoding":"utf8"}"#, b"/wA=", "null"),
        (r#" {"secret":"\u0000\"\\"} "#, b"\0\"\\", "null"),
    ] {
        let set = sandbox
            .posixage(["set", "--force", "--json", "x"])
            .input(json);
        set.run().succeeds_silently();
        assert_eq!(sandbox.get("x"), value, "{json}");
        assert_eq!(
            sandbox.run(["get", "--metadata", "x"]).out().trim_end(),
            metadata,
            "{json}"
        );
    }
}

#[test]
fn what_get_prints_as_json_goes_in_again_as_it_was() {
    let sandbox = Sandbox::new().initialised();
    for (value, metadata) in [
        (&b"text\n"[..], "null"),
        (b"\xff\xfe\0", "{}"),
        (b"", r#"{"k":"v\u0085\u202e\n"}"#),
        (
            "\0\u{7f}\u{85}\u{2028}\u{202e}\u{feff}\"\\\r\n".as_bytes(),
            "null",
        ),
    ] {
        let value = BASE64_STANDARD.encode(value);
        let json = format!(r#"{{"secret":"{value}","encoding":"base64","metadata":{metadata}}}"#);
        let set = sandbox
            .posixage(["set", "--force", "--json", "x"])
            .input(json);
        set.run().succeeds_silently();
        let get = |id| sandbox.run(["get", "--json", id]).succeeds_silently().out();
        let printed = get("x");
        let set = sandbox.posixage(["set", "--force", "--json", "y"]);
        set.input(printed.clone()).run().succeeds_silently();
        assert_eq!(get("y"), printed.replacen("\"x\"", "\"y\"", 1));
        assert_eq!(sandbox.get("y"), sandbox.get("x"));
    }
}

#[test]
fn one_killed_at_its_input_leaves_nothing() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    let mut set = sandbox.posixage(["set", "x"]).start();
    set.write(&vec![b'v'; 60_000]);
    set.signal(rustix::process::Signal::KILL);
    set.end();
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    assert!(fs::read_dir(sandbox.store()).unwrap().count() <= 2);
}

#[test]
fn the_hint_can_be_pasted_into_a_shell() {
    let sandbox = Sandbox::new();
    let place = sandbox.home().join("my store");
    let set = sandbox
        .posixage(["set", "x", "--store"])
        .arg(&place)
        .input("v")
        .run()
        .fails(1);
    let hint = set.hint();
    let command = hint.split_once("posixage ").unwrap().1;
    let paste = sandbox
        .posixage([""; 0])
        .in_shell(&format!(r#""$@" {command}"#));
    paste.run().succeeds();
    assert!(place.join(".posixage.toml").is_file(), "{hint}");
}
