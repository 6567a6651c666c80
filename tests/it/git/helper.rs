//! Claim: `git-credential-posixage` answers as gitcredentials(7) asks of a helper.

use std::fs;

use posixage_tests::{
    Sandbox,
    git_credential::{get, helper, ids, store},
    shape,
    tree::Snapshot,
};

const PASSWORD: &str = "canary-of-the-password";

const FUTURE: &str = "4102444800";

#[test]
fn nothing_is_in_the_clear_but_what_says_where_it_belongs() {
    let sandbox = Sandbox::new();
    let refresh = "canary-of-the-refresh-token";
    let token = "canary-of-the-credential";
    store(
        &sandbox,
        format!(
            "protocol=https\nhost=example.com\npath=a.git\nusername=zoe\npassword={PASSWORD}\n\
             password_expiry_utc={FUTURE}\noauth_refresh_token={refresh}\n"
        ),
    );
    store(
        &sandbox,
        format!(
            "capability[]=authtype\nprotocol=https\nhost=example.com\nauthtype=Bearer\n\
             credential={token}\n"
        ),
    );
    let home = Snapshot::of(&sandbox.home());
    for canary in [PASSWORD, refresh, token] {
        assert!(!home.contains(canary.as_bytes()), "{canary}");
    }
    let listed = sandbox.run(["list", "--long"]).succeeds_silently().out();
    let metadata = |line: usize| -> serde_json::Value {
        let line = listed.lines().nth(line).expect("a line");
        let mut value: serde_json::Value =
            serde_json::from_str(line.split_once(' ').expect("metadata").1.trim()).expect("JSON");
        let stored = value.as_object_mut().and_then(|o| o.remove("stored_utc"));
        assert!(stored.is_some(), "{line}");
        value
    };
    assert_eq!(
        metadata(0),
        serde_json::json!({ "protocol": "https", "host": "example.com", "authtype": "Bearer" })
    );
    assert_eq!(
        metadata(1),
        serde_json::json!({
            "protocol": "https", "host": "example.com", "path": "a.git", "username": "zoe",
            "password_expiry_utc": FUTURE,
        })
    );
    shape::assert_store(
        &sandbox.store(),
        ["git/https/example.com/_", "git/https/example.com/zoe/a.git"],
    );
}

#[test]
fn git_is_told_what_it_may_ask() {
    let sandbox = Sandbox::new();
    let output = helper(&sandbox, "capability", "").run().succeeds_silently();
    assert_eq!(output.out(), "version 0\ncapability authtype\n");
    assert!(!sandbox.store().exists());
}

#[test]
fn unknown_operations_and_attributes_are_passed_over() {
    let sandbox = Sandbox::new();
    for operation in ["approve", "future", "", "--future"] {
        let output = helper(&sandbox, operation, "garbage\0").run();
        assert_eq!(output.succeeds_silently().out(), "");
    }
    store(
        &sandbox,
        "future[]=x\nprotocol=https\nhost=h\nstate[]=other:x\nusername=zoe\npassword=p\n\
         continue=1\nwwwauth[]=Basic\nquit=0\nPassword=no\n",
    );
    let got = get(
        &sandbox,
        "quit=1\nfuture=\nprotocol=https\nhost=h\nwwwauth[]=Basic realm=\"=\"\n",
    );
    assert_eq!(got, "username=zoe\npassword=p\n");
}

#[test]
fn help_and_usage() {
    let sandbox = Sandbox::new();
    let helper = |args: &[&str]| sandbox.helper("git-credential-posixage").args(args).run();
    for args in [&["--help"][..], &["-h"]] {
        let usage = helper(args).succeeds_silently().out();
        assert_eq!(
            usage,
            "Usage: git-credential-posixage <get|store|erase|capability>\n"
        );
    }
    let version = helper(&["--version"]).succeeds_silently().out();
    assert!(
        version.starts_with("git-credential-posixage 0."),
        "{version}"
    );
    for args in [&[][..], &["get", "store"]] {
        let output = helper(args).fails(2);
        assert!(output.hint().starts_with("Usage: "), "{output:?}");
    }
}

#[test]
fn where_there_is_no_store_there_is_nothing_to_offer() {
    let sandbox = Sandbox::new();
    let login = "protocol=https\nhost=h\nusername=zoe\npassword=p\n";
    assert_eq!(get(&sandbox, login), "");
    helper(&sandbox, "erase", login).run().succeeds_silently();
    assert_eq!(fs::read_dir(sandbox.home()).unwrap().count(), 0);
    // One that was named has to be there.
    for operation in ["get", "store", "erase"] {
        let helper = helper(&sandbox, operation, login).env("POSIXAGE_STORE", "/nowhere");
        helper.run().fails(1).says(["no store at /nowhere"]);
    }
    // The first store makes one, and says so.
    let first = helper(&sandbox, "store", login).run().succeeds();
    let [store, identity] = [sandbox.store(), sandbox.identity()].map(|p| p.display().to_string());
    first.says([store.as_str(), identity.as_str()]);
    helper(&sandbox, "store", login).run().succeeds_silently();
}

