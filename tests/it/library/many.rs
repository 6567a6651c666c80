//! Claim: a store of 100,000 secrets can be listed, checked and written to, and to list it takes less
//! than 100 MiB of memory.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use posixage::Id;
use posixage_tests::{Program, Sandbox};

const SECRETS: usize = 100_000;

/// How many secrets share a file: some file systems allow no more than 65,000 links to one.
const SHARE: usize = 10_000;

fn directory(store: &Path, id: usize) -> PathBuf {
    let id: Id = id.to_string().parse().expect("an id");
    store.join(id.directory_name())
}

#[test]
fn a_hundred_thousand_secrets() {
    let sandbox = Sandbox::new();
    // In memory where that can be: to make them takes minutes on a disk.
    let shm = Path::new("/dev/shm");
    let place = if shm.is_dir() {
        shm.into()
    } else {
        std::env::temp_dir()
    };
    let place = tempfile::Builder::new()
        .prefix("posixage-test.")
        .tempdir_in(place);
    let place = place.expect("a directory");
    let store = place.path().join("store");
    let posixage = |args: &[&str]| sandbox.posixage(["--store"]).arg(&store).args(args);
    posixage(&["init"]).run().succeeds();
    let metadata = "{\"user\":\"zoe\"}";
    for id in (0..SECRETS).step_by(SHARE) {
        posixage(&["set", &id.to_string(), "--metadata", "user=zoe"])
            .input("the value")
            .run()
            .succeeds();
        let first = directory(&store, id);
        assert_eq!(
            fs::read_to_string(first.join("metadata.json")).expect("read"),
            metadata
        );
        for id in id + 1..id + SHARE {
            let directory = directory(&store, id);
            DirBuilder::new()
                .mode(0o700)
                .create(&directory)
                .expect("mkdir");
            for file in ["metadata.json", "secretage"] {
                fs::hard_link(first.join(file), directory.join(file)).expect("link");
            }
        }
    }
    let lean =
        |args: &[&str]| -> Program { posixage(args).behind(["prlimit", "--data=104857600", "--"]) };

    let list = lean(&["list"]).run().succeeds_silently();
    let mut expected: Vec<String> = (0..SECRETS).map(|id| id.to_string()).collect();
    expected.sort();
    assert!(list.out().lines().eq(expected.iter().map(String::as_str)));
    for form in ["--long", "--tree"] {
        let list = lean(&["list", form]).run().succeeds_silently();
        assert_eq!(list.out().lines().count(), SECRETS);
    }
    let list = lean(&["list", "--json"]).run().succeeds_silently();
    assert_eq!(list.out().matches(metadata).count(), SECRETS);

    lean(&["verify"]).run().succeeds_silently();
    lean(&["set", "new"]).input("new").run().succeeds_silently();
    assert_eq!(lean(&["get", "new"]).run().succeeds().out(), "new");
    lean(&["rm", "99998"]).run().succeeds_silently();
    lean(&["get", "99998"]).run().fails(3);
    assert_eq!(lean(&["get", "99999"]).run().succeeds().out(), "the value");
}
