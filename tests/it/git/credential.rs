//! Claim: `git credential` keeps credentials in the store: approve, fill, reject.

use posixage_tests::{
    Sandbox,
    git_credential::{approve, fill, get, helper, ids, program, reject, store, unattended_git},
    tree::Snapshot,
};

/// A time long past, and one far from now.
const PAST: &str = "1000000000";
const FUTURE: &str = "4102444800";

#[test]
fn what_is_approved_is_filled_in_until_it_is_rejected() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=example.com\n";
    let whole = format!("{place}username=zoe\npassword=p\n");
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
fn two_users_of_a_host_each_get_theirs_and_the_last_is_default() {
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
        program(&sandbox, action, description)
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
fn the_next_helper_renews_a_password_by_the_refresh_token() {
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
    let filled = unattended_git(&sandbox, &["posixage", oauth])
        .args(["credential", "fill"])
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
fn a_newer_password_survives_concurrent_erases_of_the_older() {
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
fn an_unchanged_credential_is_stored_beside_readers() {
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
fn other_credentials_are_only_for_a_git_that_knows_them() {
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
    // A client without that capability gets the password.
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
fn a_password_that_works_after_its_time_is_offered_again() {
    let sandbox = Sandbox::new();
    let place = "protocol=https\nhost=h\n";
    let login = format!("{place}username=zoe\npassword=p\n");
    let refresh = "oauth_refresh_token=refresh\n";
    store(
        &sandbox,
        format!("{login}password_expiry_utc={PAST}\n{refresh}"),
    );
    assert!(!get(&sandbox, place).contains("password=p"), "the control");
    // A server has just taken it, and no expiry is known.
    approve(&sandbox, &login);
    assert_eq!(
        get(&sandbox, place),
        format!("username=zoe\npassword=p\n{refresh}")
    );
}
