//! Claim: `git-credential-posixage` answers as gitcredentials(7) asks of a helper, to the real
//! `git credential` and by itself.

use std::fs;

use posixage_tests::{Output, Program, Sandbox, Terminal, keys, shape, tools, tree::Snapshot};

const PASSWORD: &str = "canary-of-the-password";

/// A time long past, and one far from now.
const PAST: &str = "1000000000";
const FUTURE: &str = "4102444800";

/// `git credential` in this home, which asks nobody.
fn credential(sandbox: &Sandbox, action: &str, description: &str) -> Program {
    sandbox
        .client(tools::need("git", "git"))
        .args(["-c", "credential.helper=posixage", "credential", action])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .input(description)
}

fn approve(sandbox: &Sandbox, description: &str) {
    let approve = credential(sandbox, "approve", description).run();
    assert_eq!(approve.succeeds().out(), "");
}

fn reject(sandbox: &Sandbox, description: &str) {
    let reject = credential(sandbox, "reject", description).run();
    assert_eq!(reject.succeeds_silently().out(), "");
}

/// What git fills in; none if it would have to ask.
fn fill(sandbox: &Sandbox, description: &str) -> Option<String> {
    let output = credential(sandbox, "fill", description).run();
    if output.status.success() {
        return Some(output.succeeds_silently().out());
    }
    let output = output.says(["terminal prompts disabled"]);
    assert_eq!(output.err().lines().count(), 1, "{output:?}");
    None
}

/// The helper alone, as git runs it.
fn helper(sandbox: &Sandbox, operation: &str, description: impl Into<Vec<u8>>) -> Program {
    let helper = sandbox.helper("git-credential-posixage").arg(operation);
    helper.input(description)
}

fn get(sandbox: &Sandbox, description: &str) -> String {
    let output = helper(sandbox, "get", description).run();
    output.succeeds_silently().out()
}

fn store(sandbox: &Sandbox, description: impl Into<Vec<u8>>) {
    helper(sandbox, "store", description).run().succeeds();
}

fn ids(sandbox: &Sandbox) -> String {
    sandbox.run(["list"]).succeeds_silently().out()
}

#[test]
fn what_is_approved_is_filled_in_until_it_is_rejected() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let whole = format!("{place}username=zoe\npassword={PASSWORD}\n");
    assert_eq!(fill(&sandbox, place), None);
    approve(&sandbox, &whole);
    assert_eq!(fill(&sandbox, place), Some(whole.clone()));
    assert_eq!(ids(&sandbox), "git/https/example.com/zoe\n");
    for other in [
        "protocol=http\nhost=example.com\n",
        "protocol=https\nhost=example.com:8443\n",
        "protocol=https\nhost=example.org\n",
        "protocol=https\nhost=example.com\nusername=bob\n",
        "protocol=https\nhost=EXAMPLE.com\n",
    ] {
        assert_eq!(fill(&sandbox, other), None, "{other}");
    }
    reject(&sandbox, &whole);
    assert_eq!(fill(&sandbox, place), None);
    assert_eq!(ids(&sandbox), "");
}

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
fn of_two_users_on_a_host_each_has_their_own_and_the_last_one_written_comes_unasked() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let user = |name: &str| format!("{place}username={name}\npassword=of-{name}\n");
    approve(&sandbox, &user("zoe"));
    approve(&sandbox, &user("bob"));
    for name in ["zoe", "bob"] {
        let named = format!("{place}username={name}\n");
        assert_eq!(fill(&sandbox, &named), Some(user(name)));
    }
    assert_eq!(fill(&sandbox, place), Some(user("bob")));
    // To use one is not to write it.
    approve(&sandbox, &user("zoe"));
    assert_eq!(fill(&sandbox, place), Some(user("bob")));
    let changed = format!("{place}username=zoe\npassword=new\n");
    approve(&sandbox, &changed);
    assert_eq!(fill(&sandbox, place), Some(changed));

    reject(&sandbox, &format!("{place}username=zoe\n"));
    assert_eq!(fill(&sandbox, &format!("{place}username=zoe\n")), None);
    assert_eq!(fill(&sandbox, place), Some(user("bob")));
    approve(&sandbox, &user("zoe"));
    reject(&sandbox, place);
    assert_eq!(ids(&sandbox), "");
}