#[test]
fn of_many_first_ones_none_is_lost() {
    let sandbox = Sandbox::new();
    let login = |n| format!("protocol=https\nhost=h{n}\nusername=zoe\npassword=of-h{n}\n");
    let start = |n| {
        let mut helper = helper(&sandbox, "store", "").start();
        helper.write(login(n).as_bytes());
        helper
    };
    let running: Vec<_> = (0..8).map(start).collect();
    for helper in running {
        helper.wait().succeeds();
    }
    for n in 0..8 {
        let place = format!("protocol=https\nhost=h{n}\n");
        assert_eq!(
            get(&sandbox, &place),
            format!("username=zoe\npassword=of-h{n}\n")
        );
    }
}

#[test]
fn an_empty_description_means_nothing_and_not_everything() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        "protocol=https\nhost=h\nusername=zoe\npassword=p\n",
    );
    for description in ["", "\n", "username=zoe\n", "protocol=https\n", "host=h\n"] {
        assert_eq!(get(&sandbox, description), "", "{description:?}");
        helper(&sandbox, "erase", description)
            .run()
            .succeeds_silently();
        assert_eq!(ids(&sandbox), "git/https/h/zoe\n");
    }
    for description in [
        "",
        "protocol=https\nhost=h\nusername=zoe\n",
        "protocol=https\nhost=h\npassword=canary\n",
        "host=h\nusername=zoe\npassword=canary\n",
        "protocol=https\nhost=h\nauthtype=Bearer\ncredential=canary\n",
    ] {
        let output = helper(&sandbox, "store", description).run().fails(1);
        assert!(!output.err().contains("canary"), "{output:?}");
    }
}

#[test]
fn garbage_is_an_error_that_does_not_quote_it() {
    let sandbox = Sandbox::new().initialised();
    let before = Snapshot::of(&sandbox.store());
    for garbage in [
        &b"canary\n"[..],
        b"protocol=https\nhost=h\nusername=zoe\npassword=canary\0\n",
        b"protocol=https\ncanary",
        b"url=canary.example.com\nusername=zoe\npassword=p\n",
        b"url=https://h/canary%0a\nusername=zoe\npassword=p\n",
        b"url=https://h/\nusername=zoe\npassword=can\rary\n",
        b"url=https://h/canary%0d\nusername=zoe\npassword=p\n",
        b"\x80\xff\n",
    ] {
        for operation in ["get", "store", "erase"] {
            let output = helper(&sandbox, operation, garbage).run().fails(1);
            assert!(!output.err().contains("canary"), "{output:?}");
        }
    }
    let endless = vec![b'x'; 2 << 20];
    helper(&sandbox, "store", endless)
        .run()
        .fails(1)
        .says(["limit"]);
    assert_eq!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn every_byte_that_git_can_send_comes_back() {
    let sandbox = Sandbox::new().initialised();
    let all: Vec<u8> = (1..=255).filter(|byte| !b"\n\r".contains(byte)).collect();
    let longest = vec![b'x'; 65_535 - "password=".len()];
    let values: [(&[u8], &[u8]); 6] = [
        (b"zoe", &all),
        (b"zoe", &longest),
        (b"zoe", b" = "),
        (b"", b""),
        (b"a/b%2f:c@d_", b"p"),
        (&all, b"p"),
    ];
    for (username, password) in values {
        let lines = |attributes: &[(&str, &[u8])]| {
            let mut text = Vec::new();
            for (key, value) in attributes {
                text.extend([key.as_bytes(), b"=", value, b"\n"].concat());
            }
            text
        };
        let place: [(&str, &[u8]); 3] = [
            ("protocol", b"https"),
            ("host", b"h"),
            ("username", username),
        ];
        let login: [(&str, &[u8]); 2] = [("username", username), ("password", password)];
        store(&sandbox, [lines(&place), lines(&login[1..])].concat());
        let got = helper(&sandbox, "get", lines(&place))
            .run()
            .succeeds_silently();
        assert_eq!(got.stdout, lines(&login));
        let erase = helper(&sandbox, "erase", [lines(&place), lines(&login)].concat());
        erase.run().succeeds_silently();
        assert_eq!(ids(&sandbox), "");
    }
}

#[test]
fn a_long_place_is_found_all_the_same() {
    let sandbox = Sandbox::new().initialised();
    let path = "p/".repeat(2000);
    let place = format!("protocol=https\nhost=h\npath={path}\n");
    store(&sandbox, format!("{place}username=zoe\npassword=p\n"));
    assert_eq!(get(&sandbox, &place), "username=zoe\npassword=p\n");
    let other = format!("protocol=https\nhost=h\npath={path}x\n");
    assert_eq!(get(&sandbox, &other), "");
}

#[test]
fn a_url_is_as_good_as_its_parts() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        "url=https://zo%65@example.com:8443/\npassword=p\n",
    );
    let parts = "protocol=https\nhost=example.com:8443\nusername=zoe\n";
    assert_eq!(get(&sandbox, parts), "username=zoe\npassword=p\n");
    assert_eq!(
        get(&sandbox, "url=https://example.com:8443\n"),
        "username=zoe\npassword=p\n"
    );
    assert_eq!(get(&sandbox, "url=https://bob@example.com:8443\n"), "");
    helper(
        &sandbox,
        "erase",
        "url=https://zoe:wrong@example.com:8443\n",
    )
    .run()
    .succeeds();
    assert_eq!(ids(&sandbox), "git/https/example.com:8443/zoe\n");
    helper(&sandbox, "erase", "url=https://zoe:p@example.com:8443\n")
        .run()
        .succeeds();
    assert_eq!(ids(&sandbox), "");
}

