//! Each thing that can be wrong, with its exact text.

use super::super::Config;
use super::{problems, problems_of};

const LEDGER_KEYS: &str = "accepted: `root`, `service`, `version`, `build_id`, `instance`, `journal_dir`, \
                           `journal_bytes`, `segment_bytes`, `group_interval`, `on_unavailable`, `accept_loss`, \
                           `keep_for`, `drop_without_copy`, `max_disk_bytes`";
const BACKENDS: &str = "accepted: `replica`, `ndjson`, `stdout`, `memory`, `firestore`, `bigquery`, `otlp`";

#[test]
fn unknown_keys_are_refused_with_their_place_and_the_accepted_names() {
    assert_eq!(
        problems("[ledger]\nroot = \"/a\"\n  jurnal_bytes = 1"),
        [format!(
            "x.toml:3:3: unknown key `jurnal_bytes` of `ledger`; did you mean `journal_bytes`? {LEDGER_KEYS}"
        )]
    );
    assert_eq!(
        problems("[leger]"),
        ["x.toml:1:2: unknown key `leger`; did you mean `ledger`? accepted: `ledger`, `sinks`, `backend`"]
    );
    let built = Config::builder().variables([("DATASET_EVENTS__LEDGER__COLOUR", "red")]).build();
    assert_eq!(
        problems_of(built),
        [format!("DATASET_EVENTS__LEDGER__COLOUR: unknown key `colour` of `ledger`; {LEDGER_KEYS}")]
    );
    let line = line!() + 1;
    let built = Config::builder().set("ledger.rot", "/a").build();
    let place = format!("{}:{line}", file!());
    assert_eq!(
        problems_of(built),
        [format!("{place}: unknown key `rot` of `ledger`; did you mean `root`? {LEDGER_KEYS}")]
    );
}

#[test]
fn everything_is_reported_at_once_in_the_order_of_the_text() {
    let text =
        "[ledger]\nversion = 2\nroot = 1\n[sinks.x]\nbackend = \"nowhere\"\n[sinks.Y]\nbackend = \"memry\"";
    let built = Config::builder()
        .toml("x.toml", text)
        .variables([("DATASET_EVENTS__LEDGER__ACCEPT_LOSS", "yes")])
        .build();
    let elsewhere = "`{ file = \"..\" }` or `{ env = \"..\" }`";
    assert_eq!(
        problems_of(built),
        [
            format!("x.toml:2:11: `version`: expected a text, {elsewhere}, found an integer"),
            format!("x.toml:3:8: `root`: expected a text, {elsewhere}, found an integer"),
            format!("x.toml:5:11: unknown backend `nowhere` of sink `x`; {BACKENDS}"),
            "x.toml:6:8: `Y` cannot name a sink: expected a letter and at most 63 letters, digits, `_` and `-`, \
             in lower case"
                .to_owned(),
            format!("x.toml:7:11: unknown backend `memry` of sink `Y`; did you mean `memory`? {BACKENDS}"),
            "DATASET_EVENTS__LEDGER__ACCEPT_LOSS: `accept_loss`: expected `true` or `false`, found `yes`".to_owned(),
        ]
    );
}

