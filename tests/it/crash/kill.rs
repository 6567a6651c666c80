//! `kill -9` at random moments loses nothing.
//!
//! `POSIXAGE_LONG=1` makes it 10,000 deaths instead of 200.

use posixage_tests::{
    chance::Chance,
    kill::{self, Row, at_random},
    subject::Subject,
};

fn survives(row: Row) {
    let deaths = match posixage_tests::long() {
        true => 10_000,
        false => 200,
    };
    kill::survives(row, deaths / Row::OURS.len());
}

#[test]
fn a_kill_in_an_overwrite_leaves_the_old_value_or_the_new_one() {
    survives(Row::Overwrite);
}

#[test]
fn a_kill_in_a_creation_leaves_nothing_or_the_whole_secret() {
    survives(Row::Create);
}

#[test]
fn a_kill_in_a_removal_leaves_the_whole_secret_or_nothing() {
    survives(Row::Delete);
}

#[test]
fn a_kill_in_an_update_leaves_the_old_value_or_the_new_one() {
    survives(Row::Update);
}

#[test]
fn a_kill_while_many_are_written_leaves_old_or_new() {
    survives(Row::Many);
}

#[test]
fn a_kill_while_threads_write_many_leaves_old_or_new() {
    survives(Row::Wide);
}

#[test]
fn the_reference_s_order_of_calls_loses_secrets_here() {
    let figures = at_random(&Subject::new(), Row::Naive, 50, &mut Chance::new());
    let lost = |loss: &&String| loss.contains("found None") || loss.contains("damaged");
    let losses = figures.losses.iter().filter(lost).count();
    eprintln!("the secret is lost in {losses} of these");
    assert!(losses >= 5, "{figures:?}");
}
