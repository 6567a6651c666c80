//! Random choices that can be repeated: a failing test names its seed.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    ops::Range,
};

/// Chosen anew for each run, unless this variable holds one that failed.
const SEED: &str = "POSIXAGE_SEED";

/// A sequence of random numbers (SplitMix64). Not for keys.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From `POSIXAGE_SEED`, or from the system; says which on stderr.
    ///
    /// # Panics
    /// The variable holds no number.
    #[must_use]
    pub fn new() -> Self {
        let seed = match env::var(SEED) {
            Ok(text) => text.parse().expect("POSIXAGE_SEED is a number"),
            Err(_) => RandomState::new().hash_one(0),
        };
        eprintln!("{SEED}={seed}");
        Self(seed)
    }

    /// The sequence that this seed begins.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number within bounds.
    pub fn within(&mut self, bounds: Range<u64>) -> u64 {
        bounds.start + self.next() % (bounds.end - bounds.start)
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}
