//! Canaries: values that must not appear anywhere but where they belong.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Output, Program, Sandbox, golden, keys};

/// The value of a secret.
pub const VALUE: &str = "canary-of-the-value-J8Q";

/// A store's password.
pub const PASSWORD: &str = "canary-of-the-password-W2Z";

/// The texts that must not be seen, in each form in which they might be.
#[must_use]
pub fn canaries(texts: &[&str]) -> Vec<String> {
    let forms = |text: &&str| {
        let bytes = text.as_bytes();
        let decimal: Vec<String> = bytes.iter().take(6).map(ToString::to_string).collect();
        let hex: String = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
        vec![
            (*text).to_owned(),
            text.to_uppercase(),
            decimal.join(", "),
            hex,
            base64(bytes),
        ]
    };
    texts.iter().flat_map(forms).collect()
}

/// The first nine bytes in base64, as they would begin.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes[..9].chunks(3) {
        let n = chunk.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        text.extend([18, 12, 6, 0].map(|shift| char::from(ALPHABET[n >> shift & 63])));
    }
    text
}

/// Asserts that a text shows none of them.
///
/// # Panics
/// If it shows one.
#[track_caller]
pub fn assert_clean(what: &str, text: &[u8], canaries: &[String]) {
    for canary in canaries {
        let found = text
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        let text = String::from_utf8_lossy(text);
        assert!(!found, "{canary:?} is in {what}:\n{text}");
    }
}

/// Asserts that all that a program of ours wrote, but for the value that it was asked for, shows none.
///
/// # Panics
/// It does.
#[track_caller]
pub fn assert_quiet(output: &Output, canaries: &[String]) {
    assert_clean("standard error", &output.stderr, canaries);
    if output.out() != VALUE {
        assert_clean("standard output", &output.stdout, canaries);
    }
}

/// A store for an identity, an SSH key and a password, and the secret lines of their files.
pub struct Store {
    /// Where it is.
    pub sandbox: Sandbox,
    /// A file with [`PASSWORD`].
    pub password_file: PathBuf,
    /// What must not be seen.
    pub canaries: Vec<String>,
}

/// In a new sandbox.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn store() -> Store {
    let sandbox = Sandbox::new();
    let ssh = fs::read_to_string(golden::key(&sandbox, "ssh-ed25519.pub")).expect("a key");
    sandbox.run(["init"]).succeeds();
    fs::write(
        sandbox.store().join(".posixage.toml"),
        format!(
            "format = 1\nrecipients = [\"{}\", \"{}\"]\npassword = true\nscrypt-work-factor = 2\n",
            recipient(&sandbox.identity()),
            ssh.trim(),
        ),
    )
    .expect("write");
    let identity = fs::read_to_string(sandbox.identity()).expect("the identity");
    let identity = identity
        .lines()
        .find(|l| l.starts_with("AGE-SECRET"))
        .expect("a key");
    let ssh = fs::read_to_string(golden::key(&sandbox, "ssh-ed25519")).expect("a key");
    let ssh = ssh.lines().nth(3).expect("the private part");
    let password_file = sandbox.file("password", format!("{PASSWORD}\n"));
    let passphrase = keys::passphrase();
    let canaries = canaries(&[VALUE, PASSWORD, identity, ssh, &passphrase]);
    Store {
        sandbox,
        password_file,
        canaries,
    }
}

fn recipient(identity: &Path) -> String {
    let text = fs::read_to_string(identity).expect("the identity");
    let line = text.lines().find_map(|l| l.strip_prefix("# public key: "));
    line.expect("its public half").to_owned()
}

impl Store {
    /// Every command, in ways that work and in ways that fail, with all that it needs and as
    /// talkative as can be.
    ///
    /// # Panics
    /// A key is not there.
    #[must_use]
    pub fn every_command(&self) -> Vec<Program> {
        let posixage = |args: &[&str]| {
            let program = self.sandbox.posixage(["-v"]).args(args);
            program
                .env("POSIXAGE_PASSWORD_FILE", &self.password_file)
                .input(VALUE)
        };
        let json = serde_json::json!({ "secret": VALUE, "metadata": { "k": "v" } }).to_string();
        let stranger = golden::key(&self.sandbox, "age-stranger.txt");
        let stranger = stranger.to_str().expect("UTF-8");
        let id_with_value = format!("no id={VALUE}");
        vec![
            posixage(&["set", "x"]),
            posixage(&["set", "x"]),
            posixage(&["set", "--force", "x"]),
            posixage(&["set", "--json", "json"]).input(json.clone()),
            posixage(&["set", "--json", "json"]).input(&json.as_bytes()[..json.len() - 1]),
            posixage(&["set", "--json", "json"]).input(VALUE),
            posixage(&["set", "--json", "json"]).input(format!("\"{VALUE}\"")),
            posixage(&["set", "--json", "json"]).input(format!("{{\"{VALUE}\":\"{VALUE}\"}}")),
            posixage(&["set", "--json", "json"]).input(format!("{{\"secret\":{{\"{VALUE}\":1}}}}")),
            posixage(&["set", "--json", "b"]).input(format!(
                "{{\"secret\":\"{VALUE}\",\"encoding\":\"base64\"}}"
            )),
            posixage(&["set", "no id"]),
            posixage(&["set", &id_with_value]),
            posixage(&["set", &format!("x={VALUE}")]),
            posixage(&["set", &format!("={VALUE}")]),
            posixage(&["set", "--store", "/nowhere", &format!("x={VALUE}")]),
            posixage(&["get", "x"]),
            posixage(&["get", "missing"]),
            posixage(&["get", "--metadata", "x"]),
            posixage(&["get", "x", "-i", stranger]).env("POSIXAGE_PASSWORD_FILE", stranger),
            posixage(&[
                "get",
                "x",
                "-i",
                self.password_file.to_str().expect("UTF-8"),
            ]),
            posixage(&["get", "x", "--password-file", "/nowhere"]),
            posixage(&["list", "--long"]),
            posixage(&["list", "--json"]),
            posixage(&["list", "--tree"]),
            posixage(&["status"]),
            posixage(&["status", "--json"]),
            posixage(&["init"]),
            posixage(&["verify", "--decrypt"]),
            posixage(&["verify", "--json"]),
            posixage(&["lock", "--", "true"]),
            posixage(&["rm", "missing"]),
            posixage(&["rm", "x"]),
        ]
    }
}
