//! The store against yardsticks: what the system calls, or the cryptography, of the same work cost.
//!
//! `cargo bench -p posixage` prints a table of medians. Ours and the yardstick are timed in turns, so
//! that whatever else the machine does falls on both. With `--test` each runs once.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use posixage::{Config, Id, Identity, Metadata, Pattern, Secret, Store, secrecy::ExposeSecret};
use rustix::fs::{CWD, FlockOperation, RenameFlags};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let once = std::env::args().any(|arg| arg == "--test");
    let place = tempfile::tempdir()?;
    let store = Bench::new(place.path())?;
    println!("| work | ours | yardstick | ratio | yardstick is |");
    println!("| --- | --- | --- | --- | --- |");
    let rounds = |n| if once { 1 } else { n };
    pattern(rounds(2000))?;
    store.lock(rounds(2000))?;
    store.get(rounds(2000))?;
    store.overwrite(rounds(500))?;
    store.list(rounds(100))?;
    store.filter(rounds(5))?;
    Ok(())
}

struct Bench {
    store: Store,
    root: PathBuf,
    identity: age::x25519::Identity,
    aside: PathBuf,
}

impl Bench {
    fn new(place: &Path) -> Result<Self> {
        let identity = Identity::generate();
        let secret_key = identity
            .to_age_secret_key()
            .ok_or("an age identity has a secret key")?;
        let root = place.join("store");
        let config = Config::new([identity.to_recipient()?]);
        Store::init(&root, &config)?;
        let aside = place.join("aside");
        DirBuilder::new().mode(0o700).create(&aside)?;
        Ok(Self {
            store: Store::builder(&root).identity(identity).open()?,
            root,
            identity: secret_key.expose_secret().parse()?,
            aside,
        })
    }

    fn lock(&self, rounds: usize) -> Result<()> {
        let path = self.aside.join("lock");
        let bare = || -> Result<()> {
            let mut options = OpenOptions::new();
            let file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            file.set_len(0)?;
            rustix::fs::fstat(&file)?;
            rustix::fs::stat(&path)?;
            flock(&file, FlockOperation::Unlock)?;
            Ok(())
        };
        let ours = || {
            self.store
                .lock(posixage::lock::Mode::Exclusive)?
                .release()?;
            Ok(())
        };
        compare(
            "lock + unlock",
            rounds,
            ours,
            "the bare calls of the reference's lock",
            bare,
        )
    }

    fn get(&self, rounds: usize) -> Result<()> {
        let id: Id = "get/this".parse()?;
        let value = b"a value of twenty-eight byte";
        self.store.set(&id, &Secret::new(*value))?;
        let blob = fs::read(self.root.join(id.directory_name()).join("secretage"))?;
        let ours = || {
            assert_eq!(self.store.get(&id)?.expose(), value);
            Ok(())
        };
        let bare = || {
            assert_eq!(age::decrypt(&self.identity, &blob)?, value);
            Ok(())
        };
        compare(
            "get, X25519, 28 bytes",
            rounds,
            ours,
            "age::decrypt of that blob",
            bare,
        )
    }

    fn overwrite(&self, rounds: usize) -> Result<()> {
        let id: Id = "overwrite/this".parse()?;
        let secret = Secret::new(*b"a value of twenty-eight byte");
        self.store.set(&id, &secret)?;
        let (stage, target) = (self.aside.join("stage"), self.aside.join("target"));
        let recipient = self.identity.to_public();
        make(&target, &age::encrypt(&recipient, secret.expose())?)?;
        let root = File::open(&self.aside)?;
        let bare = || -> Result<()> {
            make(&stage, &age::encrypt(&recipient, secret.expose())?)?;
            exchange(&stage, &target)?;
            root.sync_all()?;
            for file in ["metadata.json", "secretage"] {
                fs::remove_file(stage.join(file))?;
            }
            fs::remove_dir(&stage)?;
            Ok(())
        };
        let ours = || Ok(self.store.set(&id, &secret)?);
        let yardstick = "age::encrypt and the bare calls of a commit";
        compare("overwrite, X25519, durable", rounds, ours, yardstick, bare)
    }

