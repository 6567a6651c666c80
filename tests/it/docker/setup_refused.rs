//! Claim: where `posixage docker setup` cannot do its work it says why, and nothing has changed.

use std::{fs, os::unix::fs::PermissionsExt};

use posixage_tests::{
    Sandbox, binary,
    docker::{
        CONFIG, assert_damaged, assert_encrypted, docker, with_config, with_wrapper, wrapper,
    },
    docker_helper::{HELPER, get},
    tools,
    tree::Snapshot,
};

#[test]
fn an_invalid_config_is_an_error_and_untouched() {
    for text in [
        "{",
        "[]",
        "null",
        "canary",
        "{\"auths\": {\"h\": {\"auth\": \"em9lOmNhbmFyeS0x\"}}",
        "{\"auths\": []}",
        "{\"credHelpers\": 1}",
        "{\"credHelpers\": {\"h\": 1}}",
        "{\"credsStore\": {}}",
        "{\"auths\": {}, \"auths\": {}}",
        "{\"auths\":{}} x",
        "\u{feff}{}",
        "\0",
    ] {
        assert_damaged(text);
    }
    let sandbox = with_config("{}");
    fs::write(sandbox.docker_config(), b"{\"a\":\"\xff\"}").unwrap();
    docker(&sandbox, &["setup"]).run().fails(1).says(["UTF-8"]);
    fs::remove_file(sandbox.docker_config()).unwrap();
    sandbox.directory("home/.docker/config.json");
    docker(&sandbox, &["setup"])
        .run()
        .fails(1)
        .says(["not a regular file"]);
    assert!(!sandbox.store().exists());
}

#[test]
fn an_unwritable_config_is_an_error_before_any_change() {
    let sandbox = with_config(CONFIG);
    let config = sandbox.docker_config();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o400)).unwrap();
    let before = Snapshot::of(&sandbox.home());
    let output = docker(&sandbox, &["setup"])
        .run()
        .fails(1)
        .says(["read-only"]);
    assert!(output.hint().starts_with("chmod u+w "), "{output:?}");
    assert_eq!(Snapshot::of(&sandbox.home()), before);

    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let script = "mount --bind \"$HOME/.docker\" \"$HOME/.docker\"; \
        mount -o remount,ro,bind \"$HOME/.docker\"; \"$@\"";
    if !tools::may_mount() {
        tools::left_out("a read-only file system, which takes root to mount");
        return;
    }
    let unshare = tools::need("unshare", "util-linux");
    let read_only = docker(&sandbox, &["setup"])
        .in_shell(script)
        .behind([unshare.as_os_str(), "-m".as_ref()]);
    read_only.run().fails(1).says(["config.json", "read-only"]);
    let after = Snapshot::of(&sandbox.home());
    assert_eq!(after.paths().count(), before.paths().count());
    assert_eq!(sandbox.docker_config_text(), CONFIG);
}

#[test]
fn without_the_helper_in_path_setup_only_says_where_it_is() {
    let sandbox = with_config(CONFIG);
    let before = Snapshot::of(&sandbox.home());
    let setup = sandbox
        .posixage(["docker", "setup"])
        .env("PATH", "/usr/bin:/bin");
    let output = setup.run().fails(1).says([HELPER, "not in PATH"]);
    let hint = output.hint();
    let helper = binary::directory().join(HELPER);
    assert!(hint.contains(helper.to_str().unwrap()), "{hint}");
    assert_eq!(Snapshot::of(&sandbox.home()), before);
}

