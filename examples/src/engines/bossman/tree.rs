//! The calls of one trace as a tree.

use std::collections::{BTreeMap, BTreeSet};

use dataset_events::{DatasetEvent, SpanId};

use super::model::{MAX_TRACE_DEPTH, TraceNode};

/// Puts calls below those they were made in. Siblings are in the order of their beginning.
///
/// A call whose parent is not among the nodes is a root; so is one of each ring, which no honest trace has.
pub(super) fn grow(nodes: Vec<TraceNode>) -> Vec<TraceNode> {
    let known: BTreeSet<SpanId> = nodes.iter().map(|node| node.span_id).collect();
    let mut children: BTreeMap<Option<SpanId>, Vec<TraceNode>> = BTreeMap::new();
    for node in nodes {
        let parent = node.parent_span_id.filter(|parent| known.contains(parent) && *parent != node.span_id);
        children.entry(parent).or_default().push(node);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|node| (node.started_at_us, node.ledger_id, node.seq));
    }
    let mut ordered = Vec::new();
    walk(&mut children, None, &mut ordered);
    while let Some(parent) = children.keys().next().copied() {
        walk(&mut children, parent, &mut ordered);
    }
    nest(ordered)
}

/// Parents before their children, each with its depth. No recursion: who sends requests chooses the parents
/// of their spans, and so the depth.
fn walk(
    children: &mut BTreeMap<Option<SpanId>, Vec<TraceNode>>,
    top: Option<SpanId>,
    ordered: &mut Vec<(usize, TraceNode)>,
) {
    let mut open: Vec<(usize, TraceNode)> = Vec::new();
    // Taken out, so that ids that form a ring end the walk.
    let mut push = |parent, depth: usize, open: &mut Vec<(usize, TraceNode)>| {
        let below = children.remove(&parent).unwrap_or_default();
        open.extend(below.into_iter().rev().map(|node| (depth.min(MAX_TRACE_DEPTH - 1), node)));
    };
    push(top, 0, &mut open);
    while let Some((depth, node)) = open.pop() {
        push(Some(node.span_id), depth + 1, &mut open);
        ordered.push((depth, node));
    }
}

/// From the last to the first: what lies one level deeper and was not taken yet are a node's children.
fn nest(ordered: Vec<(usize, TraceNode)>) -> Vec<TraceNode> {
    let mut levels: Vec<Vec<TraceNode>> = vec![Vec::new(); MAX_TRACE_DEPTH + 1];
    for (depth, mut node) in ordered.into_iter().rev() {
        node.children = std::mem::take(&mut levels[depth + 1]);
        node.children.reverse();
        levels[depth].push(node);
    }
    let mut roots = std::mem::take(&mut levels[0]);
    roots.reverse();
    roots
}

pub(super) fn node(event: &DatasetEvent) -> TraceNode {
    TraceNode {
        ledger_id: event.ledger_id,
        seq: event.seq,
        event_id: event.event_id,
        service: event.writer.service.clone(),
        surface: event.surface.clone(),
        access: event.access,
        outcome: event.outcome,
        code: event.code().map(str::to_owned),
        started_at_us: event.started_at,
        duration_ns: event.duration_ns,
        span_id: event.span_id,
        parent_span_id: event.parent_span_id,
        request_id: event.request_id.clone(),
        user_id: event.user_id().cloned(),
        source_refs: event.source_refs.clone(),
        children: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use dataset_events::{Access, Outcome, RequestId};

    use super::*;

    fn call(span: u64, parent: Option<u64>, started_at_us: i64) -> TraceNode {
        let id = |number: u64| SpanId::from_bytes(number.to_be_bytes()).unwrap();
        TraceNode {
            ledger_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            seq: span,
            event_id: "01900000-0000-7000-8000-000000000002".parse().unwrap(),
            service: "test".into(),
            surface: format!("chat.s{span}"),
            access: Access::Read,
            outcome: Outcome::Ok,
            code: None,
            started_at_us,
            duration_ns: 1,
            span_id: id(span),
            parent_span_id: parent.map(id),
            request_id: RequestId::new("r").unwrap(),
            user_id: None,
            source_refs: Vec::new(),
            children: Vec::new(),
        }
    }

    fn shape(nodes: &[TraceNode]) -> String {
        let shape = |node: &TraceNode| match node.children.len() {
            0 => node.seq.to_string(),
            _ => format!("{}({})", node.seq, shape(&node.children)),
        };
        nodes.iter().map(shape).collect::<Vec<_>>().join(" ")
    }

    fn size(nodes: &[TraceNode]) -> usize {
        nodes.iter().map(|node| 1 + size(&node.children)).sum()
    }

    #[test]
    fn children_stand_below_their_parents_in_the_order_of_their_beginning() {
        // 99 is the client's span, which no event has.
        let calls = vec![
            call(4, Some(1), 30),
            call(1, Some(99), 10),
            call(3, Some(2), 21),
            call(2, Some(1), 20),
            call(5, Some(99), 5),
            call(6, None, 40),
        ];
        assert_eq!(shape(&grow(calls)), "5 1(2(3) 4) 6");
    }

    #[test]
    fn a_ring_of_parents_ends_and_is_shown() {
        let calls = vec![call(1, Some(2), 1), call(2, Some(1), 2), call(3, Some(3), 3)];
        assert_eq!(size(&grow(calls)), 3);
    }

    #[test]
    fn a_chain_as_deep_as_a_client_likes_is_cut_in_depth_and_complete() {
        let calls =
            (1..=2_000).map(|span| call(span, Some(span - 1).filter(|parent| *parent > 0), 1)).collect();
        let roots = grow(calls);
        assert_eq!(size(&roots), 2_000);
        let text = serde_json::to_string(&roots).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("within what parsers nest");
        let mut depth = 0;
        let mut at = &parsed;
        while let Some(first) = at.get(0) {
            (depth, at) = (depth + 1, &first["children"]);
        }
        assert_eq!(depth, MAX_TRACE_DEPTH);
    }
}
