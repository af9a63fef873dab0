//! What stands in the tables, and what becomes of tables that are not as they should be.

use std::time::Duration;

use dataset_events::sinks::bigquery::BigQueryView;
use dataset_events::sinks::{EntryKind, MemoryState, SinkError, SinkStart};
use serde_json::{Value, json};

use super::*;
use dataset_events_tests::remote::bigquery::Rest;

/// A dataset on the shared server, and a way to ask it.
fn fresh() -> (BigQuery, Rest) {
    let target = BigQuery::new(false, false);
    let rest = Rest::of(&target.running);
    (target, rest)
}

fn opened(settings: BigQuerySettings, ledger_id: LedgerId) -> Result<(), SinkError> {
    BigQuerySink::new(settings).open(&SinkStart::new(ledger_id, &mut MemoryState::default()))
}

fn all_rows(rest: &Rest, dataset: &str, table: &str) -> Vec<Vec<Option<String>>> {
    let rows = rest.query(&format!(
        "SELECT TO_JSON_STRING(t) AS row_text FROM `{PROJECT}.{dataset}.{table}` AS t ORDER BY log_segment, \
         log_offset, line_hash"
    ));
    assert!(!rows.is_empty());
    rows
}

#[test]
fn the_same_log_forwarded_twice_gives_equal_rows() {
    let cut = story::orders(150);
    let targets = [fresh(), fresh()];
    for ((target, _), batch_entries) in targets.iter().zip([1_000, 23]) {
        Driver::new(target, cut.ledger_id).forward_all(&cut, batch_entries);
    }
    for table in ["events", "ledger_entries"] {
        let [rows, others] = targets.each_ref().map(|(target, rest)| all_rows(rest, &target.dataset, table));
        assert_eq!(rows, others, "{table}");
    }
}

#[test]
fn an_event_can_be_queried_by_its_columns_and_its_json() {
    let cut = story::orders(100);
    let (target, rest) = fresh();
    Driver::new(&target, cut.ledger_id).forward_all(&cut, 1_000);
    let events = format!("`{PROJECT}.{}.events`", target.dataset);
    let by_tenant = rest.query(&format!(
        "SELECT tenant_id, env, COUNT(*), COUNT(DISTINCT event_id), MIN(seq), MAX(seq) FROM {events} \
         WHERE tenant_id NOT LIKE '$%' GROUP BY 1, 2 ORDER BY 1, 2"
    ));
    let mut total = 0;
    for row in &by_tenant {
        let number =
            |at: usize| row[at].as_deref().and_then(|text| text.parse::<u64>().ok()).expect("a number");
        assert_eq!((number(2), number(3), number(4)), (number(5), number(5), 1), "{row:?}");
        total += number(2);
    }
    assert_eq!((by_tenant.len(), total), (story::SCOPES.len(), 100));
    let sums = rest.query(&format!(
        "SELECT SUM(CAST(JSON_VALUE(input, '$.number') AS INT64)), SUM(CAST(JSON_VALUE(output, '$.total') AS INT64)), \
         COUNTIF(error_code = 'order.refused'), COUNTIF(JSON_VALUE(source_refs, '$[0].kind') = 'order'), \
         COUNTIF(started_at > recorded_at) FROM {events} WHERE STARTS_WITH(surface, 'order.')"
    ));
    let expected = ["4950", "495000", "14", "100", "0"].map(|text| Some(text.to_owned()));
    assert_eq!(sums, [expected.to_vec()]);
}

#[test]
fn the_tables_are_partitioned_clustered_and_expire() {
    let (target, rest) = fresh();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let ledger_id = story::orders(1).ledger_id;
    opened(target.settings().partition_expiry(days(90)), ledger_id).expect("open");
    for (table, clustered) in
        [("events", json!(["tenant_id", "env", "surface"])), ("ledger_entries", json!(["ledger_id", "kind"]))]
    {
        let found = rest.get(&format!("datasets/{}/tables/{table}", target.dataset));
        let partitioning = &found["timePartitioning"];
        assert_eq!((&partitioning["type"], &partitioning["field"]), (&json!("DAY"), &json!("started_at")));
        assert_eq!(partitioning["expirationMs"], json!((90_u64 * 86_400_000).to_string()));
        assert_eq!(found["clustering"]["fields"], clustered);
    }
    // Another expiry replaces it, none leaves it.
    for (settings, expected) in
        [(target.settings().partition_expiry(days(30)), 30_u64), (target.settings(), 30)]
    {
        opened(settings, ledger_id).expect("open");
        let found = rest.get(&format!("datasets/{}/tables/events", target.dataset));
        assert_eq!(found["timePartitioning"]["expirationMs"], json!((expected * 86_400_000).to_string()));
    }
}

