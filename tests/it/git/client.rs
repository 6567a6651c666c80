//! Claim: `git clone` and `git push` over HTTP use the credentials in the store, and keep it true.

use std::{fs, path::PathBuf};

use posixage_tests::{
    Output, Program, Sandbox, Terminal,
    git_credential::{fill, unattended_git},
    git_server::GitServer,
    keys, page, tools,
    tree::Snapshot,
};

const FIRST: &str = "canary-of-the-first-password";
const SECOND: &str = "canary-of-the-second-password";

/// A person's home with git in it, set up as cli/docs/git.md says.
struct Home {
    sandbox: Sandbox,
    server: GitServer,
}

impl Home {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let server = GitServer::start(&sandbox);
        let home = Self { sandbox, server };
        for (key, value) in [
            ("credential.helper", "posixage"),
            ("user.name", "Zoe"),
            ("user.email", "zoe@example.com"),
            ("push.default", "current"),
        ] {
            home.git(&["config", "--global", key, value])
                .run()
                .succeeds();
        }
        home
    }

    /// git, with no terminal to ask on.
    fn git(&self, args: &[&str]) -> Program {
        unattended_git(&self.sandbox, &[]).args(args)
    }

    /// git, with a person to ask, who answers with this.
    fn asking(&self, args: &[&str], username: &str, password: &str) -> Output {
        let script = format!(
            "#!/bin/sh\necho asked >>'{}'\ncase $1 in Username*) echo {username};; *) echo {password};; esac\n",
            self.asked_file().display()
        );
        let askpass = self.sandbox.file("askpass.sh", script);
        let command = format!("sh {}", askpass.display());
        let launcher = self.sandbox.path().join("askpass");
        // What git is given has to be a program: a script that is not open for writing.
        if !launcher.exists() {
            let text = format!("#!/bin/sh\nexec {command} \"$1\"\n");
            let install = Program::new(tools::need("install", "coreutils"));
            let install = install.args(["-m", "700", "/dev/stdin"]).arg(&launcher);
            install.input(text).run().succeeds();
        }
        self.git(args).env("GIT_ASKPASS", &launcher).run()
    }

    fn asked_file(&self) -> PathBuf {
        self.sandbox.path().join("asked")
    }

    /// Whether git has asked since the last call.
    fn was_asked(&self) -> bool {
        fs::remove_file(self.asked_file()).is_ok()
    }

    fn ids(&self) -> String {
        self.sandbox.run(["list"]).succeeds_silently().out()
    }

    /// The ids there would be, with the server's host and port.
    fn expect(&self, users: &[&str]) {
        let ids: String = users
            .iter()
            .map(|user| format!("git/http/{}/{user}\n", self.server.host()))
            .collect();
        assert_eq!(self.ids(), ids);
    }

    /// A commit in the work tree `name`.
    fn commit(&self, name: &str) {
        self.git(&[
            "-C",
            name,
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "one more",
        ])
        .run()
        .succeeds();
    }

    #[track_caller]
    fn assert_clean(&self) {
        let home = Snapshot::of(&self.sandbox.home());
        for canary in [FIRST, SECOND] {
            assert!(!home.contains(canary.as_bytes()), "{canary}");
        }
    }
}

fn login(username: &str, password: &str) -> Option<(String, String)> {
    Some((username.into(), password.into()))
}

#[test]
fn a_password_typed_once_serves_until_it_changes() {
    let home = Home::new();
    home.server.repository("a.git", "zoe", FIRST);
    let url = home.server.url("a.git");

    // No terminal, nothing in the store.
    let output = home.git(&["clone", "--quiet", &url, "nothing"]).run();
    assert!(!output.status.success(), "{output:?}");

    let output = home.asking(&["clone", "--quiet", &url, "work"], "zoe", FIRST);
    output.succeeds();
    assert!(home.was_asked());
    home.expect(&["zoe"]);
    home.assert_clean();

    // From here on there is no terminal.
    let before = Snapshot::of(&home.sandbox.store());
    drop(home.server.seen());
    home.commit("work");
    home.git(&["-C", "work", "push", "--quiet"])
        .run()
        .succeeds_silently();
    home.git(&["clone", "--quiet", &url, "again"])
        .run()
        .succeeds_silently();
    assert!(home.sandbox.home().join("again/.git/refs").exists());
    let log = home.git(&["-C", "again", "log", "--format=%s"]).run();
    assert_eq!(log.succeeds_silently().out(), "one more\n");
    assert!(home.server.seen().contains(&login("zoe", FIRST)));
    // What has served is not written again.
    assert_eq!(Snapshot::of(&home.sandbox.store()), before);

    // The password is changed: refused, and erased.
    home.server.account("a.git", "zoe", SECOND);
    home.commit("work");
    let push = home.git(&["-C", "work", "push", "--quiet"]).run();
    assert!(!push.status.success(), "{push:?}");
    home.expect(&[]);
    home.asking(&["-C", "work", "push", "--quiet"], "zoe", SECOND)
        .succeeds();
    assert!(home.was_asked());
    home.git(&["-C", "again", "pull", "--quiet"])
        .run()
        .succeeds_silently();
    home.expect(&["zoe"]);
    home.assert_clean();
}