#[test]
fn a_broken_helper_is_detected_before_anything_moves() {
    for (script, said) in [
        ("exit 1", "store:"),
        ("echo broken; exit 1", "broken"),
        ("cat >/dev/null", "another store"),
        (
            "POSIXAGE_STORE=$HOME/other exec \"$REAL\" \"$@\"",
            "another store",
        ),
        (
            "[ $1 = get ] && { echo '{}'; exit; }; exec \"$REAL\" \"$@\"",
            "did not give back",
        ),
        ("[ $1 = get ] && exit 1; exec \"$REAL\" \"$@\"", "get:"),
        (
            "[ $1 = erase ] && exit 0; exec \"$REAL\" \"$@\"",
            "still there",
        ),
    ] {
        let sandbox = with_config(CONFIG).initialised();
        sandbox.run(["init", "--store", "other"]).succeeds();
        let directory = wrapper(&sandbox, script);
        let setup = sandbox.posixage(["docker", "setup"]);
        let setup = with_wrapper(setup, &directory).env("REAL", binary::directory().join(HELPER));
        setup.run().fails(1).says([said]);
        assert_eq!(sandbox.docker_config_text(), CONFIG, "{script}");
        assert!(get(&sandbox, "127.0.0.1:5000").is_none(), "{script}");
    }
    // A wrapper that works is as good as the helper itself.
    let sandbox = with_config(CONFIG);
    let directory = wrapper(&sandbox, "exec \"$REAL\" \"$@\"");
    let setup = sandbox.posixage(["docker", "setup"]);
    let setup = with_wrapper(setup, &directory).env("REAL", binary::directory().join(HELPER));
    let output = setup.run().succeeds();
    assert!(
        output.out().contains(directory.to_str().unwrap()),
        "{output:?}"
    );
    assert_encrypted(&sandbox);
}

#[test]
fn options_that_the_helper_will_not_get_are_found_out() {
    let sandbox = with_config(CONFIG);
    sandbox.run(["init", "--store", "other"]).succeeds();
    let output = docker(&sandbox, &["setup", "--store", "other"])
        .run()
        .fails(1);
    assert!(output.hint().contains("POSIXAGE_STORE"), "{output:?}");
    assert_eq!(sandbox.docker_config_text(), CONFIG);
    let named = docker(&sandbox, &["setup"]).env("POSIXAGE_STORE", "other");
    named.run().succeeds_silently();
    assert_encrypted(&sandbox);
}

#[test]
fn a_disk_that_is_full_leaves_everything_where_it_is() {
    if !tools::may_mount() {
        tools::left_out("a full disk, which takes root to mount one that is small");
        return;
    }
    let sandbox = with_config(CONFIG).initialised();
    let script = "set -e; mount -t tmpfs -o size=64k,mode=700 posixage-test \"$HOME/.docker\"; \
        cat >\"$HOME/.docker/config.json\"; cp \"$HOME/.docker/config.json\" /tmp/posixage-before.$$; \
        head -c 1000000 /dev/zero >\"$HOME/.docker/fill\" 2>/dev/null || true; \
        if \"$@\"; then exit 90; fi; \
        cmp \"$HOME/.docker/config.json\" /tmp/posixage-before.$$; rm /tmp/posixage-before.$$; \
        rm \"$HOME/.docker/fill\"; ls -A \"$HOME/.docker\"; \"$@\"";
    let script = script.replace("/tmp/posixage-before.$$", "\"$HOME/before\"");
    let unshare = tools::need("unshare", "util-linux");
    let output = docker(&sandbox, &["setup"])
        .input(CONFIG)
        .in_shell(&script)
        .behind([unshare.as_os_str(), "-m".as_ref()])
        .run()
        .succeeds();
    assert!(output.err().contains("no space left"), "{output:?}");
    assert!(output.out().starts_with("config.json\n"), "{output:?}");
    assert!(output.out().contains("moved"), "{output:?}");
}

#[test]
fn whatever_the_umask_directories_are_for_their_owner() {
    let sandbox = Sandbox::ordinary();
    let setup = |umask: &str| {
        let script = format!("umask {umask}; exec \"$@\"");
        let helper = sandbox.path().join(HELPER);
        if !helper.exists() {
            let cp = tools::need("cp", "coreutils");
            let copy = posixage_tests::Program::new(cp);
            copy.args([&binary::directory().join(HELPER), &helper])
                .run()
                .succeeds();
        }
        let path = format!("{}:/usr/bin:/bin", sandbox.path().display());
        sandbox
            .posixage(["docker", "setup"])
            .env("PATH", path)
            .in_shell(&script)
            .run()
    };
    setup("0177").succeeds();
    let locked = sandbox.home().join(".config/posixage/docker-setup");
    for directory in [
        sandbox.home().join(".docker"),
        sandbox.home().join(".config"),
        locked.clone(),
    ] {
        assert_eq!(sandbox.mode(&directory), 0o700, "{}", directory.display());
    }
    // One that an earlier version has left.
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o600)).unwrap();
    setup("022").succeeds();
    assert_eq!(sandbox.mode(&locked), 0o700);
}
