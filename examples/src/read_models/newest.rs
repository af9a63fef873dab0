//! "The last one" by the order that an engine itself gave: its versions and places.

use dataset_events::read_models::EventPlace;
use serde::{Deserialize, Serialize};

/// The value of the greatest version; of one version twice, the one of the greatest [`EventPlace`].
///
/// An engine's versions are in the order of its transactions, which the times of two ledgers need not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Newest<T>(Option<(u64, EventPlace, T)>);

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Newest<T> {
    /// Keeps the value if its version is the greatest so far.
    pub fn offer(&mut self, version: u64, place: EventPlace, value: T) {
        if self.0.as_ref().is_none_or(|(kept, at, _)| (*kept, *at) < (version, place)) {
            self.0 = Some((version, place, value));
        }
    }

    /// The value.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, _, value)| value)
    }

    /// The version of the value; 0 without one.
    pub fn version(&self) -> u64 {
        self.0.as_ref().map_or(0, |(version, _, _)| *version)
    }
}

/// The values with the `N` greatest ranks: a time and a place in the engine's own order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranked<T, const N: usize>(Vec<((i64, u64, EventPlace), T)>);

impl<T, const N: usize> Default for Ranked<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> Ranked<T, N> {
    /// Keeps the value if its rank is among the greatest `N` so far.
    pub fn offer(&mut self, at_us: i64, position: u64, place: EventPlace, value: T) {
        let rank = (at_us, position, place);
        let at = self.0.partition_point(|(kept, _)| *kept < rank);
        if self.0.len() < N {
            self.0.insert(at, (rank, value));
        } else if at > 0 {
            self.0.remove(0);
            self.0.insert(at - 1, (rank, value));
        }
    }

    /// The values, the greatest rank first.
    pub fn greatest_first(&self) -> impl Iterator<Item = &T> {
        self.0.iter().rev().map(|(_, value)| value)
    }

    /// The value of the greatest rank.
    pub fn greatest(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }
}
