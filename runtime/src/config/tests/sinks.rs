//! Sinks: their keys, the short form, and what does not go together.

use super::super::Config;
use super::{problems, problems_of};

#[test]
fn a_sink_is_described_by_all_layers_together() {
    let config = Config::builder()
        .toml("x.toml", "[sinks.near-by]\nbackend = \"memory\"\nbatch_entries = 10\nrequired = false")
        .variables([
            ("DATASET_EVENTS__SINKS__NEAR_BY__BATCH_ENTRIES", "20"),
            ("DATASET_EVENTS__SINKS__NEAR_BY__SURFACES", "chat.*, budget.*"),
            ("DATASET_EVENTS__SINKS__OTHER__BACKEND", "memory"),
        ])
        .set("sinks.near-by.batch_age", "1s")
        .build()
        .expect("two sinks");
    assert_eq!(config.sink_names().collect::<Vec<_>>(), ["near-by", "other"]);
    let get = |key: &str| config.get(&format!("sinks.near-by.{key}")).unwrap_or_default();
    assert_eq!(
        [get("backend"), get("batch_entries"), get("surfaces"), get("batch_age")],
        ["memory", "20", "chat.*,budget.*", "1s"]
    );
}

#[test]
fn the_short_form_is_one_sink_named_after_its_backend() {
    let text = "backend = \"memory\"\nmax_bytes = \"1MiB\"\n[ledger]\nroot = \"/a\"";
    let config = Config::builder().toml("x.toml", text).build().expect("the short form");
    let shown =
        r#"{"ledger.root": "/a", "sinks.memory.backend": "memory", "sinks.memory.max_bytes": "1MiB"}"#;
    assert_eq!(format!("{config:?}"), shown);
    let config =
        Config::builder().variables([("DATASET_EVENTS__BACKEND", "memory")]).build().expect("a variable");
    assert_eq!(config.sink_names().collect::<Vec<_>>(), ["memory"]);

    let both = "backend = \"memory\"\n[sinks.memory]\nbackend = \"memory\"";
    assert_eq!(
        problems(both),
        [
            "x.toml:1:1: `backend` at the top names a sink `memory`, and so does `sinks.memory` (x.toml:2:8): keep one \
          of them"
        ]
    );
}

#[test]
fn keys_that_a_sink_has_not_and_those_that_make_no_sense_are_refused() {
    let common = "`required`, `surfaces`, `batch_entries`, `batch_bytes`, `batch_age`, `retry_min`, `retry_max`, \
                  `hang_after`, `close_within`, `backend`";
    let text = "[sinks.x]\nbackend = \"memory\"\nbatch_entires = 5\nrequired = true\nretry_min = \"1m\"\n\
                surfaces = [\"chat.*\", \"Chat\"]";
    assert_eq!(
        problems(text),
        [
            format!(
                "x.toml:3:1: unknown key `batch_entires` of sink `x` (memory); did you mean `batch_entries`? \
                 accepted: `max_bytes`, {common}"
            ),
            "x.toml:4:12: sink `x` (memory) cannot have `required`: it ends with the process, and is no reason to \
             drop a log"
                .to_owned(),
            "x.toml:5:13: `retry_min` of sink `x` (1m) is longer than its `retry_max` (30s)".to_owned(),
        ]
    );
    assert_eq!(
        problems("[sinks.x]\nbackend = \"memory\"\nsurfaces = [\"chat.*\", \"Chat\"]"),
        [
            "x.toml:3:12: `surfaces` of sink `x` cannot be used: `Chat` can match no surface: a to z, 0 to 9, `_`, `.`, \
          `$` and `*`"
        ]
    );
    assert_eq!(
        problems("[sinks.x]\nbackend = \"memory\"\nbatch_entries = 0\nbatch_bytes = \"1GiB\""),
        [
            "x.toml:3:17: `batch_entries` must be 1 to 100000, not 0",
            "x.toml:4:15: `batch_bytes` must be 64KiB to 256MiB, not 1GiB",
        ]
    );
}

#[cfg(not(feature = "firestore"))]
#[test]
fn a_backend_that_is_not_compiled_in_is_refused_with_its_feature() {
    assert_eq!(
        problems("backend = \"firestore\"\nproject = \"shop\""),
        ["x.toml:1:11: the backend `firestore` of sink `firestore` is not compiled in: build the crate \
          `dataset-events` with the feature `firestore`"]
    );
}

