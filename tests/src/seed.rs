//! Random numbers that a failed run can be repeated with.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Names the variable that sets the seed.
const VARIABLE: &str = "DATASET_EVENTS_TEST_SEED";

/// The seed of this run: from `DATASET_EVENTS_TEST_SEED`, else a fresh one. Printed, so that the output of
/// a failed test holds it.
///
/// # Panics
///
/// When the variable is set to something that is no number.
pub fn of_this_run() -> u64 {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{VARIABLE}={text:?}: {error}")),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    println!("{VARIABLE}={seed}");
    seed
}

/// A sequence of numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// The next number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }
}
