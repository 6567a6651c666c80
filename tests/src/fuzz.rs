//! What the fuzz targets do with an input, whatever it is; a violated rule is a panic.
//!
//! `tests/fuzz/` has a target for each of them, for cargo-fuzz; `tests/it/house/fuzz.rs` replays the inputs
//! in `fixtures/fuzz/`, and `tests/it/library/model.rs` runs the model on random ones.

use arbitrary::Unstructured;

pub mod config;
pub mod helpers;
pub mod key_file;
pub mod metadata;
pub mod model;
pub mod names;
pub mod tree;

/// What a target does with one input.
pub type Target = fn(&[u8]);

/// The targets, by the names of their binaries and their directories of inputs.
pub const TARGETS: [(&str, Target); 7] = [
    ("names", names::run),
    ("metadata", metadata::run),
    ("config", config::run),
    ("key_file", key_file::run),
    ("helpers", helpers::run),
    ("tree", tree::run),
    ("model", model::run),
];

/// The next decision of an input; 0 at its end.
fn next(input: &mut Unstructured<'_>) -> u8 {
    input.arbitrary().unwrap_or_default()
}

fn choose<T: Copy>(input: &mut Unstructured<'_>, among: &[T]) -> T {
    *input.choose(among).expect("something to choose from")
}

/// As many bytes as the next one says, and are there.
fn take<'a>(input: &mut Unstructured<'a>) -> &'a [u8] {
    let len = usize::from(next(input)).min(input.len());
    input.bytes(len).expect("as many as there are")
}
