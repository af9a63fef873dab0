//! A query, as data: what it needs of indexes can be told from it.

use firestore::gcloud_sdk::google::firestore::v1::structured_query::{
    CollectionSelector, CompositeFilter, Direction, FieldFilter, FieldReference, Filter, Order as ProtoOrder,
    composite_filter, field_filter, filter::FilterType,
};
use firestore::gcloud_sdk::google::firestore::v1::{Cursor, StructuredQuery, Value};

use super::{Found, SourceError};
use crate::sinks::firestore::reference;

const NAME: &str = "__name__";

/// By what documents are ordered; by their names where the field is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) field: &'static str,
    pub(super) is_descending: bool,
}

impl Order {
    pub(super) fn by_name() -> Self {
        Self { field: NAME, is_descending: false }
    }

    pub(super) fn by_place() -> Self {
        Self { field: "place", is_descending: false }
    }

    pub(super) fn newest_first() -> Self {
        Self { field: "recorded_at", is_descending: true }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The document below which the collection lies; `None` for the database.
    pub(super) parent: Option<String>,
    pub(super) collection: &'static str,
    /// All collections of that name, however deep.
    pub(super) all_descendants: bool,
    pub(super) equals: Vec<(&'static str, Value)>,
    pub(super) at_least: Option<(&'static str, Value)>,
    pub(super) below: Option<(&'static str, Value)>,
    pub(super) order: Order,
    pub(super) start_at: Option<Vec<Value>>,
    /// In place of `start_at`.
    pub(super) start_after: Option<Vec<Value>>,
    pub(super) limit: usize,
}

impl Query {
    pub(super) fn new(parent: Option<String>, collection: &'static str, order: Order) -> Self {
        Self {
            parent,
            collection,
            all_descendants: false,
            equals: Vec::new(),
            at_least: None,
            below: None,
            order,
            start_at: None,
            start_after: None,
            limit: 0,
        }
    }

    /// The cursor that stands at a document that this query found.
    pub(super) fn cursor_at(&self, found: &Found) -> Result<Vec<Value>, SourceError> {
        let name = reference(found.0.name.clone());
        if self.order.field == NAME {
            return Ok(vec![name]);
        }
        let value = found.value(self.order.field)?.clone();
        Ok(vec![Value { value_type: Some(value) }, name])
    }

    pub(super) fn to_proto(&self) -> StructuredQuery {
        use field_filter::Operator::{Equal, GreaterThanOrEqual, LessThan};
        let equals = self.equals.iter().map(|(field, value)| filter(field, Equal, value));
        let at_least = self.at_least.iter().map(|(field, value)| filter(field, GreaterThanOrEqual, value));
        let below = self.below.iter().map(|(field, value)| filter(field, LessThan, value));
        let filters: Vec<Filter> = equals.chain(at_least).chain(below).collect();
        let direction = if self.order.is_descending { Direction::Descending } else { Direction::Ascending };
        let by = |name: &str| ProtoOrder { field: Some(field(name)), direction: direction as i32 };
        let mut order_by = vec![by(self.order.field)];
        if self.order.field != NAME {
            order_by.push(by(NAME));
        }
        let after = self.start_after.clone().map(|values| Cursor { values, before: false });
        let at = self.start_at.clone().map(|values| Cursor { values, before: true });
        StructuredQuery {
            from: vec![CollectionSelector {
                collection_id: self.collection.to_owned(),
                all_descendants: self.all_descendants,
            }],
            r#where: all_of(filters),
            order_by,
            start_at: after.or(at),
            limit: i32::try_from(self.limit).ok(),
            ..StructuredQuery::default()
        }
    }
}

fn field(name: &str) -> FieldReference {
    FieldReference { field_path: name.to_owned() }
}

fn filter(name: &str, op: field_filter::Operator, value: &Value) -> Filter {
    let filter = FieldFilter { field: Some(field(name)), op: op as i32, value: Some(value.clone()) };
    Filter { filter_type: Some(FilterType::FieldFilter(filter)) }
}

fn all_of(mut filters: Vec<Filter>) -> Option<Filter> {
    match filters.len() {
        0 | 1 => filters.pop(),
        _ => {
            let filter = CompositeFilter { op: composite_filter::Operator::And as i32, filters };
            Some(Filter { filter_type: Some(FilterType::CompositeFilter(filter)) })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use super::super::{SourceQuery, lines_of, scoped};
    use super::*;
    use crate::ids::{LedgerId, Scope};
    use crate::log::LogPosition;
    use crate::sinks::firestore::{ATTEMPTS, CHECKPOINTS, CUTS, EVENTS, HEAD_TABLES, IDENTITIES, LEDGERS};

    /// The definitions that are shipped.
    const DEFINITIONS: &str = include_str!("../../../../docs/sinks/firestore.indexes.json");

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Definitions {
        indexes: Vec<Index>,
        field_overrides: Vec<Override>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Index {
        collection_group: String,
        query_scope: String,
        fields: Vec<Field>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Field {
        field_path: String,
        order: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Override {
        collection_group: String,
        field_path: String,
        #[serde(default)]
        ttl: bool,
        indexes: Vec<serde_json::Value>,
    }

    fn definitions() -> Definitions {
        serde_json::from_str(DEFINITIONS).expect("docs/sinks/firestore.indexes.json")
    }

    /// Every query that the source makes.
    fn queries() -> Vec<Query> {
        let ledger_id: LedgerId = "01980000-0000-7000-8000-000000000000".parse().expect("a ledger id");
        let mut queries = vec![
            lines_of(ledger_id, EVENTS, LogPosition::START),
            lines_of(ledger_id, ATTEMPTS, LogPosition::START),
        ];
        for collection in [LEDGERS, IDENTITIES, HEAD_TABLES, CHECKPOINTS, CUTS] {
            queries.push(Query::new(None, collection, Order::by_name()));
        }
        for filters in 0_u32..64 {
            let is = |bit: u32| filters & (1 << bit) != 0;
            let text = |bit: u32| is(bit).then(|| "x".to_owned());
            let query = SourceQuery {
                surface: text(0),
                outcome: text(1),
                trace_id: text(2),
                user_id: text(3),
                since_us: is(4).then_some(1),
                until_us: is(5).then_some(2),
                ..SourceQuery::default()
            };
            queries.push(scoped(&Scope::system(), &query).expect("a query"));
        }
        queries
    }

    /// A composite index: its collection, its scope, and its fields with their orders.
    type Needed = (String, String, Vec<(String, String)>);

    /// The composite index that joins an equality to the order of a query, by Firestore's rules: several equalities
    /// are answered by merging one such index for each.
    fn needed(query: &Query) -> Vec<Needed> {
        let scope = if query.all_descendants { "COLLECTION_GROUP" } else { "COLLECTION" };
        let order = if query.order.is_descending { "DESCENDING" } else { "ASCENDING" };
        let of = |equal: &&str| {
            let fields = [
                (equal.to_string(), "ASCENDING".to_owned()),
                (query.order.field.to_owned(), order.to_owned()),
            ];
            (query.collection.to_owned(), scope.to_owned(), fields.to_vec())
        };
        query.equals.iter().map(|(field, _)| *field).collect::<Vec<_>>().iter().map(of).collect()
    }

    #[test]
    fn the_shipped_indexes_are_those_that_the_queries_need() {
        let needed: BTreeSet<_> = queries().iter().flat_map(needed).collect();
        let shipped = definitions().indexes.into_iter().map(|index| {
            let fields = index.fields.into_iter().map(|field| (field.field_path, field.order)).collect();
            (index.collection_group, index.query_scope, fields)
        });
        assert_eq!(shipped.collect::<BTreeSet<_>>(), needed);
    }

    #[test]
    fn what_is_exempt_from_indexes_is_asked_for_by_no_query() {
        let definitions = definitions();
        assert!(definitions.field_overrides.iter().all(|field| field.indexes.is_empty()));
        let exempt = |query: &Query, name: &str| {
            let is_same =
                |field: &&Override| field.collection_group == query.collection && field.field_path == name;
            definitions.field_overrides.iter().find(is_same).is_some()
        };
        for query in queries() {
            let fields = query.equals.iter().map(|(field, _)| *field);
            for field in fields.chain([query.order.field]) {
                assert!(!exempt(&query, field), "{field} of {query:?}");
            }
        }
        for collection in [EVENTS, ATTEMPTS] {
            let of = |name: &str| {
                let is_same =
                    |field: &&Override| field.collection_group == collection && field.field_path == name;
                definitions.field_overrides.iter().find(is_same).expect("an override")
            };
            assert!(of("expires_at").ttl, "{collection}");
            assert!(!of("line").ttl, "{collection}");
        }
        for field in ["input", "output"] {
            let is_same = |it: &Override| it.collection_group == EVENTS && it.field_path == field;
            assert!(definitions.field_overrides.iter().any(is_same), "{field}");
        }
    }

    #[test]
    fn a_scoped_query_looks_below_its_scope_alone() {
        for query in queries().iter().filter(|query| query.order == Order::newest_first()) {
            assert!(!query.all_descendants);
            assert_eq!(query.parent.as_deref(), Some("tenants/$system/envs/$system"));
        }
    }
}