#[test]
fn a_path_counts_when_git_uses_it() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let with = |action, description: &str| {
        credential(&sandbox, action, description)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "credential.useHttpPath")
            .env("GIT_CONFIG_VALUE_0", "true")
            .run()
    };
    for repository in ["a.git", "b.git"] {
        let whole = format!("{place}path={repository}\nusername=zoe\npassword=of-{repository}\n");
        with("approve", &whole).succeeds();
        let filled = with("fill", &format!("{place}path={repository}\n"));
        assert_eq!(filled.succeeds_silently().out(), whole);
    }
    let other = with("fill", &format!("{place}path=c.git\n"));
    assert!(!other.status.success(), "{other:?}");
    // One for the whole host comes before those for a repository, and is not for one of them.
    approve(&sandbox, &format!("{place}username=bob\npassword=p\n"));
    store(
        &sandbox,
        format!("{place}path=b.git\nusername=zoe\npassword=newest\n"),
    );
    let filled = fill(&sandbox, &format!("{place}path=a.git\n"));
    assert_eq!(filled, Some(format!("{place}username=bob\npassword=p\n")));
    let other = with("fill", &format!("{place}path=c.git\n"));
    assert!(!other.status.success(), "{other:?}");
    let filled = with("fill", &format!("{place}path=a.git\n")).out();
    assert!(filled.ends_with("password=of-a.git\n"), "{filled}");
}

#[test]
fn an_expired_password_is_not_offered() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let password = |name: &str, expiry: &str| {
        format!("{place}username={name}\npassword=of-{name}\npassword_expiry_utc={expiry}\n")
    };
    store(&sandbox, password("zoe", FUTURE));
    assert!(fill(&sandbox, place).is_some_and(|filled| filled.contains("password=of-zoe")));
    store(&sandbox, password("bob", PAST));
    // The newer one is over; the older one is not.
    assert!(get(&sandbox, place).starts_with("username=zoe\npassword_expiry_utc="));
    store(&sandbox, password("zoe", PAST));
    assert_eq!(get(&sandbox, place), "");
    assert_eq!(fill(&sandbox, place), None);
    // It is not gone: git may erase it, and does not show it.
    reject(&sandbox, &format!("{place}username=bob\npassword=of-bob\n"));
    assert_eq!(ids(&sandbox), "git/https/example.com/zoe\n");
}

#[test]
fn a_refresh_token_outlives_its_password_and_an_older_git() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let login = format!("{place}username=zoe\npassword=access\n");
    let oauth = |expiry| format!("password_expiry_utc={expiry}\noauth_refresh_token=refresh\n");
    approve(&sandbox, &format!("{login}{}", oauth(FUTURE)));
    let filled = fill(&sandbox, place).expect("a password");
    for line in [&login, &oauth(FUTURE)].iter().flat_map(|t| t.lines()) {
        assert!(filled.lines().any(|l| l == line), "{line} in {filled}");
    }
    // A git that does not know these attributes gives them no more than it got them.
    approve(&sandbox, &login);
    assert_eq!(fill(&sandbox, place), Some(filled));
    // Over: what another helper needs to renew it, and no password.
    store(&sandbox, format!("{login}{}", oauth(PAST)));
    assert_eq!(
        get(&sandbox, place),
        "username=zoe\noauth_refresh_token=refresh\n"
    );
    // A new password is another login.
    approve(&sandbox, &format!("{place}username=zoe\npassword=new\n"));
    assert_eq!(get(&sandbox, place), "username=zoe\npassword=new\n");
}

#[test]
fn the_next_helper_renews_an_expired_password_with_the_refresh_token() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    store(
        &sandbox,
        format!(
            "{place}username=zoe\npassword=old\npassword_expiry_utc={PAST}\n\
             oauth_refresh_token=refresh\n"
        ),
    );
    let oauth = "!f() { test \"$1\" = get || exit 0; \
        if grep -q ^oauth_refresh_token=refresh$; then echo password=renewed; fi; }; f";
    let filled = sandbox
        .client(tools::need("git", "git"))
        .args(["-c", "credential.helper=posixage"])
        .args(["-c", &format!("credential.helper={oauth}")])
        .args(["credential", "fill"])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .input(place)
        .run()
        .succeeds_silently()
        .out();
    assert!(
        filled.contains("username=zoe\npassword=renewed\n"),
        "{filled}"
    );
}

