//! A secret's directory as other programs may have left it: files, links, FIFOs, directories and garbage.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use posixage::{Error, Secret, Store, VerifyOptions};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use arbitrary::Unstructured;

use super::{choose, next, take};
use crate::{
    place::{Place, id, make_dir, write},
    tree::Snapshot,
};

const NAMES: [&str; 9] = [
    "metadata.json",
    "secretage",
    "secretssh",
    "secretpass",
    "secretage.tmp",
    "secretzz",
    ".posixage.x",
    "deep",
    "\u{202e}\n",
];

const LINKS: [&str; 7] = [
    "metadata.json",
    "secretage",
    ".",
    "../..",
    "../../outside/file",
    "../../outside",
    "/dev/zero",
];

const MODES: [u32; 6] = [0o600, 0o400, 0o644, 0o660, 0o000, 0o700];

/// The values that were ever encrypted here.
const VALUES: [&str; 2] = ["first", "second"];

struct Ground {
    place: Place,
    sealed: [Vec<u8>; 2],
    outside: Snapshot,
}

thread_local! {
    static GROUND: Ground = {
        let place = Place::in_memory();
        let outside = place.dir().join("outside");
        make_dir(&outside);
        write(&outside.join("file"), 0o600, b"canary");
        Ground {
            sealed: VALUES.map(|value| place.seal(value)),
            outside: Snapshot::of(&outside),
            place,
        }
    };
}

/// The input says what lies in the directory, and what is done to the store.
pub fn run(input: &[u8]) {
    GROUND.with(|ground| {
        let mut bytes = Unstructured::new(input);
        let x = id("x");
        let secret = ground.place.secret(&x);
        build(ground, &secret, &mut bytes);
        look(ground);
        let store = ground.place.open();
        if next(&mut bytes).is_multiple_of(2) {
            let repair = VerifyOptions::new().with_repair(true);
            verify(ground, repair);
            look(ground);
        }
        // Whatever it was, it can be replaced, read, and removed.
        match next(&mut bytes) % 3 {
            0 => store.set(&x, &Secret::new("new")).expect("set"),
            1 => match store.create(&x, &Secret::new("new")) {
                Ok(()) => {}
                Err(Error::AlreadyExists { .. }) => {
                    store.set(&x, &Secret::new("new")).expect("set");
                }
                Err(error) => panic!("{error}"),
            },
            _ => {
                match store.remove(&x) {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                store.create(&x, &Secret::new("new")).expect("create");
            }
        }
        assert_eq!(store.get(&x).expect("get").expose(), b"new");
        let mut findings = Vec::new();
        let decrypt = VerifyOptions::new().with_decrypt(true);
        store
            .verify(decrypt, |finding| findings.push(finding))
            .expect("verify");
        assert!(
            findings.iter().all(|f| !f.problem.is_wrong()),
            "{findings:?}"
        );
        store.remove(&x).expect("remove");
        assert_eq!(store.count().expect("count"), 0);
        let outside = ground.place.dir().join("outside");
        assert_eq!(Snapshot::of(&outside), ground.outside);
        let left: Vec<_> = fs::read_dir(ground.place.root())
            .expect("the root")
            .collect();
        assert_eq!(left.len(), 2, "the lock file and .posixage.toml: {left:?}");
    });
}

/// Unsafe permissions are a finding like others; what may not be read is an error.
fn verify(ground: &Ground, what: VerifyOptions) {
    let builder = Store::builder(ground.place.root()).identity(ground.place.identity().clone());
    let builder = builder.allow_insecure_permissions(true);
    let store = builder.open().expect("open the store");
    match store.verify(what, |finding| drop(finding.to_string())) {
        Ok(()) => {}
        Err(error) => assert!(is_refused(&error), "{error:?}"),
    }
}

/// An ordinary user cannot read a file of mode 0.
fn is_refused(error: &Error) -> bool {
    let kind = std::io::ErrorKind::PermissionDenied;
    matches!(error, Error::Io { error, .. } if error.kind() == kind)
}

/// Reads in every way. A value that comes out is one that went in.
fn look(ground: &Ground) {
    let (store, x) = (ground.place.open(), id("x"));
    let known = |secret: &Secret| VALUES.iter().any(|v| v.as_bytes() == secret.expose());
    match store.get(&x) {
        Ok(secret) => assert!(known(&secret)),
        Err(
            Error::NotFound { .. }
            | Error::Damaged { .. }
            | Error::NoKeyFits { .. }
            | Error::InsecurePermissions { .. },
        ) => {}
        Err(error) => assert!(is_refused(&error), "{error:?}"),
    }
    let all = "**".parse().expect("a pattern");
    for entry in store.list(&all).expect("list") {
        assert_eq!(entry.id, x);
    }
    for (found, secret) in store.filter(&all).expect("filter") {
        assert_eq!(found, x);
        assert!(secret.as_ref().is_ok_and(known) || secret.is_err());
    }
    verify(ground, VerifyOptions::new().with_decrypt(true));
}

fn build(ground: &Ground, secret: &Path, bytes: &mut Unstructured<'_>) {
    match next(bytes) % 8 {
        0 => return symlink(choose(bytes, &LINKS), secret).expect("a link"),
        1 => return write(secret, 0o600, take(bytes)),
        2 => return fifo(secret),
        3 => return,
        _ => make_dir(secret),
    }
    for _ in 0..8 {
        if bytes.is_empty() {
            break;
        }
        let name = choose(bytes, &NAMES);
        let path = secret.join(name);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match next(bytes) % 8 {
            0 => symlink(choose(bytes, &LINKS), &path).expect("a link"),
            1 => fifo(&path),
            2 => {
                make_dir(&path);
                write(&path.join("inside"), 0o600, take(bytes));
                symlink("../../../outside", path.join("link")).expect("a link");
            }
            3 => write(&path, choose(bytes, &MODES), take(bytes)),
            4 => write(&path, 0o600, br#"{"user":"zoe"}"#),
            5 => write(&path, 0o600, b"null"),
            6 => write(
                &path,
                choose(bytes, &MODES),
                &ground.sealed[usize::from(next(bytes) % 2)],
            ),
            _ => {
                let mut sealed = ground.sealed[usize::from(next(bytes) % 2)].clone();
                let at = usize::from(next(bytes)) % sealed.len();
                match next(bytes) % 3 {
                    0 => sealed.truncate(at),
                    1 => sealed[at] ^= next(bytes),
                    _ => drop(sealed.splice(at..at, take(bytes).iter().copied())),
                }
                write(&path, 0o600, &sealed);
            }
        }
    }
    let mode = fs::Permissions::from_mode(choose(bytes, &[0o700, 0o700, 0o500, 0o755, 0o770]));
    fs::set_permissions(secret, mode).expect("chmod");
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("mkfifo");
}
