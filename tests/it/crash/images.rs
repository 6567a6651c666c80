//! A power cut on ext4, xfs and btrfs: at each system call of a write the disk is copied as it is, and
//! the copy mounted, with the file system's own recovery, and read. The old value or the new one is
//! there, and the new one once the write has succeeded.
//!
//! The copy is a disk that has written all that it was given until then: so this shows that what must
//! survive was given to it in time. `crash_images_busy` cuts in the middle of a call. What a disk may
//! lose of what it was not told to flush is not shown here; `crash_power` has it, over a model.
//!
//! `POSIXAGE_LONG=1` does it with every operation.

use std::collections::{BTreeMap, BTreeSet};

use posixage_tests::{
    Program, Sandbox,
    image::{Blocks, FORMATS, Format, Image},
    namespace,
    operation::Operation,
    strace,
    subject::{State, Subject},
    survey::{self, Survey, allowed},
    tools,
};

/// What comes to the disk apart from what the program asks for.
#[derive(Clone, Copy, Debug)]
enum Others {
    /// Nothing.
    Quiet,
    /// Everything, at once: after each call another process calls sync(2).
    Sync,
}

/// A write, or a row of them, that takes the id from one state to the next.
struct Write {
    name: String,
    program: Box<dyn Fn(&Subject) -> Program>,
    row: Vec<State>,
    tampering: Option<&'static str>,
}

/// As a file system does that cannot exchange two names.
const NO_EXCHANGE: &str = "inject=renameat2:error=EINVAL";

fn operation(operation: Operation, tampering: Option<&'static str>) -> Write {
    Write {
        name: format!("{operation:?}"),
        program: Box::new(move |subject| operation.program(subject, 2)),
        row: vec![operation.before(2), operation.after(2)],
        tampering,
    }
}

/// One process, so that what one operation leaves undone is still undone in the next.
fn row(steps: &'static [&'static str], row: &[State], tampering: Option<&'static str>) -> Write {
    Write {
        name: steps.join(" "),
        program: Box::new(|subject| {
            let id = format!(":{}:", subject.id());
            subject.operate(steps.iter().map(|step| step.replace(':', &id)))
        }),
        row: row.to_vec(),
        tampering,
    }
}

/// Looks at what a cut of the power leaves at each call of a write; none if this machine has no such
/// file system.
fn survey(format: &Format, write: &Write, others: Others) -> Option<Survey> {
    let sandbox = Sandbox::new();
    let disk = sandbox.directory("home/.local/share");
    let copy = sandbox.directory("copy");
    let image = match Image::make(format, sandbox.path(), &disk) {
        Ok(image) => image,
        Err(why) => {
            tools::left_out(&format!("power cuts on {}: {why}", format.name));
            return None;
        }
    };
    let subject = Subject::in_sandbox(sandbox);
    subject.put(write.row[0]);
    image.sync();

    let mut states: BTreeMap<Blocks, BTreeSet<usize>> = BTreeMap::new();
    let mut stops = 0;
    let tampering: Vec<String> = write.tampering.iter().map(|t| String::from(*t)).collect();
    let program = (write.program)(&subject);
    let output = strace::stopped_at_each_call(program, &tampering, |calls| {
        stops += 1;
        if matches!(others, Others::Sync) {
            image.sync();
        }
        let acknowledged = calls.matches("write(1, \"ok ").count();
        let states = states.entry(image.blocks()).or_default();
        states.insert(acknowledged);
    });
    output.succeeds();
    let end = states.entry(image.blocks()).or_default();
    end.insert(write.row.len() - 1);
    // It must be gone before a copy of it is mounted: some know a file system by its number.
    drop(image);

    let mut survey = Survey::default();
    for (blocks, acknowledged) in &states {
        let found = Image::of(format, blocks, subject.sandbox().path(), &copy).and_then(|image| {
            let root = copy.join("posixage");
            let found = survey::look(&subject, &root, &allowed(&write.row, acknowledged));
            drop(image);
            found
        });
        survey.add(found, || format!("{acknowledged:?} acknowledged"));
    }
    let (name, count, losses) = (&write.name, states.len(), survey.losses.len());
    eprintln!(
        "{}, {others:?}, {name}: {stops} calls, {count} states of the disk, {losses} losses",
        format.name
    );
    Some(survey)
}

fn survives(format: &Format, write: &Write, others: Others) {
    let Some(survey) = survey(format, write, others) else {
        return;
    };
    assert!(survey.losses.is_empty(), "{:#?}", survey.losses);
    // On both sides of every commit.
    assert_eq!(survey.found, write.row.iter().copied().collect());
}

#[test]
fn writes_survive_power_cuts() {
    namespace::run_alone([module_path!(), "writes_survive_power_cuts_here"]);
}

#[test]
#[ignore = "run by the test above, in a mount namespace of its own"]
fn writes_survive_power_cuts_here() {
    for format in &FORMATS {
        survives(
            format,
            &operation(Operation::Overwrite, None),
            Others::Quiet,
        );
        if !posixage_tests::long() {
            continue;
        }
        for others in [Others::Quiet, Others::Sync] {
            for one in Operation::ALL {
                survives(format, &operation(one, None), others);
            }
            survives(
                format,
                &operation(Operation::Overwrite, Some(NO_EXCHANGE)),
                others,
            );
            survives(
                format,
                &operation(Operation::Create, Some(NO_EXCHANGE)),
                others,
            );
            let steps = &["set:2", "update:3", "remove:0", "create:4", "set:5"];
            let states = [Some(1), Some(2), Some(3), None, Some(4), Some(5)];
            for tampering in [None, Some(NO_EXCHANGE)] {
                survives(format, &row(steps, &states, tampering), others);
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
    let naive = row(&["naive:2"], &[Some(1), Some(2)], None);
    let formats = match posixage_tests::long() {
        true => &FORMATS[..],
        false => &FORMATS[..1],
    };
    for format in formats {
        // What is acknowledged is not there yet; and what is there may be neither the old value nor
        // the new one.
        for (others, loss) in [
            (Others::Quiet, "not one of [Some(2)]"),
            (Others::Sync, "found None"),
        ] {
            if let Some(survey) = survey(format, &naive, others) {
                let lost = survey.losses.iter().any(|l| l.contains(loss));
                assert!(lost, "{}: {survey:#?}", format.name);
            }
        }
    }
}