#[test]
fn a_newer_password_survives_an_erase_of_the_older_one() {
    let sandbox = Sandbox::new();
    let login = |password| format!("protocol=https\nhost=h\nusername=zoe\npassword={password}\n");
    let place = "protocol=https\nhost=h\n";
    approve(&sandbox, &login("older"));
    approve(&sandbox, &login("newer"));
    reject(&sandbox, &login("older"));
    assert_eq!(fill(&sandbox, place), Some(login("newer")));
    reject(&sandbox, &login("newer"));
    assert_eq!(fill(&sandbox, place), None);
}

#[test]
fn a_newer_password_survives_erases_of_the_older_one_at_the_same_time() {
    let sandbox = Sandbox::new().initialised();
    let login = |n: usize| format!("protocol=https\nhost=h\nusername=zoe\npassword=number-{n}\n");
    store(&sandbox, login(0));
    for n in 0..20 {
        let start = |operation, n| {
            let mut helper = helper(&sandbox, operation, "").start();
            helper.write(login(n).as_bytes());
            helper
        };
        let running = [
            start("erase", n),
            start("store", n + 1),
            start("erase", n),
            start("erase", n),
        ];
        for helper in running {
            helper.wait().succeeds_silently();
        }
        assert!(get(&sandbox, &login(n)).ends_with(&format!("password=number-{}\n", n + 1)));
    }
}

#[test]
fn a_password_that_is_there_is_not_written_again() {
    let sandbox = Sandbox::new();
    let login = |password| {
        format!(
            "protocol=https\nhost=h\nusername=zoe\npassword={password}\noauth_refresh_token=r\n"
        )
    };
    approve(&sandbox, &login("p"));
    let before = Snapshot::of(&sandbox.store());
    approve(&sandbox, &login("p"));
    assert_eq!(Snapshot::of(&sandbox.store()), before);
    approve(&sandbox, &login("other"));
    assert_ne!(Snapshot::of(&sandbox.store()), before);
}

#[test]
fn what_is_there_already_is_stored_beside_others_who_read() {
    let sandbox = Sandbox::new();
    let login = |password| format!("protocol=https\nhost=h\nusername=zoe\npassword={password}\n");
    store(&sandbox, login("p"));
    let mut holder = sandbox
        .posixage(["lock", "--shared", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    let now = |password| {
        let helper = helper(&sandbox, "store", login(password));
        helper.env("POSIXAGE_LOCK_TIMEOUT", "0").run()
    };
    now("p").succeeds_silently();
    now("other").fails(6);
    holder.write(b"done");
    holder.wait().succeeds();
}

#[test]
fn a_key_that_cannot_be_used_is_no_trouble_where_none_is_needed() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        "protocol=https\nhost=h\nusername=zoe\npassword=p\n",
    );
    let broken = |operation, description: &str| {
        let helper = helper(&sandbox, operation, description);
        helper.env("POSIXAGE_IDENTITY", "/nowhere").run()
    };
    let other = broken("get", "protocol=https\nhost=other\n").succeeds_silently();
    assert_eq!(other.out(), "");
    broken("get", "protocol=https\nhost=h\n").fails(1);
    broken("erase", "protocol=https\nhost=other\npassword=p\n").succeeds_silently();
    broken("erase", "protocol=https\nhost=h\n").succeeds_silently();
    assert_eq!(ids(&sandbox), "");
}