#[test]
fn two_users_of_one_host_push_as_themselves() {
    let home = Home::new();
    home.server.repository("a.git", "zoe", FIRST);
    home.server.repository("a.git", "bob", SECOND);
    let host = home.server.host();
    for (user, password) in [("zoe", FIRST), ("bob", SECOND)] {
        let url = format!("http://{user}@{host}/a.git");
        home.asking(&["clone", "--quiet", &url, user], "unused", password)
            .succeeds();
        assert!(home.was_asked());
    }
    home.expect(&["bob", "zoe"]);
    for (user, password, other) in [
        ("zoe", FIRST, "bob"),
        ("bob", SECOND, "zoe"),
        ("zoe", FIRST, "bob"),
    ] {
        drop(home.server.seen());
        home.git(&["-C", user, "pull", "--quiet"]).run();
        home.commit(user);
        home.git(&["-C", user, "push", "--quiet"])
            .run()
            .succeeds_silently();
        let seen = home.server.seen();
        assert!(seen.contains(&login(user, password)), "{seen:?}");
        assert!(
            !seen.iter().flatten().any(|(name, _)| name == other),
            "{seen:?}"
        );
        home.git(&["-C", other, "pull", "--quiet", "origin", "main"])
            .run()
            .succeeds_silently();
    }
    home.assert_clean();
}

#[test]
fn with_its_path_each_repository_of_a_host_has_its_own_password() {
    let home = Home::new();
    home.server.repository("a.git", "zoe", FIRST);
    home.server.repository("b.git", "zoe", SECOND);
    let clone = |repository, to: &str, password| {
        let url = home.server.url(repository);
        home.asking(&["clone", "--quiet", &url, to], "zoe", password)
    };
    // Without it the password of the one is tried on the other, and erased.
    clone("a.git", "a1", FIRST).succeeds();
    let tried = clone("b.git", "b1", SECOND);
    assert!(!tried.status.success(), "{tried:?}");
    home.expect(&[]);
    clone("b.git", "b1", SECOND).succeeds();
    home.git(&["-C", "b1", "fetch", "--quiet"])
        .run()
        .succeeds_silently();
    let fetch = home.git(&["-C", "a1", "fetch", "--quiet"]).run();
    assert!(!fetch.status.success(), "{fetch:?}");
    home.expect(&[]);

    home.git(&["config", "--global", "credential.useHttpPath", "true"])
        .run()
        .succeeds();
    clone("a.git", "a2", FIRST).succeeds();
    clone("b.git", "b2", SECOND).succeeds();
    home.expect(&["zoe/a.git", "zoe/b.git"]);
    assert!(home.was_asked());
    for work in ["a2", "b2", "a1", "b1"] {
        home.git(&["-C", work, "fetch", "--quiet"])
            .run()
            .succeeds_silently();
    }
    assert!(!home.was_asked());
    home.assert_clean();
}

#[test]
fn parallel_fetches_leave_the_password_where_it_is() {
    let home = Home::new();
    home.server.repository("a.git", "zoe", FIRST);
    let url = home.server.url("a.git");
    home.asking(&["clone", "--quiet", &url, "work"], "zoe", FIRST)
        .succeeds();
    home.commit("work");
    home.git(&["-C", "work", "push", "--quiet"])
        .run()
        .succeeds_silently();
    let before = Snapshot::of(&home.sandbox.store());
    let start = |n| {
        let to = format!("clone-{n}");
        home.git(&["clone", "--quiet", &url, &to]).start()
    };
    let running: Vec<_> = (0..8).map(start).collect();
    for clone in running {
        clone.wait().succeeds_silently();
    }
    assert_eq!(Snapshot::of(&home.sandbox.store()), before);
}

