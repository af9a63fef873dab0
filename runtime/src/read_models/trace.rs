//! The calls of one trace, as a tree: a query, not a fold.

use std::collections::HashMap;

use crate::event::EventPlace;
use crate::ids::{SpanId, TraceId};
use crate::ledger_set::{SetScope, Unread};
use crate::query::{ReadError, StoredEvent};

/// The events of one trace in one scope, in all ledgers, as a tree of calls.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TraceTree {
    /// The trace.
    pub trace_id: TraceId,
    /// Its events: each parent before its children, which are ordered by their beginning.
    pub nodes: Vec<TraceNode>,
    /// When the first call began, in microseconds since 1970 (UTC); `None` without events.
    pub started_at: Option<i64>,
    /// When the last call ended.
    pub ended_at: Option<i64>,
    /// Whether the trace has more events than were read.
    pub is_truncated: bool,
    /// What could not be read; empty when the tree is complete.
    pub unread: Vec<Unread>,
}

/// One event in a tree of calls.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TraceNode {
    /// The event.
    pub event: StoredEvent,
    /// How many of its ancestors are in the tree.
    pub depth: usize,
    /// The parent's place in [`TraceTree::nodes`].
    pub parent: Option<usize>,
    /// Whether the call ran in a span that is not in the tree: a caller that records nothing, or another scope's.
    pub is_parent_missing: bool,
}

impl SetScope {
    /// Reads one trace: at most `limit` of its events, by the indexes.
    ///
    /// # Errors
    ///
    /// [`ReadError::OperatorOnly`] for `$system` by its tenant and env. What else fails is in
    /// [`TraceTree::unread`].
    pub fn trace(&self, trace_id: TraceId, limit: usize) -> Result<TraceTree, ReadError> {
        let page = self.events().trace(trace_id).page(limit)?;
        let mut tree = TraceTree {
            trace_id,
            nodes: Vec::new(),
            started_at: page.events.iter().map(|event| event.event.started_at).min(),
            ended_at: page.events.iter().map(ended_at).max(),
            is_truncated: page.next.is_some(),
            unread: page.unread,
        };
        tree.nodes = arrange(page.events);
        Ok(tree)
    }
}

fn ended_at(stored: &StoredEvent) -> i64 {
    let duration_us = i64::try_from(stored.event.duration_ns / 1_000).unwrap_or(i64::MAX);
    stored.event.started_at.saturating_add(duration_us)
}

/// Puts parents before children. What claims to be its own ancestor is taken as a root.
fn arrange(mut events: Vec<StoredEvent>) -> Vec<TraceNode> {
    events.sort_by_key(|stored| (stored.event.started_at, EventPlace::of(&stored.event)));
    let mut by_span: HashMap<SpanId, usize> = HashMap::new();
    for (at, stored) in events.iter().enumerate() {
        by_span.entry(stored.event.span_id).or_insert(at);
    }
    let parents: Vec<Option<usize>> = events
        .iter()
        .enumerate()
        .map(|(at, stored)| {
            by_span.get(&stored.event.parent_span_id?).copied().filter(|parent| *parent != at)
        })
        .collect();
    let mut children = vec![Vec::new(); events.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(at);
        }
    }
    let mut nodes = Vec::with_capacity(events.len());
    let mut events: Vec<Option<StoredEvent>> = events.into_iter().map(Some).collect();
    let roots = (0..events.len()).filter(|at| parents[*at].is_none());
    // Behind the roots: what no root leads to, because its ancestors lead back to it.
    let starts: Vec<usize> = roots.chain(0..events.len()).collect();
    let mut stack = Vec::new();
    for start in starts {
        stack.push((start, None, 0));
        while let Some((at, parent, depth)) = stack.pop() {
            let Some(event) = events[at].take() else { continue };
            let is_parent_missing = parent.is_none() && event.event.parent_span_id.is_some();
            let place = nodes.len();
            nodes.push(TraceNode { event, depth, parent, is_parent_missing });
            stack.extend(children[at].iter().rev().map(|child| (*child, Some(place), depth + 1)));
        }
    }
    nodes
}