#[test]
fn a_credential_that_is_no_password_is_for_a_git_that_knows_what_it_is() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let bearer = "authtype=Bearer\ncredential=token\n";
    approve(&sandbox, &format!("capability[]=authtype\n{place}{bearer}"));
    assert_eq!(get(&sandbox, place), "");
    assert_eq!(fill(&sandbox, place), None);
    let aware = format!("capability[]=authtype\n{place}");
    assert_eq!(
        get(&sandbox, &aware),
        format!("capability[]=authtype\n{bearer}")
    );
    let filled = fill(&sandbox, &aware).expect("a credential");
    assert!(
        filled.starts_with(&format!("capability[]=authtype\n{bearer}")),
        "{filled}"
    );
    // A password that both know is there for whoever does not know the other.
    approve(&sandbox, &format!("{place}username=zoe\npassword=p\n"));
    assert_eq!(get(&sandbox, place), "username=zoe\npassword=p\n");

    // One that is not worth keeping is not kept.
    let ephemeral = "capability[]=authtype\nprotocol=https\nhost=short\nephemeral=1\n";
    approve(&sandbox, &format!("{ephemeral}{bearer}"));
    assert_eq!(
        get(
            &sandbox,
            "capability[]=authtype\nprotocol=https\nhost=short\n"
        ),
        ""
    );

    // Compared before it is erased.
    reject(
        &sandbox,
        &format!("{aware}authtype=Bearer\ncredential=older\n"),
    );
    assert!(ids(&sandbox).contains("git/https/example.com/_\n"));
    reject(&sandbox, &format!("{aware}{bearer}"));
    assert_eq!(ids(&sandbox), "git/https/example.com/zoe\n");
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
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'\n').collect();
    let longest = vec![b'x'; 65_535 - "password=".len()];
    let values: [(&[u8], &[u8]); 6] = [
        (b"zoe", &all),
        (b"zoe", &longest),
        (b"zoe", b" = \r"),
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

/// Git's own view of a helper that fails: a line on standard error, and on to the next.
#[test]
fn after_a_failure_git_goes_on_to_the_next_helper() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=h\n";
    store(
        &sandbox,
        format!("{place}username=zoe\npassword={PASSWORD}\n"),
    );
    fs::remove_file(sandbox.identity()).unwrap();
    let git = |helpers: &[&str], action: &str, description: &str| {
        let helpers = helpers
            .iter()
            .flat_map(|h| ["-c".into(), format!("credential.helper={h}")]);
        sandbox
            .client(tools::need("git", "git"))
            .args(helpers)
            .args(["credential", action])
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .input(description)
            .run()
    };
    let next = "!f() { echo username=next; echo password=one; }; f";
    let output = git(&["posixage", next], "fill", place).succeeds();
    assert!(output.out().contains("password=one"), "{output:?}");
    let output = output.says(["no key fits", "git/https/h/zoe", "hint: "]);
    assert_no_secret(&output);
    let output = git(&["posixage"], "fill", place);
    assert!(!output.status.success(), "{output:?}");
    output.says(["no key fits", "terminal prompts disabled"]);
    // What it may not compare it does not erase; it says so, and git goes on.
    let wrong = format!("{place}username=zoe\npassword=wrong\n");
    git(&["posixage"], "reject", &wrong)
        .succeeds()
        .says(["git/https/h/zoe"]);
    assert_eq!(ids(&sandbox), "git/https/h/zoe\n");
    // A password that has just been of use takes the place of one that nobody can read.
    approve(&sandbox, &format!("{place}username=zoe\npassword=new\n"));
    // To erase whatever there is takes no key.
    reject(&sandbox, place);
    assert_eq!(ids(&sandbox), "");
}

#[track_caller]
fn assert_no_secret(output: &Output) {
    assert!(!output.err().contains(PASSWORD), "{output:?}");
}

