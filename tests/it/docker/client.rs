//! Claim: the real docker client, against a real registry, keeps its credentials in the store, and
//! nothing of them stands in plaintext at any time.

use std::{collections::BTreeMap, fs};

use posixage_tests::{
    Output, Program, Sandbox, Terminal,
    docker_helper::{get, list, pair},
    golden, keys,
    registry::Registry,
    shape, tools,
    tree::Snapshot,
};

/// Passwords that would show if they were in the clear.
const ZOE: (&str, &str) = ("zoe", "canary:of <zoe> & \"co\"");
const BOB: (&str, &str) = ("bob", "canary-of-bob");

/// In a config.json: base64 of the above, from the first byte of the user name on.
const IN_CONFIG: [&str; 2] = ["em9lOmNhbmFyeTpvZiA8", "Ym9iOmNhbmFyeS1vZi1i"];

fn docker(sandbox: &Sandbox, args: &[&str]) -> Program {
    let docker = sandbox.client(tools::need("docker", "docker.io"));
    // What it says about a daemon that is not there depends on the machine.
    docker.args(args).env("DOCKER_HOST", "unix:///nonexistent")
}

fn login(sandbox: &Sandbox, address: &str, (username, password): (&str, &str)) -> Program {
    let args = ["login", "--username", username, "--password-stdin", address];
    docker(sandbox, &args).input(password)
}

fn owned((username, password): (&str, &str)) -> Option<(String, String)> {
    pair(username, password)
}

/// A home in which `posixage docker setup` has run.
fn set_up() -> Sandbox {
    let sandbox = Sandbox::new();
    let setup = sandbox.client(posixage_tests::binary::posixage());
    setup.args(["docker", "setup"]).run().succeeds();
    sandbox
}

/// A home in which docker keeps its credentials in the file, whatever helpers the machine has: it looks
/// for one where no login is.
fn in_plaintext() -> Sandbox {
    let sandbox = Sandbox::new();
    let config = "{\n\t\"auths\": {\n\t\t\"elsewhere\": {}\n\t}\n}";
    sandbox.file("home/.docker/config.json", config);
    sandbox
}

#[track_caller]
fn assert_nothing_in_the_clear(sandbox: &Sandbox) {
    let home = Snapshot::of(&sandbox.home());
    for canary in ["canary", IN_CONFIG[0], IN_CONFIG[1]] {
        assert!(
            !home.contains(canary.as_bytes()),
            "{canary} is in the clear"
        );
    }
}

#[test]
fn login_login_as_another_and_logout() {
    let sandbox = set_up();
    let registry = Registry::start(&sandbox, &[ZOE, BOB]);
    let address = registry.address.as_str();

    let output = login(&sandbox, address, ZOE).run().succeeds();
    assert!(output.out().contains("Login Succeeded"), "{output:?}");
    assert!(!output.err().contains("unencrypted"), "{output:?}");
    assert_eq!(get(&sandbox, address), owned(ZOE));
    assert_nothing_in_the_clear(&sandbox);
    assert!(
        sandbox
            .docker_config_text()
            .contains(&format!("\"{address}\": {{}}"))
    );

    login(&sandbox, address, BOB).run().succeeds();
    assert_eq!(get(&sandbox, address), owned(BOB));
    assert_eq!(
        list(&sandbox),
        BTreeMap::from([(address.into(), "bob".into())])
    );
    assert_nothing_in_the_clear(&sandbox);

    // One that is refused changes nothing.
    let wrong = login(&sandbox, address, ("zoe", "wrong")).run();
    assert!(!wrong.status.success(), "{wrong:?}");
    assert_eq!(get(&sandbox, address), owned(BOB));

    let output = docker(&sandbox, &["logout", address]).run().succeeds();
    assert!(!output.err().contains("WARNING"), "{output:?}");
    assert_eq!(list(&sandbox), BTreeMap::new());
    let id = format!("docker/{address}");
    assert!(!sandbox.run(["list"]).out().contains(&id));
    assert!(!sandbox.docker_config_text().contains(address));
    // Once more is no error either.
    docker(&sandbox, &["logout", address]).run().succeeds();
    assert!(registry.log().contains("/v2/"), "the control: it was asked");
}

