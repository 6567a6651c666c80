//! `posixage list`. What `--long` and `--tree` print is in `shown/list.txt`.

use posixage_tests::Sandbox;

const IDS: [&str; 7] = ["a", "a-b", "a/b", "a/b/c", "b/c", "docker/hub:443", "z"];

fn store() -> Sandbox {
    let sandbox = Sandbox::new().initialised();
    for id in IDS {
        sandbox
            .run([
                "set",
                &format!("{id}=value"),
                "--metadata",
                &format!("id={id}"),
            ])
            .succeeds();
    }
    sandbox.set("none", "value");
    sandbox
}

fn list(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox
        .posixage(["list"])
        .args(args)
        .run()
        .succeeds_silently()
        .out()
}

#[test]
fn prints_ids_sorted_one_a_line() {
    let sandbox = store();
    let all = "a\na-b\na/b\na/b/c\nb/c\ndocker/hub:443\nnone\nz\n";
    assert_eq!(list(&sandbox, &[]), all);
    assert_eq!(list(&sandbox, &["**"]), all);
}

#[test]
fn a_pattern_chooses() {
    let sandbox = store();
    for (pattern, ids) in [
        ("a", "a\na/b\na/b/c\n"),
        ("a/", "a\na/b\na/b/c\n"),
        ("a/b", "a/b\na/b/c\n"),
        ("docker", "docker/hub:443\n"),
        ("z", "z\n"),
        ("*", "a\na-b\nnone\nz\n"),
        ("a/*", "a/b\n"),
        ("a/**", "a\na/b\na/b/c\n"),
        ("**/c", "a/b/c\nb/c\n"),
        ("*/*/*", "a/b/c\n"),
        ("missing", ""),
        ("missing/**", ""),
    ] {
        assert_eq!(list(&sandbox, &[pattern]), ids, "{pattern}");
    }
}

#[test]
fn a_pattern_that_is_none_is_an_error_of_usage() {
    let sandbox = store();
    for bad in ["a*", "***", "a//b", "/", "a//", "a b", ""] {
        let list = sandbox.run(["list", bad]).fails(2);
        assert!(!list.hint().is_empty(), "{list:?}");
    }
    let output = sandbox.run(["list", "git*"]).fails(2);
    output.says(["\"git*\"", "whole components"]);
}

#[test]
fn json_is_an_array_of_ids_and_metadata() {
    let sandbox = store();
    let json: serde_json::Value = serde_json::from_str(&list(&sandbox, &["--json"])).unwrap();
    let objects = json.as_array().unwrap();
    let ids: Vec<&str> = objects.iter().map(|o| o["id"].as_str().unwrap()).collect();
    assert_eq!(ids.join("\n") + "\n", list(&sandbox, &[]));
    for object in objects {
        match object["id"].as_str().unwrap() {
            "none" => assert!(object["metadata"].is_null()),
            id => assert_eq!(object["metadata"], serde_json::json!({ "id": id })),
        }
    }
    assert_eq!(list(&sandbox, &["--json", "missing"]), "[]\n");
}

#[test]
fn metadata_cannot_draw_on_a_terminal() {
    let sandbox = Sandbox::new().initialised();
    let json = serde_json::json!({ "secret": "v", "metadata": { "k": "\u{1b}[2J\u{7}\r\n" } });
    sandbox
        .posixage(["set", "--json", "x"])
        .input(json.to_string())
        .run()
        .succeeds();
    for args in [&["--long"][..], &["--json"]] {
        let out = list(&sandbox, args);
        let controls: Vec<char> = out
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .collect();
        assert!(controls.is_empty(), "{out:?}");
    }
}

#[test]
fn takes_no_key() {
    let sandbox = store();
    std::fs::remove_file(sandbox.identity()).unwrap();
    assert_eq!(list(&sandbox, &["*"]), "a\na-b\nnone\nz\n");
    assert_eq!(list(&sandbox, &["-i", "/nowhere", "z"]), "z\n");
}

#[test]
fn an_empty_store_is_an_empty_list() {
    let sandbox = Sandbox::new().initialised();
    assert_eq!(list(&sandbox, &[]), "");
    assert_eq!(list(&sandbox, &["--json"]), "[]\n");
    assert_eq!(list(&sandbox, &["--tree"]), "");
    assert_eq!(list(&sandbox, &["--long"]), "");
}

#[test]
fn metadata_of_others_cannot_draw_on_a_terminal() {
    let sandbox = Sandbox::new().initialised();
    let json = serde_json::json!({ "secret": "v", "metadata": { "k": "\u{9b}31m\u{7f}" } });
    sandbox
        .posixage(["set", "--json", "x"])
        .input(json.to_string())
        .run()
        .succeeds();
    let out = sandbox.run(["list", "--long"]).succeeds_silently().out();
    let controls: Vec<char> = out
        .chars()
        .filter(|c| c.is_control() && *c != '\n')
        .collect();
    assert!(controls.is_empty(), "{out:?}");
}
