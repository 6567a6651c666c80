//! Claim: at its end a program has no value, password, passphrase or key left in its memory.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use posixage_tests::{
    Program, Sandbox,
    canary::{PASSWORD, Store, VALUE, store},
    docker_helper::{self, helper},
    golden, memory, tools,
};
use serde_json::json;

/// Both halves of a value that JSON escapes: the buffer that joins them is the parser's own.
fn escaped() -> String {
    format!("{VALUE}\\u0041\\n{VALUE}")
}

/// The keys as they are used, not as they are written: the age identity's scalar, and the seed of
/// the SSH key.
fn raw_keys(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    const BECH32: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let identity = fs::read_to_string(sandbox.identity()).expect("the identity");
    let key = identity
        .lines()
        .find_map(|l| l.strip_prefix("AGE-SECRET-KEY-1"));
    let digits = key.expect("a key").chars().map(|c| {
        let digit = BECH32.find(c.to_ascii_lowercase());
        u16::try_from(digit.expect("bech32")).expect("5 bits")
    });
    let (mut scalar, mut bits, mut held) = (Vec::new(), 0, 0_u16);
    for digit in digits {
        held = held << 5 | digit;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            scalar.push((held >> bits).to_le_bytes()[0]);
            held &= (1 << bits) - 1;
        }
    }
    scalar.truncate(32);

    let ssh = fs::read_to_string(golden::key(sandbox, "ssh-ed25519")).expect("a key");
    let body: String = ssh.lines().filter(|l| !l.starts_with("-----")).collect();
    let body = BASE64_STANDARD.decode(body).expect("base64");
    // The seed stands between its length, 64, and the public key, which stands before it, too.
    let public = fs::read_to_string(golden::key(sandbox, "ssh-ed25519.pub")).expect("a key");
    let public = public.split(' ').nth(1).expect("base64");
    let public = BASE64_STANDARD.decode(public).expect("base64");
    let public = &public[public.len() - 32..];
    let at = body
        .windows(32)
        .rposition(|w| w == public)
        .expect("the public half");
    vec![scalar, body[at - 32..at].to_vec()]
}

/// What must not be found: the texts, in each form, and the keys.
fn needles(store: &Store) -> Vec<Vec<u8>> {
    let texts = store.canaries.iter().map(|text| text.clone().into_bytes());
    texts.chain(raw_keys(&store.sandbox)).collect()
}

#[track_caller]
fn leaves_nothing(what: &str, program: Program, needles: &[Vec<u8>]) {
    for (name, bytes) in memory::at_exit(program) {
        for needle in needles {
            let found = find(&bytes, needle).map(|at| {
                let around = at.saturating_sub(32)..bytes.len().min(at + needle.len() + 32);
                String::from_utf8_lossy(&bytes[around]).into_owned()
            });
            assert_eq!(found, None, "{what} leaves this in {name}");
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        from += at;
        if bytes[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
    None
}

fn may_look() -> bool {
    let may = tools::may_trace();
    if !may {
        tools::left_out("the memory at exit: only root may look into posixage's");
    }
    may
}

#[test]
fn no_command_leaves_a_secret_in_its_memory() {
    if !may_look() {
        return;
    }
    let store = store();
    let needles = needles(&store);
    for (n, program) in store.every_command().into_iter().enumerate() {
        leaves_nothing(&format!("command {n}"), program, &needles);
    }
    let posixage = |args: &[&str]| store.sandbox.posixage(args);
    let json = |secret: &str, end: &str| {
        let set = posixage(&["set", "--force", "--json", "x"]);
        let set = set.env("POSIXAGE_PASSWORD_FILE", &store.password_file);
        set.input(format!("{{\"secret\":\"{secret}\"{end}"))
    };
    leaves_nothing("set --json", json(&escaped(), "}"), &needles);
    leaves_nothing("set of bad JSON", json(&escaped(), ", bad"), &needles);
    leaves_nothing("get", posixage(&["get", "x"]), &needles);
    leaves_nothing("get --json", posixage(&["get", "--json", "x"]), &needles);
    let ssh = golden::key(&store.sandbox, "ssh-ed25519");
    let ssh = ssh.to_str().expect("UTF-8");
    leaves_nothing("get by SSH", posixage(&["get", "x", "-i", ssh]), &needles);
    leaves_nothing("verify", posixage(&["verify", "--decrypt"]), &needles);
    store.sandbox.config(&format!(
        "password-command = \"cat '{}'\"\n",
        store.password_file.display()
    ));
    let other = golden::key(&store.sandbox, "ssh-rsa");
    let get = posixage(&["get", "x", "-i"]).arg(&other);
    leaves_nothing("get by password-command", get, &needles);
    // The control: what the process holds is found.
    let held = Program::new("sh").args(["-c", &format!("x={PASSWORD}; exit")]);
    let held = memory::at_exit(held);
    assert!(
        held.iter()
            .any(|(_, bytes)| find(bytes, PASSWORD.as_bytes()).is_some())
    );
}

#[test]
fn no_helper_leaves_a_secret_in_its_memory() {
    if !may_look() {
        return;
    }
    let store = store();
    let needles = needles(&store);
    let sandbox = &store.sandbox;
    let with_password = |p: Program| p.env("POSIXAGE_PASSWORD_FILE", &store.password_file);

    let request = docker_helper::request("h", "u", VALUE);
    let set = helper(sandbox, "store", request);
    leaves_nothing("docker store", with_password(set), &needles);
    let request = format!(
        "{{\"ServerURL\":\"h\",\"Username\":\"u\",\"Secret\":\"{}\"}}",
        escaped()
    );
    let set = helper(sandbox, "store", request);
    leaves_nothing("docker store, escaped", with_password(set), &needles);
    let request = docker_helper::request("h/access-token", VALUE, "s");
    let set = helper(sandbox, "store", request);
    leaves_nothing("docker store of a token", with_password(set), &needles);
    for action in ["get", "list", "erase"] {
        let program = helper(sandbox, action, "h");
        leaves_nothing(&format!("docker {action}"), program, &needles);
    }

    let description = format!(
        "protocol=https\nhost=h\nusername=u\npassword={VALUE}\noauth_refresh_token={VALUE}\n\n"
    );
    for action in ["store", "get", "store", "erase"] {
        let git = sandbox.helper("git-credential-posixage").arg(action);
        let git = with_password(git.input(description.clone()));
        leaves_nothing(&format!("git {action}"), git, &needles);
    }

    let registry = json!({"index-url": "sparse+https://c/", "name": "c"});
    let cargo = |request: &serde_json::Value| {
        let cargo = sandbox.helper("cargo-credential-posixage");
        let cargo = cargo.arg("--cargo-plugin").input(format!("{request}\n"));
        with_password(cargo)
    };
    let login =
        json!({"v": 1, "registry": registry, "kind": "login", "token": VALUE, "login-url": null});
    let output = cargo(&login).run();
    assert!(output.out().contains("login"), "{output:?}");
    for request in [
        json!({"v": 1, "registry": registry, "kind": "get", "operation": "read"}),
        json!({"v": 1, "registry": registry, "kind": "logout"}),
    ] {
        let what = format!("cargo {}", request["kind"]);
        leaves_nothing(&what, cargo(&request), &needles);
    }
}
