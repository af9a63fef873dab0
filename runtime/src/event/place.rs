//! Where an event stands among those of its scope in all ledgers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::DatasetEvent;
use crate::ids::LedgerId;

/// Where an event stands among those of its scope in all ledgers: by time, then ledger, then number.
///
/// Each stream is in this order, because times never decrease in it, and no two events of a scope share a
/// place. As text it is `<recorded_at>.<seq>.<ledger id>`, fit for a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// When the ledger took the event, in microseconds since 1970 (UTC).
    pub recorded_at: i64,
    /// The ledger.
    pub ledger_id: LedgerId,
    /// The sequence number in the ledger's stream of the scope.
    pub seq: u64,
}

impl EventPlace {
    /// The place of an event.
    pub fn of(event: &DatasetEvent) -> Self {
        Self { recorded_at: event.recorded_at, ledger_id: event.ledger_id, seq: event.seq }
    }
}

/// A text is not an [`EventPlace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPlace;

impl fmt::Display for InvalidPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read a cursor: expected `<recorded_at>.<seq>.<ledger id>`, as a page gave it")
    }
}

impl std::error::Error for InvalidPlace {}

impl fmt::Display for EventPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.recorded_at, self.seq, self.ledger_id)
    }
}

impl FromStr for EventPlace {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(InvalidPlace);
        Ok(Self {
            recorded_at: part()?.parse().map_err(|_| InvalidPlace)?,
            seq: part()?.parse().map_err(|_| InvalidPlace)?,
            ledger_id: part()?.parse().map_err(|_| InvalidPlace)?,
        })
    }
}

impl Serialize for EventPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn places_sort_by_time_first_and_survive_text() {
        let place = |recorded_at, ledger: u128, seq| EventPlace {
            recorded_at,
            ledger_id: LedgerId::from_uuid(Uuid::from_u128(ledger)),
            seq,
        };
        let places = [place(-5, 9, 9), place(1, 1, 7), place(1, 2, 3), place(1, 2, 4), place(2, 1, 8)];
        assert!(places.is_sorted());
        for place in places {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["", "1", "1.2", "1.2.x", "1.-2.00000000-0000-0000-0000-000000000001", "1.2.3.4"] {
            assert_eq!(text.parse::<EventPlace>(), Err(InvalidPlace), "{text}");
        }
    }
}
