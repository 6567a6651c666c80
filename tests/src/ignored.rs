//! The signals that a program was told to ignore.

/// A command that says so of itself.
pub const LOOK: [&str; 3] = ["grep", "^SigIgn", "/proc/self/status"];

/// What [`LOOK`] has said, a bit for each signal, the lowest for 1. Without those above 31, of which the
/// C library takes two for its threads.
///
/// # Panics
/// If it said nothing of the kind.
#[track_caller]
#[must_use]
pub fn signals(said: &str) -> u32 {
    let (_, mask) = said.split_once("SigIgn:").expect("a mask of signals");
    let mask = mask.split_whitespace().next().expect("a mask of signals");
    let mask = u64::from_str_radix(mask, 16).expect("a hexadecimal number");
    u32::try_from(mask & 0x7fff_ffff).expect("31 bits")
}