#[cfg(feature = "otlp")]
#[test]
fn secrets_are_in_no_output() {
    let text =
        "[sinks.x]\nbackend = \"otlp\"\nurl = \"http://collector\"\nheaders = { api-key = \"hunter2\" }";
    let config = Config::builder()
        .toml("x.toml", text)
        .variables([("DATASET_EVENTS__SINKS__X__HEADERS__X_TOKEN", "hunter3")])
        .build()
        .expect("secrets");
    assert_eq!(config.get("sinks.x.headers").as_deref(), Some("api-key=***,x-token=***"));
    let options = config.ledger_options().expect("options");
    let settings: Vec<_> = config.settings().collect();
    let output = format!("{config:?} {options:?} {settings:?} {:?}", config.recipe);
    assert!(!output.contains("hunter"), "{output}");

    let bad = [
        "url = \"http://me:hunter2@collector\"",
        "url = \"http://collector?key=hunter2\"",
        "url = \"hunter2://collector\"",
        "url = \"http://collector\"\nheaders = { host = \"hunter2\" }",
        "url = \"http://collector\"\nheaders = { api-key = \"hunter2\\n\" }",
        "url = \"http://collector\"\nheaders = \"hunter2\"",
        "url = \"http://collector\"\nheaders = { api-key = [\"hunter2\"] }",
    ];
    for line in bad {
        let found = problems(&format!("[sinks.x]\nbackend = \"otlp\"\n{line}")).join("\n");
        assert!(!found.contains("hunter"), "{found}");
    }
    assert_eq!(problems("[sinks.x]\nbackend = \"otlp\""), ["x.toml:1:8: sink `x` (otlp) lacks `url`"]);
}

#[cfg(feature = "otlp")]
#[test]
fn two_sinks_cannot_have_one_target() {
    let sink = |name: &str| format!("[sinks.{name}]\nbackend = \"otlp\"\nurl = \"http://collector\"\n");
    assert_eq!(
        problems(&(sink("a") + &sink("b"))),
        ["x.toml:6:7: sinks `a` and `b` have the same `url`: each needs a target of its own"]
    );
    let built = Config::builder().toml("x.toml", sink("a")).set("sinks.b.backend", "otlp").build();
    assert!(problems_of(built)[0].ends_with("sink `b` (otlp) lacks `url`"));
}

#[cfg(feature = "replica")]
#[test]
fn a_replica_has_the_whole_log_at_a_place_that_can_be() {
    let sink = |more: &str| problems(&format!("[sinks.x]\nbackend = \"replica\"\n{more}"));
    assert_eq!(
        sink("url = \"/mnt/audit\"\nsurfaces = [\"chat.*\"]"),
        [
            "x.toml:4:12: sink `x` (replica) cannot have `surfaces`: a replica holds the log's own bytes, all of them"
        ]
    );
    assert_eq!(
        sink("url = \"ftp://audit\""),
        [
            "x.toml:3:7: `url` of sink `x` cannot be used: unknown scheme in the address of a replica; accepted: s3, s3a, \
          gs, az, abfs, abfss, file"
        ]
    );
    let text = "backend = \"replica\"\nurl = \"/mnt/audit\"\nrequired = true";
    let config = Config::builder().toml("x.toml", text).build().expect("a directory");
    assert_eq!(config.get("sinks.replica.url").as_deref(), Some("/mnt/audit"));
}

#[test]
fn local_sinks_have_their_places_and_rules() {
    let text = "[sinks.files]\nbackend = \"ndjson\"\npath = \"/var/log/audit\"\nrotate_age = \"1h\"\nkeep_files = 24\n\
                [sinks.out]\nbackend = \"stdout\"\nkinds = [\"event\", \"attempt\"]";
    let config = Config::builder().toml("x.toml", text).build().expect("two sinks");
    assert_eq!(config.get("sinks.files.rotate_age").as_deref(), Some("1h"));
    assert_eq!(
        problems("[sinks.x]\nbackend = \"stdout\"\nrequired = true"),
        [
            "x.toml:3:12: sink `x` (stdout) cannot have `required`: nobody can say whether it was kept, and that is no \
          reason to drop a log"
        ]
    );
    assert_eq!(problems("[sinks.x]\nbackend = \"ndjson\""), ["x.toml:1:8: sink `x` (ndjson) lacks `path`"]);
    let same =
        "[sinks.x]\nbackend = \"ndjson\"\npath = \"/a\"\n[sinks.y]\nbackend = \"ndjson\"\npath = \"/a\"";
    assert_eq!(
        problems(same),
        ["x.toml:6:8: sinks `x` and `y` have the same `path`: each needs a target of its own"]
    );
}