fn field(name: &str, type_name: &str, mode: &str) -> Value {
    json!({"name": name, "type": type_name, "mode": mode})
}

fn make_dataset(rest: &Rest, dataset: &str) {
    rest.post("datasets", &json!({"datasetReference": {"projectId": PROJECT, "datasetId": dataset}}));
}

fn make_table(rest: &Rest, dataset: &str, table: &str, fields: &[Value]) {
    let reference = json!({"projectId": PROJECT, "datasetId": dataset, "tableId": table});
    rest.post(
        &format!("datasets/{dataset}/tables"),
        &json!({"tableReference": reference, "schema": {"fields": fields}}),
    );
}

#[test]
fn columns_that_a_table_lacks_are_added_and_others_stay() {
    let (target, rest) = fresh();
    let cut = story::orders(30);
    let fields = ["ledger_id", "event_id", "tenant_id", "env"].map(|name| field(name, "STRING", "REQUIRED"));
    let mut fields = fields.to_vec();
    fields.push(field("seq", "INT64", "NULLABLE"));
    fields.push(field("of_another_tool", "STRING", "NULLABLE"));
    make_dataset(&rest, &target.dataset);
    make_table(&rest, &target.dataset, "events", &fields);
    let mut driver = Driver::new(&target, cut.ledger_id);
    driver.forward_all(&cut, 1_000);
    let rows = rest.query(&format!(
        "SELECT COUNT(*), COUNT(of_another_tool), COUNT(line), COUNT(seq) FROM `{PROJECT}.{}.events`",
        target.dataset
    ));
    let count = cut.pieces.iter().filter(|piece| piece.kind == EntryKind::Event).count().to_string();
    assert_eq!(rows, [[&count, "0", &count, &count].map(|text| Some(text.to_string())).to_vec()]);
}

#[test]
fn a_column_of_another_type_stops_the_sink_with_its_name_and_the_way_out() {
    let (target, rest) = fresh();
    make_dataset(&rest, &target.dataset);
    make_table(&rest, &target.dataset, "events", &[field("seq", "STRING", "NULLABLE")]);
    let (id, error) = (story::orders(1).ledger_id, |result: Result<(), SinkError>| {
        let error = result.expect_err("the table does not fit");
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
        format!("{error}: {}", std::error::Error::source(&error).expect("a reason"))
    });
    let text = error(opened(target.settings(), id));
    for part in ["seq", "STRING", "INTEGER", "rename or drop that column", &target.dataset] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    // A column that rows come without.
    let (target, rest) = fresh();
    make_dataset(&rest, &target.dataset);
    make_table(&rest, &target.dataset, "events", &[field("region", "STRING", "REQUIRED")]);
    let text = error(opened(target.settings(), id));
    assert!(text.contains("region") && text.contains("relax it to nullable"), "{text}");
    // A dataset that is not there, and may not be made.
    let (target, _) = fresh();
    let text = error(opened(target.settings().create_dataset(false), id));
    assert!(text.contains(&format!("make dataset `{}`", target.dataset)), "{text}");
    // Names that are none.
    let text = error(opened(target.settings().table("a`b"), id));
    assert!(text.contains("table `a`b` is not accepted"), "{text}");
}

#[test]
fn views_are_made_and_replaced_when_their_text_is_another() {
    let (target, rest) = fresh();
    let id = story::orders(1).ledger_id;
    let view = |sql: &str| target.settings().views([BigQueryView::new("v_mine", sql)]);
    let asked = || rest.query(&format!("SELECT n FROM `{PROJECT}.{}.v_mine`", target.dataset));
    for (sql, expected) in [
        ("SELECT COUNT(*) + 1 AS n FROM {events}", "1"),
        ("SELECT COUNT(*) + 1 AS n FROM {events}", "1"),
        ("SELECT COUNT(*) + 5 AS n FROM {ledger_entries}", "5"),
    ] {
        opened(view(sql), id).expect("open");
        assert_eq!(asked(), [[Some(expected.to_owned())]]);
    }
    make_table(&rest, &target.dataset, "v_taken", &[field("a", "STRING", "NULLABLE")]);
    let taken = target.settings().views([BigQueryView::new("v_taken", "SELECT 1 AS n")]);
    assert!(matches!(opened(taken, id), Err(SinkError::Fatal { .. })));
}
