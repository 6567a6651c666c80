//! Claim: a service finds its key where systemd puts it, with the modes and owners that systemd gives
//! it, and takes none that systemd would not have put there.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use posixage_tests::{Program, Sandbox, golden, tools};

const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A credential as systemd would hand it over.
fn credential(sandbox: &Sandbox, name: &str, key: &str, mode: u32) -> PathBuf {
    let key = fs::read(golden::key(sandbox, key)).expect("a key");
    let path = sandbox.file(format!("credentials/{name}"), key);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    path
}

fn get(sandbox: &Sandbox, store: &str) -> Program {
    let store = golden::store(sandbox, store);
    let get = sandbox.posixage(["get", "a"]).env("POSIXAGE_STORE", store);
    get.env(DIRECTORY, sandbox.path().join("credentials"))
}

#[test]
fn an_identity_or_a_password_there_is_used() {
    for mode in [0o400, 0o440, 0o600] {
        let sandbox = Sandbox::new();
        credential(&sandbox, "posixage.identity", "age-1.txt", mode);
        assert_eq!(get(&sandbox, "age").run().succeeds_silently().out(), "1");
        let sandbox = Sandbox::new();
        credential(&sandbox, "posixage.password", "password.txt", mode);
        let get = get(&sandbox, "password-logn10");
        assert_eq!(get.run().succeeds_silently().out(), "1");
    }
}

#[test]
fn what_more_than_a_group_may_read_is_refused() {
    for mode in [0o444, 0o460, 0o604, 0o644] {
        let sandbox = Sandbox::new();
        let path = credential(&sandbox, "posixage.identity", "age-1.txt", mode);
        get(&sandbox, "age")
            .run()
            .fails(8)
            .says([path.to_str().unwrap()]);
    }
    // The same mode anywhere else is what it looks like.
    let sandbox = Sandbox::new();
    let path = credential(&sandbox, "posixage.identity", "age-1.txt", 0o440);
    let get = get(&sandbox, "age").env(DIRECTORY, sandbox.directory("empty"));
    get.clone().arg("-i").arg(&path).run().fails(8);
    get.env("POSIXAGE_IDENTITY", &path).run().fails(8);
}

#[test]
fn the_files_of_root_with_an_entry_for_the_user_are_readable() {
    if !tools::is_root() {
        tools::left_out("root's files with an access control list, which take root to make");
        return;
    }
    let sandbox = Sandbox::ordinary();
    let path = credential(&sandbox, "posixage.identity", "age-1.txt", 0o400);
    let directory = path.parent().unwrap();
    let get = get(&sandbox, "age");
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    std::os::unix::fs::chown(directory, Some(0), Some(0)).unwrap();
    let refused = get.clone().run();
    assert!(!refused.status.success(), "the control: {refused:?}");
    for (entry, path) in [("u:nobody:r", path.as_path()), ("u:nobody:rx", directory)] {
        let setfacl = Program::new(tools::need("setfacl", "acl"));
        setfacl.args(["-m", entry]).arg(path).run().succeeds();
    }
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o440
    );
    assert_eq!(get.run().succeeds_silently().out(), "1");
}

#[test]
fn it_comes_behind_the_environment_and_before_the_config_file() {
    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "age");
    let key = |name| golden::key(&sandbox, name).to_str().unwrap().to_owned();
    let (fits, stranger) = (key("age-1.txt"), key("age-stranger.txt"));
    let get = || {
        let get = sandbox.posixage(["get", "a"]).env("POSIXAGE_STORE", &store);
        get.env(DIRECTORY, sandbox.path().join("credentials"))
    };
    credential(&sandbox, "posixage.identity", "age-1.txt", 0o400);
    sandbox.config(&format!("identities = [\"{stranger}\"]\n"));
    get().run().succeeds_silently();
    get().env("POSIXAGE_IDENTITY", &stranger).run().fails(5);
    get().args(["-i", &stranger]).run().fails(5);
    fs::remove_file(sandbox.path().join("credentials/posixage.identity")).unwrap();
    credential(&sandbox, "posixage.identity", "age-stranger.txt", 0o400);
    get().run().fails(5).says(["posixage.identity"]);
    get()
        .env("POSIXAGE_IDENTITY", &fits)
        .run()
        .succeeds_silently();
    // Other credentials of the service change nothing.
    let other = sandbox.directory("other");
    sandbox.config(&format!("identities = [\"{fits}\"]\n"));
    get().env(DIRECTORY, other).run().succeeds_silently();

    let sandbox = Sandbox::new();
    let store = golden::store(&sandbox, "password-logn10");
    let get = || {
        let get = sandbox.posixage(["get", "a"]).env("POSIXAGE_STORE", &store);
        get.env(DIRECTORY, sandbox.path().join("credentials"))
    };
    credential(&sandbox, "posixage.password", "password.txt", 0o400);
    sandbox.config("password-command = \"echo wrong\"\n");
    get().run().succeeds_silently();
    get().env("POSIXAGE_PASSWORD", "wrong").run().fails(5);
}

#[test]
fn the_first_secret_of_a_service_is_encrypted_to_its_key() {
    let sandbox = Sandbox::new();
    credential(&sandbox, "posixage.identity", "age-1.txt", 0o400);
    let directory = sandbox.path().join("credentials");
    let store = sandbox
        .helper("docker-credential-posixage")
        .env(DIRECTORY, &directory)
        .arg("store")
        .input(r#"{"ServerURL":"host","Username":"zoe","Secret":"secret"}"#);
    store.run().succeeds();
    assert!(!sandbox.identity().exists());
    let get = || {
        sandbox
            .helper("docker-credential-posixage")
            .arg("get")
            .input("host")
    };
    let answer = get().env(DIRECTORY, &directory).run().succeeds_silently();
    assert!(answer.out().contains("\"Secret\":\"secret\""), "{answer:?}");
    let without = get().run();
    assert_eq!(without.status.code(), Some(1), "the control: {without:?}");
}