    fn list(&self, rounds: usize) -> Result<()> {
        let metadata: Metadata = [("user", "zoe")].into_iter().collect();
        for n in 0..1000 {
            let id: Id = format!("many/{n:04}").parse()?;
            self.store
                .set(&id, &Secret::new("value").with_metadata(metadata.clone()))?;
        }
        let pattern: Pattern = "many/*".parse()?;
        let ours = || {
            assert_eq!(self.store.list(&pattern)?.count(), 1000);
            Ok(())
        };
        let bare = || -> Result<()> {
            let mut text = Vec::new();
            for entry in fs::read_dir(&self.root)? {
                let entry = entry?;
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                text.clear();
                File::open(entry.path().join("metadata.json"))?.read_to_end(&mut text)?;
            }
            Ok(())
        };
        compare(
            "list 1,000",
            rounds,
            ours,
            "readdir, open, read, close of each metadata.json",
            bare,
        )
    }

    fn filter(&self, rounds: usize) -> Result<()> {
        let pattern: Pattern = "many/*".parse()?;
        let id: Id = "many/0000".parse()?;
        let blob = fs::read(self.root.join(id.directory_name()).join("secretage"))?;
        let ours = || {
            let found = self
                .store
                .filter(&pattern)?
                .filter(|(_, secret)| secret.is_ok());
            assert_eq!(found.count(), 1000);
            Ok(())
        };
        let bare = || {
            for _ in 0..1000 {
                age::decrypt(&self.identity, &blob)?;
            }
            Ok(())
        };
        compare(
            "filter 1,000, decrypting",
            rounds,
            ours,
            "1,000 × age::decrypt, one core",
            bare,
        )
    }
}

fn pattern(rounds: usize) -> Result<()> {
    let parts = vec!["**/a"; 40].join("/") + "/b";
    let pattern: Pattern = parts.parse()?;
    let id: Id = vec!["a"; 90].join("/").parse()?;
    let ours = || {
        assert!(!pattern.matches(&id));
        Ok(())
    };
    let bare = || {
        let names = || id.components();
        let equal = |part: &str| names().filter(|name| *name == part).count();
        assert_eq!(parts.split('/').map(equal).sum::<usize>(), 3600);
        Ok(())
    };
    let yardstick = "to compare every part with every component";
    compare(
        "match 40 × ** with 90 components",
        rounds,
        ours,
        yardstick,
        bare,
    )
}

fn make(directory: &Path, ciphertext: &[u8]) -> Result<()> {
    DirBuilder::new().mode(0o700).create(directory)?;
    for (name, content) in [
        ("metadata.json", b"null".as_slice()),
        ("secretage", ciphertext),
    ] {
        let mut options = OpenOptions::new();
        let path = directory.join(name);
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
    }
    Ok(File::open(directory)?.sync_all()?)
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is the bare call")]
fn flock(file: &File, operation: FlockOperation) -> Result<()> {
    Ok(rustix::fs::flock(file, operation)?)
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is the bare call")]
fn exchange(one: &Path, other: &Path) -> Result<()> {
    Ok(rustix::fs::renameat_with(
        CWD,
        one,
        CWD,
        other,
        RenameFlags::EXCHANGE,
    )?)
}

/// Times both in turns and prints the medians.
fn compare(
    work: &str,
    rounds: usize,
    mut ours: impl FnMut() -> Result<()>,
    yardstick: &str,
    mut bare: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (mut our_times, mut bare_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        our_times.push(time(&mut ours)?);
        bare_times.push(time(&mut bare)?);
    }
    let (a, b) = (median(our_times), median(bare_times));
    let ratio = a.as_secs_f64() / b.as_secs_f64();
    println!("| {work} | {a:.1?} | {b:.1?} | {ratio:.2} | {yardstick} |");
    Ok(())
}

fn time(work: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