#[test]
fn an_empty_line_ends_the_description_though_more_may_come() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        "protocol=https\nhost=h\nusername=zoe\npassword=p\n\nnonsense\n",
    );
    let mut open = helper(&sandbox, "get", "").start();
    open.write(b"protocol=https\nhost=h\n\n");
    // Its input stays open.
    let output = open.end().succeeds_silently();
    assert_eq!(output.out(), "username=zoe\npassword=p\n");
}

#[test]
fn lines_may_end_as_on_windows() {
    let sandbox = Sandbox::new().initialised();
    store(&sandbox, "url=https://zoe:p@h\r\n");
    store(
        &sandbox,
        "protocol=https\r\nhost=g\r\nusername=zoe\r\npassword=p\r\n\r\n",
    );
    assert_eq!(ids(&sandbox), "git/https/g/zoe\ngit/https/h/zoe\n");
    for place in ["url=https://h\n\n", "protocol=https\r\nhost=g\r\n\r\n"] {
        assert_eq!(get(&sandbox, place), "username=zoe\npassword=p\n");
    }
    let mut open = helper(&sandbox, "get", "").start();
    open.write(b"protocol=https\r\nhost=h\r\n\r\n");
    // Its input stays open.
    assert!(open.end().succeeds_silently().out().contains("password=p"));
}

#[test]
fn a_user_name_that_may_be_a_token_is_not_in_the_clear() {
    const TOKEN: &str = "ghp_CANARY0123456789abcdefghijklmnopqrst";
    let sandbox = Sandbox::new().initialised();
    let url = format!("url=https://{TOKEN}:x-oauth-basic@github.com\n");
    // As an earlier version kept it.
    let earlier = format!("git/https/github.com/{}", TOKEN.replace('_', "_5f"));
    sandbox.set(&earlier, "");
    store(&sandbox, url.as_str());
    for (host, username, password) in [
        ("same", "CANARY", "CANARY"),
        ("empty", "CANARY", ""),
        ("h", "glpat-CANARY", "correct horse"),
    ] {
        let login =
            format!("protocol=https\nhost={host}\nusername={username}\npassword={password}\n");
        store(&sandbox, login);
        let expected = format!("username={username}\npassword={password}\n");
        assert_eq!(get(&sandbox, &format!("url=https://{host}\n")), expected);
        assert_eq!(
            get(&sandbox, &format!("url=https://{username}@{host}\n")),
            expected
        );
    }
    assert!(!Snapshot::of(&sandbox.store()).contains(b"CANARY"));
    let listed = sandbox.run(["--verbose", "list", "--long"]).succeeds();
    let said = listed.out() + &listed.err();
    assert!(!said.contains("CANARY"), "{said}");
    assert!(!ids(&sandbox).contains("ghp"), "{listed:?}");
    // Of two tokens at one host the last one counts; another user name is not theirs.
    let answer = format!("username={TOKEN}\npassword=x-oauth-basic\n");
    assert_eq!(get(&sandbox, "url=https://github.com\n"), answer);
    assert_eq!(get(&sandbox, "url=https://bob@github.com\n"), "");
    let erase = |request: &str| {
        helper(&sandbox, "erase", request).run().succeeds_silently();
        get(&sandbox, "url=https://github.com\n")
    };
    assert_eq!(erase("url=https://bob@github.com\n"), answer);
    assert_eq!(
        erase(&format!("url=https://{TOKEN}:x@github.com\n")),
        answer
    );
    store(&sandbox, url.replace("CANARY", "CANARZ"));
    assert!(get(&sandbox, "url=https://github.com\n").contains("ghp_CANARZ"));
    assert_eq!(erase(&url.replace("CANARY", "CANARZ")), "");
}