#[test]
fn a_locked_key_or_store_is_an_error_and_no_wait_for_somebody() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=h\n";
    let login = format!("{place}username=zoe\npassword={PASSWORD}\n");
    let key = keys::locked(&sandbox, "ssh-ed25519-locked");
    sandbox.posixage(["init", "-i"]).arg(&key).run().succeeds();
    let locked = |operation, description: &str| {
        helper(&sandbox, operation, description).env("POSIXAGE_IDENTITY", &key)
    };
    // To store takes no private key, even over what is there.
    for password in [PASSWORD, "other", PASSWORD] {
        let login = format!("{place}username=zoe\npassword={password}\n");
        locked("store", &login).run().succeeds_silently();
    }
    let output = locked("get", place).run().fails(5);
    assert_no_secret(&output.says(["locked", "terminal"]));
    locked("erase", &login).run().fails(5);
    // A person is asked once for a get, and not for the store that follows.
    let mut terminal =
        Terminal::start(locked("get", "").in_shell("printf 'protocol=https\\nhost=h\\n' | \"$@\""));
    terminal.answers("passphrase", &keys::passphrase());
    let end = terminal.wait().exits(0);
    assert!(end.screen.contains("username=zoe"), "{end:?}");
    let script = "printf 'protocol=https\\nhost=h\\nusername=zoe\\npassword=p\\n' | \"$@\"";
    let end = Terminal::start(locked("store", "").in_shell(script))
        .wait()
        .exits(0);
    assert_eq!(end.screen, "");
    // Nobody is asked who said that they do not want to be.
    let quiet = locked("get", "").env("GIT_TERMINAL_PROMPT", "0");
    let end = Terminal::start(quiet.in_shell("printf 'protocol=https\\nhost=h\\n' | \"$@\""))
        .wait()
        .exits(5);
    assert!(
        end.screen.contains("locked") && !end.screen.contains("passphrase for"),
        "{end:?}"
    );

    let mut holder = sandbox
        .posixage(["lock", "--", "sh", "-c", "echo held; cat"])
        .start();
    holder.wait_for("held");
    for operation in ["get", "store", "erase"] {
        let helper = locked(operation, &login).env("POSIXAGE_LOCK_TIMEOUT", "100ms");
        assert_no_secret(
            &helper
                .run()
                .fails(6)
                .says([holder.id().to_string().as_str()]),
        );
    }
    holder.write(b"done");
    holder.wait().succeeds();
}

#[test]
fn a_neighbour_that_is_damaged_does_not_hide_the_others() {
    let sandbox = Sandbox::new();
    let login = |host| format!("protocol=https\nhost={host}\nusername=zoe\npassword=p\n");
    store(&sandbox, login("good"));
    store(&sandbox, login("bad"));
    let directory = |host| {
        let id: posixage::Id = format!("git/https/{host}/zoe").parse().unwrap();
        sandbox.store().join(id.directory_name())
    };
    fs::write(directory("bad").join("metadata.json"), "{").unwrap();
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=good\n"),
        "username=zoe\npassword=p\n"
    );
    helper(&sandbox, "get", "protocol=https\nhost=bad\n")
        .run()
        .fails(7);
    store(&sandbox, login("bad"));
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=bad\n"),
        "username=zoe\npassword=p\n"
    );
    fs::write(directory("bad").join("secretage"), "").unwrap();
    helper(&sandbox, "get", "protocol=https\nhost=bad\n")
        .run()
        .fails(7);
    store(&sandbox, login("bad"));
    assert_eq!(
        get(&sandbox, "protocol=https\nhost=bad\n"),
        "username=zoe\npassword=p\n"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no commit")]
fn whoever_can_change_metadata_cannot_have_a_password_sent_elsewhere() {
    let sandbox = Sandbox::new();
    store(
        &sandbox,
        format!("protocol=https\nhost=bank\nusername=zoe\npassword={PASSWORD}\n"),
    );
    let id: posixage::Id = "git/https/bank/zoe".parse().unwrap();
    let directory = sandbox.store().join(id.directory_name());
    let metadata = fs::read_to_string(directory.join("metadata.json")).unwrap();
    let thief = metadata.replace("\"bank\"", "\"thief\"");
    assert_ne!(thief, metadata);
    fs::write(directory.join("metadata.json"), thief).unwrap();
    let renamed: posixage::Id = "git/https/thief/zoe".parse().unwrap();
    for name in [id.directory_name(), renamed.directory_name()] {
        let place = sandbox.store().join(&name);
        fs::rename(&directory, &place).unwrap();
        let output = helper(&sandbox, "get", "protocol=https\nhost=thief\n")
            .run()
            .fails(7);
        assert_no_secret(&output.says(["metadata"]));
    }
    // Who types the password again puts it right.
    let login = format!("protocol=https\nhost=bank\nusername=zoe\npassword={PASSWORD}\n");
    fs::rename(
        sandbox.store().join(renamed.directory_name()),
        sandbox.store().join(id.directory_name()),
    )
    .unwrap();
    store(&sandbox, login.as_str());
    assert!(get(&sandbox, "protocol=https\nhost=bank\n").contains(PASSWORD));
    assert_eq!(get(&sandbox, "protocol=https\nhost=thief\n"), "");
}