#[test]
fn no_secret_is_written_to_a_file_at_any_time() {
    if !tools::may_trace() {
        tools::left_out("a trace of what docker writes");
        return;
    }
    // All that docker and the helpers that it starts write, with where to.
    let written = |sandbox: &Sandbox, program: Program| {
        let trace = sandbox.path().join("trace");
        let strace = tools::need("strace", "strace").display().to_string();
        let options = [
            "-f",
            "-y",
            "-s",
            "65536",
            "-e",
            "trace=write,pwrite64,writev",
            "-o",
        ];
        let mut front = vec![strace];
        front.extend(options.map(String::from));
        front.push(trace.display().to_string());
        program.behind(front).run().succeeds();
        let text = fs::read(trace).expect("what strace wrote");
        let text = String::from_utf8_lossy(&text).into_owned();
        let home = format!("<{}/", sandbox.home().display());
        let to_files = text.lines().filter(|line| line.contains(&home));
        to_files.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let sandbox = set_up();
    let registry = Registry::start(&sandbox, &[BOB]);
    let text = written(&sandbox, login(&sandbox, &registry.address, BOB));
    assert!(
        text.contains("config.json") && text.contains("secretage"),
        "{text}"
    );
    assert!(
        !text.contains("canary") && !text.contains(IN_CONFIG[1]),
        "{text}"
    );

    let plain = in_plaintext();
    let text = written(&plain, login(&plain, &registry.address, BOB));
    assert!(text.contains(IN_CONFIG[1]), "the control: {text}");
}

#[test]
fn eight_logins_at_once_to_eight_registries_are_all_kept() {
    let sandbox = set_up();
    let registries: Vec<Registry> = (0..8).map(|_| Registry::start(&sandbox, &[ZOE])).collect();
    let start = |registry: &Registry| {
        let mut login = login(&sandbox, &registry.address, ZOE).start();
        login.write(ZOE.1.as_bytes());
        login
    };
    let running: Vec<_> = registries.iter().map(start).collect();
    for login in running {
        login.wait().succeeds();
    }
    for registry in &registries {
        assert_eq!(get(&sandbox, &registry.address), owned(ZOE));
    }
    assert_nothing_in_the_clear(&sandbox);
}

#[test]
fn the_first_login_needs_nothing_but_creds_store() {
    let sandbox = Sandbox::new();
    sandbox.file("home/.docker/config.json", "{\"credsStore\":\"posixage\"}");
    let registry = Registry::start(&sandbox, &[ZOE]);
    let output = login(&sandbox, &registry.address, ZOE).run().succeeds();
    // The person sees that a key was made.
    drop(output.says(["made a store at", "made its key at"]));
    assert_eq!(get(&sandbox, &registry.address), owned(ZOE));
    shape::assert_store(
        &sandbox.store(),
        [format!("docker/{}", registry.address).as_str()],
    );
}

#[test]
fn setup_moves_dockers_plaintext_and_undo_restores_it() {
    let sandbox = in_plaintext();
    let registries = [ZOE, BOB].map(|user| (Registry::start(&sandbox, &[user]), user));
    for (registry, user) in &registries {
        login(&sandbox, &registry.address, *user).run().succeeds();
    }
    let before = sandbox.docker_config_text();
    assert!(
        IN_CONFIG.iter().all(|auth| before.contains(auth)),
        "the control: {before}"
    );
    let setup = |args: &[&str]| {
        let setup = sandbox.client(posixage_tests::binary::posixage());
        setup.args(["docker", "setup"]).args(args).run().succeeds()
    };
    setup(&[]);
    assert_nothing_in_the_clear(&sandbox);
    for (registry, user) in &registries {
        assert_eq!(get(&sandbox, &registry.address), owned(*user));
    }
    setup(&["--undo"]);
    assert_eq!(sandbox.docker_config_text(), before);
    // Docker reads it as before: it is logged in, and logs out.
    docker(&sandbox, &["logout", &registries[0].0.address])
        .run()
        .succeeds();
    assert!(!sandbox.docker_config_text().contains(IN_CONFIG[0]));
}

#[test]
fn a_key_that_does_not_fit_is_shown_to_the_person() {
    let sandbox = set_up();
    let registry = Registry::start(&sandbox, &[ZOE]);
    let address = registry.address.as_str();
    login(&sandbox, address, ZOE).run().succeeds();
    let stranger = golden::key(&sandbox, "age-stranger.txt");
    // To log in again docker gets what it has.
    let again = |key: &std::path::Path| -> Output {
        let login = docker(&sandbox, &["login", address]);
        login.env("POSIXAGE_IDENTITY", key).run()
    };
    let output = again(&stranger);
    assert!(!output.status.success(), "{output:?}");
    drop(output.says(["no key fits secret docker/127.0.0.1", "age-stranger.txt"]));

    // Passphrase-protected, without a terminal: an error, and no hang.
    let locked = keys::locked(&sandbox, "age-locked");
    let output = again(&locked);
    assert!(!output.status.success(), "{output:?}");
    drop(output.says(["age-locked is locked, and there is no terminal"]));
    assert_eq!(get(&sandbox, address), owned(ZOE));
}

#[test]
fn a_key_behind_a_passphrase_is_unlocked_at_dockers_terminal() {
    let sandbox = Sandbox::new();
    let recipient = keys::recipient("age-locked.pub");
    sandbox.run(["init", "--recipient", &recipient]).succeeds();
    sandbox.file("home/.docker/config.json", "{\"credsStore\":\"posixage\"}");
    let registry = Registry::start(&sandbox, &[ZOE]);
    let address = registry.address.as_str();
    // To write takes no private key.
    login(&sandbox, address, ZOE).run().succeeds();
    let locked = keys::locked(&sandbox, "age-locked");
    let again = || docker(&sandbox, &["login", address]).env("POSIXAGE_IDENTITY", &locked);
    let mut terminal = Terminal::start(again());
    terminal.answers("passphrase for", &keys::passphrase());
    terminal.wait_for("existing credentials");
    drop(terminal);
    // Ctrl-C at the prompt ends both (docker with 0, in its own way), and the terminal is as it was.
    let mut terminal = Terminal::start(again());
    terminal.wait_for_hidden("passphrase for");
    terminal.interrupts();
    let end = terminal.wait();
    assert!(!end.screen.contains("existing credentials"), "{end:?}");
    assert!(terminal.echoes());
    assert_eq!(
        list(&sandbox),
        BTreeMap::from([(address.into(), "zoe".into())])
    );
}

#[test]
fn a_full_disk_is_reported_and_leaves_the_older_login() {
    if !tools::may_mount() {
        tools::left_out("a full disk, which takes root to mount one that is small");
        return;
    }
    let sandbox = set_up();
    let registry = Registry::start(&sandbox, &[ZOE, BOB]);
    let address = registry.address.as_str();
    let store = sandbox.directory("disk");
    let script = "set -e; mount -t tmpfs -o size=256k,mode=700 posixage-test \"$POSIXAGE_STORE\"; \
        \"$POSIXAGE\" init; \
        printf %s \"$ZOE\" | \"$DOCKER\" login -u zoe --password-stdin \"$ADDRESS\"; \
        head -c 10000000 /dev/zero >\"$POSIXAGE_STORE/.fill\" 2>/dev/null || true; \
        if \"$@\"; then exit 90; fi; printf %s \"$ADDRESS\" | docker-credential-posixage get";
    let unshare = tools::need("unshare", "util-linux");
    let output = login(&sandbox, address, BOB)
        .env("POSIXAGE_STORE", store)
        .env("POSIXAGE", posixage_tests::binary::posixage())
        .env("DOCKER", tools::need("docker", "docker.io"))
        .env("ZOE", ZOE.1)
        .env("ADDRESS", address)
        .in_shell(script)
        .behind([unshare.as_os_str(), "-m".as_ref()])
        .run()
        .succeeds();
    assert!(output.out().contains("\"Username\":\"zoe\""), "{output:?}");
    drop(output.says(["no space left", "free some space"]));
}
