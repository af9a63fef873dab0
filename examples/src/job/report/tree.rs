//! The calls of one trace as a tree.

use std::collections::{BTreeMap, BTreeSet};

use dataset_events::{DatasetEvent, SpanId};

/// One line of the tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'e> {
    /// The branches before the name.
    pub(crate) branch: String,
    pub(crate) event: &'e Span,
}

/// What the tree needs of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) started_at: i64,
    pub(crate) seq: u64,
    pub(crate) service: &'static str,
    pub(crate) surface: String,
    pub(crate) ended: String,
    pub(crate) duration_ns: u64,
}

impl Span {
    /// The span of an event that this service recorded.
    pub(crate) fn of(event: &DatasetEvent, service: &'static str) -> Self {
        let mut ended = event.outcome.as_str().to_owned();
        if let Some(code) = event.code().filter(|code| *code != ended) {
            ended = format!("{ended}: {code}");
        }
        if let Some(items) = event.detail.items {
            ended = format!("{ended}, {items} items");
        }
        Self {
            span_id: event.span_id,
            parent_span_id: event.parent_span_id,
            started_at: event.started_at,
            seq: event.seq,
            service,
            surface: event.surface.clone(),
            ended,
            duration_ns: event.duration_ns,
        }
    }
}

/// Orders the events of one trace: parents before children, siblings by their beginning.
///
/// A call whose parent is not among the events is a root: its parent is the client's.
pub(crate) fn rows(events: &[Span]) -> Vec<Row<'_>> {
    let known: BTreeSet<SpanId> = events.iter().map(|event| event.span_id).collect();
    let mut children: BTreeMap<Option<SpanId>, Vec<&Span>> = BTreeMap::new();
    for event in events {
        let parent = event.parent_span_id.filter(|parent| known.contains(parent) && *parent != event.span_id);
        children.entry(parent).or_default().push(event);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|event| (event.started_at, event.seq));
    }
    let mut rows = Vec::with_capacity(events.len());
    descend(&mut children, None, "", &mut rows);
    // What hangs on no root, such as ids that form a ring, is shown all the same.
    while let Some(parent) = children.keys().next().copied() {
        descend(&mut children, parent, "", &mut rows);
    }
    rows
}

fn descend<'e>(
    children: &mut BTreeMap<Option<SpanId>, Vec<&'e Span>>,
    parent: Option<SpanId>,
    indent: &str,
    rows: &mut Vec<Row<'e>>,
) {
    // Taken out, so that ids that form a ring end the walk.
    let Some(siblings) = children.remove(&parent) else { return };
    let last = siblings.len().saturating_sub(1);
    for (place, event) in siblings.into_iter().enumerate() {
        let (branch, below) = match (parent, place == last) {
            (None, _) => ("", ""),
            (_, true) => ("\u{2514}\u{2500} ", "   "),
            (_, false) => ("\u{251c}\u{2500} ", "\u{2502}  "),
        };
        rows.push(Row { branch: format!("{indent}{branch}"), event });
        descend(children, Some(event.span_id), &format!("{indent}{below}"), rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(span: u8, parent: Option<u8>, started_at: i64) -> Span {
        let id = |byte| SpanId::from_bytes([byte; 8]).unwrap();
        Span {
            service: "engines",
            span_id: id(span),
            parent_span_id: parent.map(id),
            started_at,
            seq: u64::from(span),
            surface: format!("chat.s{span}"),
            ended: "ok".into(),
            duration_ns: 1,
        }
    }

    #[test]
    fn children_stand_below_their_parents_in_the_order_of_their_beginning() {
        // 99 is the client's span, which no event has.
        let events = [
            event(4, Some(1), 30),
            event(1, Some(99), 10),
            event(3, Some(2), 21),
            event(2, Some(1), 20),
            event(5, Some(99), 5),
        ];
        let lines: Vec<String> =
            rows(&events).iter().map(|row| format!("{}{}", row.branch, row.event.surface)).collect();
        assert_eq!(
            lines,
            [
                "chat.s5",
                "chat.s1",
                "\u{251c}\u{2500} chat.s2",
                "\u{2502}  \u{2514}\u{2500} chat.s3",
                "\u{2514}\u{2500} chat.s4"
            ]
        );
    }

    #[test]
    fn a_ring_of_parents_ends_and_is_shown() {
        let events = [event(1, Some(2), 1), event(2, Some(1), 2), event(3, Some(3), 3)];
        assert_eq!(rows(&events).len(), events.len());
    }
}
