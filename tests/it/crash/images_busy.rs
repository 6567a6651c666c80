//! A power cut at any moment, in the middle of a call as well, on ext4, xfs and btrfs: while a process
//! writes and writes, the disk is copied as it is, all of it at once. Each copy is mounted, with the
//! file system's own recovery, and holds what was acknowledged by then, or what was under way.
//!
//! `POSIXAGE_LONG=1` makes it 200 cuts in each kind of write on each file system.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use posixage_tests::{
    LIMIT, Sandbox,
    chance::Chance,
    image::{Blocks, FORMATS, Format, Image, SHELF},
    namespace,
    subject::{State, Subject},
    survey::{self, Survey},
    tools,
};
use rustix::process::Signal;

/// A cut, and what may be found after it.
struct Cut {
    image: std::path::PathBuf,
    allowed: Vec<State>,
}

/// What a row of writes had done when its log was read: what each write that had begun makes of the
/// id, and how many of them were acknowledged.
fn read_log(log: &Path) -> (Vec<State>, usize) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut begun = Vec::new();
    let mut acknowledged = 0;
    // A last line without an end is still being written.
    let lines = text
        .split_inclusive('\n')
        .filter_map(|l| l.strip_suffix('\n'));
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["begin", "remove", _] => begun.push(None),
            ["begin", _, mark] => begun.push(Some(mark.parse().expect("a mark"))),
            _ => acknowledged = begun.len(),
        }
    }
    (begun, acknowledged)
}

/// Waits until more writes are acknowledged than these; returns how many.
fn wait_for_more(log: &Path, than: usize) -> usize {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (_, acknowledged) = read_log(log);
        if acknowledged > than {
            return acknowledged;
        }
        assert!(
            Instant::now() < deadline,
            "no write is acknowledged any more"
        );
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Cuts the power `cuts` times while the id is written over and over. None if this machine has no
/// such file system.
fn survey(format: &Format, step: &str, cuts: usize, chance: &mut Chance) -> Option<Survey> {
    let sandbox = Sandbox::new();
    let shelf = sandbox.directory("shelf");
    let disk = sandbox.directory("home/.local/share");
    let copy = sandbox.directory("copy");
    let log = sandbox.file("log", "");
    let left_out = |why: String| tools::left_out(&format!("power cuts on {}: {why}", format.name));
    let _shelf = Image::make(&SHELF, sandbox.path(), &shelf)
        .map_err(left_out)
        .ok()?;
    let image = Image::make(format, &shelf, &disk).map_err(left_out).ok()?;
    let subject = Subject::in_sandbox(sandbox);
    subject.put(None);
    image.sync();

    let program = subject.operate([format!("{step}:{}:1..", subject.id())]);
    let running = program
        .env("LOG", &log)
        .in_shell("exec \"$@\" >\"$LOG\"")
        .start();
    let mut all = Vec::new();
    let mut seen = 0;
    for number in 0..cuts {
        seen = wait_for_more(&log, seen);
        // Chooses the moment.
        std::thread::sleep(Duration::from_micros(chance.within(0..5_000)));
        let (_, acknowledged) = read_log(&log);
        let image_of_now = shelf.join(format!("cut.{number}"));
        image.snapshot(&image_of_now);
        let (begun, _) = read_log(&log);
        // What was there before, and all that was under way between the two looks.
        let before = acknowledged.checked_sub(1).and_then(|last| begun[last]);
        let allowed = [before].into_iter().chain(begun[acknowledged..].to_vec());
        all.push(Cut {
            image: image_of_now,
            allowed: allowed.collect(),
        });
    }
    running.signal(Signal::KILL);
    let output = running.end();
    assert_eq!(output.signal(), Some(9), "{output:?}");
    drop(image);

    let mut survey = Survey::default();
    let mut within = 0;
    for cut in &all {
        let blocks = Blocks::of(&cut.image);
        within += usize::from(cut.allowed.len() > 1);
        let found = Image::of(format, &blocks, subject.sandbox().path(), &copy).and_then(|image| {
            let found = survey::look(&subject, &copy.join("posixage"), &cut.allowed);
            drop(image);
            found
        });
        survey.add(found, || format!("{}", cut.image.display()));
    }
    let losses = survey.losses.len();
    eprintln!(
        "{}, {step}: {cuts} cuts, {within} of them within a write, {losses} losses",
        format.name
    );
    Some(survey)
}

#[test]
fn writes_survive_a_power_cut_at_any_moment() {
    namespace::run_alone([
        module_path!(),
        "writes_survive_a_power_cut_at_any_moment_here",
    ]);
}

#[test]
#[ignore = "run by the test above, in a mount namespace of its own"]
fn writes_survive_a_power_cut_at_any_moment_here() {
    let mut chance = Chance::new();
    let (steps, cuts): (&[&str], _) = match posixage_tests::long() {
        true => (&["set", "flip", "update"], 200),
        false => (&["set"], 10),
    };
    for format in &FORMATS {
        for step in steps {
            if let Some(survey) = survey(format, step, cuts, &mut chance) {
                assert!(survey.losses.is_empty(), "{:#?}", survey.losses);
                assert!(survey.found.len() > 1, "{:?}", survey.found);
            }
        }
    }
}

/// The control: a harness that does not catch this proves nothing.
#[test]
fn the_reference_s_order_of_calls_loses_secrets_here() {
    namespace::run_alone([
        module_path!(),
        "the_reference_s_order_of_calls_loses_secrets",
    ]);
}

#[test]
#[ignore = "run by the test above, in a mount namespace of its own"]
fn the_reference_s_order_of_calls_loses_secrets() {
    let mut chance = Chance::new();
    let Some(survey) = survey(&FORMATS[0], "naive", 20, &mut chance) else {
        return;
    };
    let lost = survey.losses.iter().filter(|l| l.contains("found None"));
    let losses = lost.count();
    eprintln!("the secret is lost in {losses} of these");
    assert!(losses > 0, "{survey:#?}");
}
