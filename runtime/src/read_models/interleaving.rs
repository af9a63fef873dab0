//! Holds a model to its law.

use std::collections::{BTreeMap, VecDeque};

use super::ReadModel;
use crate::event::DatasetEvent;
use crate::ids::LedgerId;

/// Asserts that a model's state is the same for every interleaving of the ledgers that events came from.
///
/// Tries each ledger after the other in both directions, one of each in turn, and 200 random interleavings
/// from a seed that is printed (`DATASET_EVENTS_TEST_SEED` sets it); on the way, states are serialised and
/// read back. Give it events of one scope from at least two ledgers.
///
/// # Panics
///
/// When two interleavings lead to different states, when a state does not survive its serialised form, or
/// when the events are of fewer than two ledgers.
#[track_caller]
pub fn assert_interleaving_invariant<M: ReadModel>(model: &M, events: &[DatasetEvent]) {
    let mut streams: BTreeMap<LedgerId, Vec<&DatasetEvent>> = BTreeMap::new();
    for event in events {
        streams.entry(event.ledger_id).or_default().push(event);
    }
    assert!(streams.len() > 1, "expected events of several ledgers, found {}", streams.len());
    let mut streams: Vec<_> = streams.into_values().collect();
    for stream in &mut streams {
        stream.sort_by_key(|event| event.seq);
    }
    let seed = std::env::var("DATASET_EVENTS_TEST_SEED").ok();
    let seed = seed.map(|seed| seed.parse().expect("DATASET_EVENTS_TEST_SEED is a number"));
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.unwrap_or_else(|| now().map_or(0, |now| now.as_nanos() as u64));
    println!("DATASET_EVENTS_TEST_SEED={seed}");
    let mut random = seed;
    let expected = fold(model, interleave(&streams, |_, _| 0), 0);
    let check = |how: &str, order: Vec<&DatasetEvent>, store_every: usize| {
        let state = fold(model, order, store_every);
        assert_eq!(state, expected, "the state of {} depends on the order ({how}, seed {seed})", M::NAME);
    };
    check("last ledger first", interleave(&streams, |_, left| left - 1), 0);
    check("one of each in turn", interleave(&streams, |turn, left| turn % left), 7);
    for round in 0..200 {
        let order = interleave(&streams, |_, left| {
            // splitmix64
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut value = random;
            value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (value ^ (value >> 31)) as usize % left
        });
        check("random", order, if round % 8 == 0 { 31 } else { 0 });
    }
}

/// Takes the next event of the stream that `pick` chooses, until none is left.
fn interleave<'a>(
    streams: &[Vec<&'a DatasetEvent>],
    mut pick: impl FnMut(usize, usize) -> usize,
) -> Vec<&'a DatasetEvent> {
    let mut left: Vec<VecDeque<_>> = streams.iter().map(|stream| stream.iter().copied().collect()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let at = pick(order.len(), left.len());
        order.extend(left[at].pop_front());
        left.retain(|stream| !stream.is_empty());
    }
    order
}

/// The serialised state; with `store_every`, after so many events it is serialised and read back.
fn fold<M: ReadModel>(model: &M, order: Vec<&DatasetEvent>, store_every: usize) -> String {
    let mut state = M::State::default();
    for (at, event) in order.into_iter().enumerate() {
        if model.selects(event) {
            model.apply(&mut state, event);
        }
        if store_every > 0 && at % store_every == 0 {
            let stored = serde_json::to_string(&state).expect("a state can be serialised");
            state = serde_json::from_str(&stored).expect("a serialised state can be read back");
        }
    }
    serde_json::to_string(&state).expect("a state can be serialised")
}