#[test]
fn values_out_of_bounds_and_of_another_kind_are_refused() {
    let one = |line: &str| problems(&format!("[ledger]\n{line}")).remove(0);
    let expected = [
        ("journal_bytes = \"1KiB\"", "`journal_bytes` must be 1MiB to 1GiB, not 1KiB"),
        ("journal_bytes = -1", "`journal_bytes` must be 1MiB to 1GiB, not -1"),
        (
            "journal_bytes = 99999999999999999999",
            "`journal_bytes` must be 1MiB to 1GiB, not 99999999999999999999",
        ),
        (
            "journal_bytes = \"much\"",
            "`journal_bytes`: expected a size such as `64MiB`, or a number of bytes, found `much`",
        ),
        ("group_interval = \"1h\"", "`group_interval` must be 1ms to 10s, not 1h"),
        (
            "group_interval = 50",
            "`group_interval`: expected a duration with its unit, such as `30s` or `7d`, found an integer",
        ),
        ("accept_loss = \"true\"", "`accept_loss`: expected `true` or `false`, found `true`"),
        ("accept_loss = 1.5", "`accept_loss`: expected `true` or `false`, found a number with a fraction"),
        ("service = \"\"", "`service` is empty"),
        ("service = [\"a\"]", "expected a text, `{ file = \"..\" }` or `{ env = \"..\" }`, found a list"),
        ("service = { env = \"NO_SUCH_VARIABLE\" }", "the variable `NO_SUCH_VARIABLE` cannot be read"),
        ("service = { env = 1 }", "`service.env`: expected a text"),
        ("service = { path = \"a\" }", "found a table"),
        ("version = \"a\\u0007\"", "`version` cannot be used: it has a control character"),
        (
            "on_unavailable = \"memori\"",
            "`on_unavailable` cannot be `memori`: did you mean `memory`? accepted: `refuse_start`, `memory`",
        ),
    ];
    for (line, message) in expected {
        let found = one(line);
        assert!(
            found.starts_with("x.toml:2:") && found.ends_with(message) || found.contains(message),
            "{found}"
        );
    }
    let long = format!("service = \"{}\"", "x".repeat(65));
    assert_eq!(one(&long), "x.toml:2:11: `service` cannot be used: it has 65 bytes");
}

#[test]
fn texts_that_are_not_toml_are_refused_without_being_quoted() {
    let found = problems("[ledger]\nroot = \"/hunter2\nservice = hunter2\nroot = ");
    assert!(found.len() >= 2, "{found:?}");
    for problem in &found {
        assert!(problem.starts_with("x.toml:") && problem.contains(": not TOML: "), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    assert_eq!(problems("[ledger]\nroot = \"/a\"\nroot = \"/b\""), ["x.toml:3:1: not TOML: duplicate key"]);
}

#[test]
fn variables_that_are_no_path_or_say_two_things_are_refused() {
    let built = Config::builder()
        .variables([
            ("DATASET_EVENTS__LEDGER__ROOT", "/a"),
            ("DATASET_EVENTS__LEDGER__ROOT__FILE", "/b"),
            ("DATASET_EVENTS__LEDGER____ROOT", "/c"),
        ])
        .build();
    assert_eq!(
        problems_of(built),
        [
            "DATASET_EVENTS__LEDGER__ROOT__FILE: conflicts with DATASET_EVENTS__LEDGER__ROOT: a value, or parts of \
             it, not both",
            "DATASET_EVENTS__LEDGER____ROOT: expected a path whose parts are separated by `__`, as in \
             `DATASET_EVENTS__SINKS__ARCHIVE__URL`",
        ]
    );
    let line = line!() + 1;
    let built = Config::builder().set("ledger..root", "/a").build();
    assert_eq!(
        problems_of(built),
        [format!("{}:{line}: `ledger..root` is no path of a key; expected one like `ledger.root`", file!())]
    );
}

#[test]
fn tables_and_backends_are_asked_for_where_they_belong() {
    assert_eq!(problems("ledger = 1"), ["x.toml:1:10: `ledger`: expected a table, found an integer"]);
    assert_eq!(
        problems("[sinks]\nx = 1"),
        ["x.toml:2:5: `sinks.x`: expected a table with a `backend`, found an integer"]
    );
    assert_eq!(problems("[sinks.x]"), [format!("x.toml:1:8: sink `x` lacks its `backend`; {BACKENDS}")]);
    assert_eq!(
        problems("[sinks.x]\nbackend = 1"),
        ["x.toml:2:11: `backend`: expected a text, found an integer"]
    );
    assert_eq!(
        problems("backend = 1\nurl = \"x\""),
        ["x.toml:1:11: `backend`: expected a text, found an integer"]
    );
}