#[test]
fn a_person_at_a_terminal_is_asked_for_what_is_needed_and_once() {
    let home = Home::new();
    home.server.repository("a.git", "zoe", FIRST);
    let key = keys::locked(&home.sandbox, "ssh-ed25519-locked");
    let init = home.sandbox.posixage(["init", "-i"]).arg(&key);
    init.run().succeeds();
    let url = home.server.url("a.git");
    let clone = |to| {
        let clone = home.git(&["clone", "--quiet", &url, to]);
        Terminal::start(
            clone
                .env("POSIXAGE_IDENTITY", &key)
                .env_remove("GIT_TERMINAL_PROMPT"),
        )
    };
    // There is nothing to open yet, and to keep what is typed takes no private key.
    let mut first = clone("first");
    first.wait_for("Username");
    first.types("zoe");
    first.answers("Password", FIRST);
    let end = first.wait().exits(0);
    assert!(
        !end.screen.contains("passphrase") && !end.screen.contains(FIRST),
        "{end:?}"
    );
    home.expect(&["zoe"]);

    let mut second = clone("second");
    second.answers("passphrase", &keys::passphrase());
    let end = second.wait().exits(0);
    assert_eq!(end.screen.matches("passphrase").count(), 1, "{end:?}");
    assert!(!end.screen.contains("Username"), "{end:?}");
    home.assert_clean();
}

#[test]
fn the_page_does_what_it_says_word_for_word() {
    let sandbox = Sandbox::new();
    let sh = |script: &str| {
        let sh = sandbox.client("sh").args(["-euc", script]);
        sh.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .run()
    };
    let page = "cli/docs/git.md";
    let [set_up, try_it, look, move_old] = page::blocks(page, "sh").try_into().unwrap();
    sh(&set_up).succeeds_silently();
    let shown = page::blocks(page, "console").remove(0);
    assert_eq!(sh(&try_it).succeeds().out().trim_end(), shown);
    assert_eq!(
        sh(&look).succeeds_silently().out(),
        "git/https/example.com/zoe\n"
    );
    let old = format!("https://zoe:{FIRST}@example.com\nhttp://bob:p%40ss@h%3a80/a.git\n");
    let old = sandbox.file("home/.git-credentials", old);
    sh(&move_old).succeeds_silently();
    assert!(!old.exists());
    for (place, password) in [
        ("https://example.com", FIRST),
        ("http://bob@h:80/a.git", "p@ss"),
    ] {
        let fill = unattended_git(&sandbox, &[]).args(["credential", "fill"]);
        let filled = fill
            .input(format!("url={place}\n"))
            .run()
            .succeeds_silently();
        assert!(
            filled.out().ends_with(&format!("password={password}\n")),
            "{filled:?}"
        );
    }
}

/// What `move_old` of the page does to that file; whether it is gone.
fn moves(sandbox: &Sandbox, old: &str, environment: (&str, &str)) -> bool {
    let blocks = page::blocks("cli/docs/git.md", "sh");
    let [_, _, _, move_old] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    let old = sandbox.file("home/.git-credentials", old);
    // As it is pasted: no option of the shell's ends it at the first failure.
    let sh = sandbox.client("sh").args(["-c", move_old]);
    let moved = sh.env(environment.0, environment.1).run();
    assert_eq!(moved.status.success(), !old.exists(), "{moved:?}");
    !old.exists()
}

#[test]
fn every_line_is_moved_and_the_first_of_a_host_wins() {
    let sandbox = Sandbox::new();
    let old = format!("https://zoe:{FIRST}@h\n\nhttps://former:{SECOND}@h\nhttps://last:p@other");
    assert!(moves(&sandbox, &old, ("LANG", "C")));
    for (host, user) in [("h", "zoe"), ("other", "last")] {
        let filled = fill(&sandbox, &format!("url=https://{host}\n")).unwrap();
        assert!(filled.contains(&format!("username={user}\n")), "{filled}");
    }
    let ids = "git/https/h/former\ngit/https/h/zoe\ngit/https/other/last\n";
    assert_eq!(sandbox.run(["list"]).succeeds_silently().out(), ids);
}

#[test]
fn what_could_not_be_moved_is_not_removed() {
    let sandbox = Sandbox::new();
    let old = format!("https://zoe:{FIRST}@h\nhttps://bob:{SECOND}@h\n");
    let nowhere = sandbox.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    assert!(!moves(&sandbox, &old, ("POSIXAGE_STORE", nowhere)));
    // The helper is not to be found.
    let path = std::env::var("PATH").unwrap_or_default();
    assert!(!moves(&sandbox, &old, ("PATH", &path)));
    assert!(!moves(&sandbox, &format!("# mine\n{old}"), ("LANG", "C")));
    assert!(moves(&sandbox, &old, ("LANG", "C")), "the control");
}
