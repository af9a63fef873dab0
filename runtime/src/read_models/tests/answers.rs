//! What the generic models answer, against values worked out by hand.

use super::*;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn folded<M: ReadModel>(root: &Path, model: M) -> Folded<M> {
    Folded::in_memory(&prod(&of_root(root), "acme"), model).unwrap()
}

#[test]
fn windows_count_whole_buckets_and_say_which() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    // One event each: 100 days, 20 days, 3 days, 5 hours and 10 minutes before the end.
    let end = START_US + 200 * DAY + 12 * HOUR;
    let ages = [100 * DAY, 20 * DAY, 3 * DAY, 5 * HOUR, 10 * MINUTE];
    for (at, age) in ages.into_iter().enumerate() {
        let ledger = &mut ledgers[at % 3];
        ledger.now = end - age;
        ledger.write(&Made::ok(&scope("acme"), "chat.send"));
    }
    let activity = folded(root.path(), Activity);
    let state = activity.state();
    let events = |window, end| state.window(window, end).total.events;
    let all = Window::ALL.map(|window| events(window, end));
    assert_eq!(all, [1, 2, 3, 4, 5]);
    let hour = state.window(Window::Hour, end + 7 * MINUTE);
    assert_eq!((hour.from_us, hour.until_us), (Some(end - 55 * MINUTE), end + 10 * MINUTE));
    // As of earlier ends: of what is kept no longer by the minute, by the hour; then by the day.
    let past = end - 3 * DAY + MINUTE;
    assert_eq!(Window::ALL.map(|window| events(window, past)), [1, 1, 1, 2, 3]);
    let old = state.window(Window::Hour, end - 100 * DAY + MINUTE);
    assert_eq!(old.total.events, 1);
    assert_eq!((old.from_us, old.until_us), (Some(end - 100 * DAY - 12 * HOUR), end - 100 * DAY + 12 * HOUR));
    // The end is exclusive.
    assert_eq!(events(Window::All, end - 20 * DAY), 1);
    let days: Vec<_> =
        state.series(Step::Day, i64::MIN, i64::MAX).map(|(start, day)| (start, day.events)).collect();
    let start = |age: i64| Step::Day.start_of(end - age);
    assert_eq!(days, [(start(100 * DAY), 1), (start(20 * DAY), 1), (start(3 * DAY), 1), (start(0), 2)]);
    assert_eq!(state.series(Step::Hour, end - DAY, end).count(), 2);
}

#[test]
fn activity_counts_by_all_it_says_and_leaves_reading_out() {
    let root = tempfile::tempdir().unwrap();
    let mut ledger = MadeLedger::new(root.path(), 1);
    let acme = scope("acme");
    for surface in ["chat.send", "chat.send", "ledger.read", "bossman.overview", "bossmans.own"] {
        ledger.write(&Made::ok(&acme, surface));
    }
    let refused = Made { outcome: Outcome::Denied, code: Some("chat.no"), ..Made::ok(&acme, "chat.send") };
    ledger.write(&refused);
    let activity = folded(root.path(), Activity);
    let total = activity.state().window(Window::All, START_US + 1).total;
    assert_eq!((total.events, total.failures), (4, 1));
    assert_eq!((total.by_outcome[&Outcome::Ok], total.by_outcome[&Outcome::Denied]), (3, 1));
    assert_eq!(total.by_code, [("chat.no".to_owned(), 1)].into());
    assert_eq!((total.by_surface["chat.send"].events, total.by_surface["chat.send"].failures), (3, 1));
    assert_eq!(total.by_surface.len(), 2);
    assert_eq!(activity.snapshot().events, 6);
    let json = serde_json::to_value(&total).unwrap();
    assert_eq!((&json["by_outcome"]["denied"], &json["by_access"]["write"]), (&1.into(), &4.into()));
}

#[test]
fn the_latest_hundred_failures_are_kept_and_all_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    let acme = scope("acme");
    for at in 0..150 {
        let code = format!("chat.c{}", at % 2);
        let ledger = &mut ledgers[at % 3];
        ledger.now = START_US + at as i64;
        ledger.write(&Made { outcome: Outcome::Error, code: Some(&code), ..Made::ok(&acme, "chat.send") });
        ledger.write(&Made::ok(&acme, "chat.send"));
    }
    let failures = folded(root.path(), Failures);
    let latest: Vec<_> = failures.state().latest.newest_first().map(|(place, _)| place.recorded_at).collect();
    assert_eq!(latest, (START_US + 50..START_US + 150).rev().collect::<Vec<_>>());
    let counts = failures.state().counts.window(Window::Day, START_US + HOUR).total;
    assert_eq!((counts.failures, counts.by_code["chat.c0"], counts.by_code["chat.c1"]), (150, 75, 75));
    let (_, newest) = failures.state().latest.newest_first().next().unwrap();
    assert_eq!(
        (newest.code.as_deref(), newest.outcome, newest.is_retryable),
        (Some("chat.c1"), Outcome::Error, false)
    );
}

