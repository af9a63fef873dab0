//! "The last one" in a form that does not depend on the order of arrival: the greatest place wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::EventPlace;

/// The value with the greatest [`EventPlace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latest<T>(Option<(EventPlace, T)>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Latest<T> {
    /// Keeps the value if its place is the greatest so far; it is made only then.
    pub fn offer(&mut self, place: EventPlace, value: impl FnOnce() -> T) {
        if self.0.as_ref().is_none_or(|(kept, _)| *kept < place) {
            self.0 = Some((place, value()));
        }
    }

    /// The value.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }

    /// The place of the value.
    pub fn place(&self) -> Option<EventPlace> {
        self.0.as_ref().map(|(place, _)| *place)
    }
}

/// The values with the `N` greatest places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatestN<T, const N: usize>(Vec<(EventPlace, T)>);

impl<T, const N: usize> Default for LatestN<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> LatestN<T, N> {
    /// Keeps the value if its place is among the greatest `N` so far; it is made only then.
    pub fn offer(&mut self, place: EventPlace, value: impl FnOnce() -> T) {
        let at = self.0.partition_point(|(kept, _)| *kept < place);
        if self.0.len() < N {
            self.0.insert(at, (place, value()));
        } else if at > 0 {
            self.0.remove(0);
            self.0.insert(at - 1, (place, value()));
        }
    }

    /// The values with their places, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (EventPlace, &T)> {
        self.0.iter().rev().map(|(place, value)| (*place, value))
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The newest value of each key, for the keys whose values are newest.
///
/// When there are too many keys, the one with the oldest value goes. Which keys stay does not depend on the
/// order of arrival: a key's place only grows, and so does the smallest place that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, (EventPlace, T)>", into = "BTreeMap<String, (EventPlace, T)>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct LatestByKey<T> {
    values: BTreeMap<String, (EventPlace, T)>,
    /// The same keys by the place of their values.
    keys: BTreeMap<EventPlace, String>,
}

impl<T> Default for LatestByKey<T> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), keys: BTreeMap::new() }
    }
}

impl<T> From<BTreeMap<String, (EventPlace, T)>> for LatestByKey<T> {
    fn from(values: BTreeMap<String, (EventPlace, T)>) -> Self {
        let keys = values.iter().map(|(key, (place, _))| (*place, key.clone())).collect();
        Self { values, keys }
    }
}

impl<T> From<LatestByKey<T>> for BTreeMap<String, (EventPlace, T)> {
    fn from(latest: LatestByKey<T>) -> Self {
        latest.values
    }
}

impl<T> LatestByKey<T> {
    /// Keeps the value if it is its key's newest, and at most `max_keys` keys. An event offers one key.
    pub fn offer(&mut self, key: String, place: EventPlace, max_keys: usize, value: impl FnOnce() -> T) {
        if let Some((kept, _)) = self.values.get(&key) {
            if *kept >= place {
                return;
            }
            self.keys.remove(kept);
        } else if self.values.len() >= max_keys {
            match self.keys.first_key_value() {
                Some((oldest, _)) if *oldest < place => {}
                _ => return,
            }
            if let Some((_, oldest)) = self.keys.pop_first() {
                self.values.remove(&oldest);
            }
        }
        self.keys.insert(place, key.clone());
        self.values.insert(key, (place, value()));
    }

    /// The newest value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.values.get(key).map(|(_, value)| value)
    }

    /// Every key with its value and its place, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, EventPlace, &T)> {
        self.values.iter().map(|(key, (place, value))| (&**key, *place, value))
    }

    /// Every key with its value and its place, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (&str, EventPlace, &T)> {
        let keys = self.keys.iter().rev();
        keys.filter_map(|(place, key)| Some((&**key, *place, &self.values.get(key)?.1)))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