#[test]
fn quantiles_are_within_one_percent() {
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    let mut durations = Vec::new();
    for at in 0..900 {
        let digits = 10 + random.below(30);
        let duration_ns = random.below(1 << digits) + 1;
        durations.push(duration_ns);
        ledgers[at % 3].write(&Made { duration_ns, ..Made::ok(&scope("acme"), "chat.send") });
    }
    durations.sort_unstable();
    let latency = folded(root.path(), Latency);
    let window = latency.state().window(Window::Day, START_US + HOUR).total;
    let [row] = &window.by_surface()[..] else { panic!("one surface") };
    assert_eq!((row.count, row.max_ns), (900, durations[899]));
    for (found, share) in [(row.p50_ns, 0.5), (row.p90_ns, 0.9), (row.p99_ns, 0.99)] {
        let exact = durations[(900.0 * share) as usize - 1];
        let error = (found as f64 - exact as f64) / exact as f64;
        assert!((0.0..0.01).contains(&error), "{share}: {found} for {exact}");
    }
    assert_eq!(window.overall().count(), 900);
    assert_eq!(LatencySketch::default().quantiles([0.5]), None);
    let mut longest = LatencySketch::default();
    longest.record(u64::MAX);
    longest.record(0);
    assert_eq!((longest.max_ns(), longest.count()), (u64::MAX, 2));
}

#[test]
fn totals_are_exact_and_what_cannot_be_summed_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    let acme = scope("acme");
    let costs = ["0.1", "\"0.2\"", "1e-18", "\"many\"", "null", "{}", "12345678901234567.89"];
    for (at, cost) in costs.into_iter().enumerate() {
        let rest = format!(r#","input":{{"provider":"p","use":{{"cost":{cost}}}}}"#);
        ledgers[at % 3].write(&Made { rest: &rest, ..Made::ok(&acme, "budget.record") });
    }
    ledgers[0].write(&Made { rest: r#","input":{"use":{"cost":7}}"#, ..Made::ok(&acme, "budget.record") });
    ledgers[0].write(&Made {
        outcome: Outcome::Error,
        code: Some("a.b"),
        ..Made::ok(&acme, "budget.record")
    });
    ledgers[0].write(&Made::ok(&acme, "chat.send"));
    let model =
        Totals::of("budget.*", "input.use.cost".parse().unwrap()).group_by("input.provider".parse().unwrap());
    let totals = folded(root.path(), model);
    let bucket = totals.state().window(Window::Month, START_US + 1).total;
    let rows: Vec<_> =
        bucket.rows().into_iter().map(|row| (row.group, row.events, row.rejected, row.sum)).collect();
    let expected = "12345678901234568.190000000000000001".to_owned();
    assert_eq!(rows, [(vec![Some("p".to_owned())], 7, 3, expected), (vec![None], 1, 0, "7".to_owned())]);
    assert_eq!(bucket.group(&[None]).unwrap().events, 1);
    assert_eq!(bucket.total().sum.to_string(), "12345678901234575.190000000000000001");
}

#[test]
fn the_newest_output_of_each_key_wins_across_ledgers() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    let acme = scope("acme");
    for (ledger, at, sensor, celsius) in [(0, 5, "a", 21), (1, 9, "a", 23), (2, 7, "a", 22), (2, 8, "b", 3)] {
        ledgers[ledger].now = START_US + at;
        let rest = format!(
            r#","source_refs":[{{"kind":"sensor","id":"{sensor}"}}],"output":{{"celsius":{celsius}}}"#
        );
        ledgers[ledger].write(&Made { rest: &rest, ..Made::ok(&acme, "temperature.read") });
    }
    ledgers[0].now = START_US + 99;
    ledgers[0].write(&Made::ok(&acme, "temperature.read"));
    let model = LatestOutputs::new("temperature.read", Field::SourceRef("sensor".into()));
    let latest = folded(root.path(), model);
    let outputs: Vec<_> =
        latest.state().iter().map(|(key, _, output)| (key, output.output.as_str())).collect();
    assert_eq!(outputs, [("a", r#"{"celsius":23}"#), ("b", r#"{"celsius":3}"#)]);
    let newest: Vec<_> =
        latest.state().newest_first().map(|(key, place, _)| (key, place.recorded_at)).collect();
    assert_eq!(newest, [("a", START_US + 9), ("b", START_US + 8)]);
}

#[test]
fn heads_are_the_newest_event_of_each_ledger() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    for (at, ledger) in ledgers.iter_mut().enumerate() {
        for _ in 0..=at {
            ledger.now += 10;
            ledger.write(&Made::ok(&scope("acme"), "ledger.read"));
        }
    }
    let heads = folded(root.path(), LedgerHeads);
    let found: Vec<_> = heads.state().values().map(|head| head.place().unwrap()).collect();
    let expected: Vec<_> =
        ledgers.iter().map(|ledger| EventPlace::of(ledger.events.last().unwrap())).collect();
    assert_eq!(found, expected);
    assert!(heads.state().values().all(|head| head.get().unwrap().writer.service == "made"));
}

#[test]
fn a_trace_is_a_tree_across_ledgers_whatever_its_spans_claim() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    let (acme, zeta) = (scope("acme"), scope("zeta"));
    // 1 is a root; 2 and 3 its children, 4 a child of 3; 5 ran in a span that recorded nothing; 6 and 7 claim
    // each other as parent; 8 claims itself; 9 is another tenant's.
    let spans = [(4, 3), (1, 0), (3, 1), (2, 1), (5, 99), (6, 7), (7, 6), (8, 8)];
    for (at, spans) in spans.into_iter().enumerate() {
        let ledger = &mut ledgers[at % 3];
        ledger.now = START_US + 1_000 * spans.0 as i64 + 1;
        ledger.write(&Made { trace: 5, spans, ..Made::ok(&acme, "chat.send") });
    }
    ledgers[0].write(&Made { trace: 5, spans: (9, 1), ..Made::ok(&zeta, "chat.send") });
    ledgers[0].write(&Made { trace: 6, spans: (10, 1), ..Made::ok(&acme, "chat.send") });
    let set = of_root(root.path());
    let trace_id = format!("{:032x}", 5).parse().unwrap();
    let tree = prod(&set, "acme").trace(trace_id, 100).unwrap();
    let span = |node: &TraceNode| u64::from_be_bytes(node.event.event.span_id.to_bytes());
    let nodes: Vec<_> = tree
        .nodes
        .iter()
        .map(|node| {
            (span(node), node.depth, node.parent.map(|at| span(&tree.nodes[at])), node.is_parent_missing)
        })
        .collect();
    let expected = [
        (1, 0, None, false),
        (2, 1, Some(1), false),
        (3, 1, Some(1), false),
        (4, 2, Some(3), false),
        (5, 0, None, true),
        (8, 0, None, true),
        (6, 0, None, true),
        (7, 1, Some(6), false),
    ];
    assert_eq!(nodes, expected);
    assert!(!tree.is_truncated && tree.unread.is_empty());
    assert_eq!((tree.started_at, tree.ended_at), (Some(START_US + 1_000), Some(START_US + 8_001)));
    let short = prod(&set, "acme").trace(trace_id, 3).unwrap();
    assert_eq!((short.nodes.len(), short.is_truncated), (3, true));
    assert!(prod(&set, "nobody").trace(trace_id, 3).unwrap().nodes.is_empty());
}

#[test]
fn fields_are_named_as_text_and_found_as_they_stand() {
    let root = tempfile::tempdir().unwrap();
    let mut ledger = MadeLedger::new(root.path(), 1);
    let rest = r#","source_refs":[{"kind":"k","id":"first"},{"kind":"k","id":"second"}],"input":{"s":"a\"b","n":1.50,"o":{"deep":{"x":true}},"z":null},"output":["no object"]"#;
    ledger.write(&Made { rest, ..Made::ok(&scope("acme"), "chat.send") });
    let of = |text: &str| text.parse::<Field>().unwrap().of(&ledger.events[0]);
    for (field, expected) in [
        ("input.s", Some("a\"b")),
        ("input.n", Some("1.50")),
        ("input.o.deep.x", Some("true")),
        ("input.o.deep", Some(r#"{"x":true}"#)),
        ("input.z", None),
        ("input.s.x", None),
        ("output.x", None),
        ("source_ref.k", Some("first")),
        ("source_ref.j", None),
        ("surface", Some("chat.send")),
        ("outcome", Some("ok")),
        ("code", None),
        ("user", None),
    ] {
        assert_eq!(of(field).as_deref(), expected, "{field}");
        assert_eq!(field.parse::<Field>().unwrap().to_string(), field);
    }
    for text in ["", "input", "input.", "inputs.x", "source_ref.", "tenant"] {
        assert!(text.parse::<Field>().is_err(), "{text}");
    }
}
