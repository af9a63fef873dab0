//! Precedence: defaults, then files, then the environment, then code.

use std::path::Path;
use std::time::Duration;

use super::super::{Config, Origin};
use super::problems_of;

fn get(config: &Config, path: &str) -> String {
    config.get(path).unwrap_or_else(|| "default".to_owned())
}

#[test]
fn code_wins_over_the_environment_which_wins_over_files_of_which_the_later_wins() {
    let first = "[ledger]\nroot = \"/a\"\nservice = \"a\"\nversion = \"a\"\nbuild_id = \"a\"";
    let second = "[ledger]\nservice = \"b\"\nversion = \"b\"\nbuild_id = \"b\"";
    let config = Config::builder()
        .set("ledger.build_id", "d")
        .variables([("DATASET_EVENTS__LEDGER__VERSION", "c"), ("DATASET_EVENTS__LEDGER__BUILD_ID", "c")])
        .toml("first.toml", first)
        .toml("second.toml", second)
        .build()
        .expect("four layers");
    let values = ["root", "service", "version", "build_id", "instance"]
        .map(|name| get(&config, &format!("ledger.{name}")));
    assert_eq!(values, ["/a", "b", "c", "d", "default"]);
    let origins: Vec<_> = config.settings().map(|setting| setting.origin).collect();
    assert!(matches!(&origins[0], Origin::Code { file, .. } if file.ends_with("layers.rs")), "{origins:?}");
    let file = |name: &str, line, column| Origin::File { name: name.to_owned(), line, column };
    assert_eq!(origins[1..3], [file("first.toml", 2, 8), file("second.toml", 2, 11)]);
    assert_eq!(origins[3], Origin::Variable { name: "DATASET_EVENTS__LEDGER__VERSION".to_owned() });
}

#[test]
fn every_kind_of_value_can_come_from_every_layer() {
    let text = "[ledger]\njournal_bytes = \"2MiB\"\ngroup_interval = \"20ms\"\naccept_loss = true\n\
                on_unavailable = \"memory\"\nsegment_bytes = 131072";
    let file = Config::builder().toml("x.toml", text).build().expect("a file");
    let environment = Config::builder()
        .variables([
            ("DATASET_EVENTS__LEDGER__JOURNAL_BYTES", "2 MiB"),
            ("DATASET_EVENTS__LEDGER__GROUP_INTERVAL", "20ms"),
            ("DATASET_EVENTS__LEDGER__ACCEPT_LOSS", "true"),
            ("DATASET_EVENTS__LEDGER__ON_UNAVAILABLE", "memory"),
            ("DATASET_EVENTS__LEDGER__SEGMENT_BYTES", "128KiB"),
            ("ANOTHER", "one"),
        ])
        .build()
        .expect("an environment");
    let code = Config::builder()
        .set("ledger.journal_bytes", 2_u64 << 20)
        .set("ledger.group_interval", Duration::from_millis(20))
        .set("ledger.accept_loss", true)
        .set("ledger.on_unavailable", "memory")
        .set("ledger.segment_bytes", 131_072)
        .build()
        .expect("code");
    let shown = r#"{"ledger.accept_loss": "true", "ledger.group_interval": "20ms", "ledger.journal_bytes": "2MiB", "ledger.on_unavailable": "memory", "ledger.segment_bytes": "128KiB"}"#;
    for config in [file, environment, code] {
        assert_eq!(format!("{config:?}"), shown);
    }
}

#[test]
fn a_configuration_embedded_in_a_larger_document_is_read_with_serde() {
    #[derive(Debug, serde::Deserialize)]
    struct Settings {
        audit: Config,
    }
    let read = |text| serde_json::from_str::<Settings>(text);
    let settings = read(r#"{"audit": {"ledger": {"root": "/a", "service": null}}}"#).expect("a document");
    assert_eq!(format!("{:?}", settings.audit), r#"{"ledger.root": "/a"}"#);
    let error = read(r#"{"audit": {"ledger": {"rot": "/a"}}}"#).expect_err("an unknown key").to_string();
    assert!(
        error.contains("embedded configuration: unknown key `rot` of `ledger`; did you mean `root`?"),
        "{error}"
    );
}

#[test]
fn a_text_can_lie_in_a_file_or_a_variable_and_is_then_not_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("name");
    std::fs::write(&path, "hunter2\n").expect("write a file");
    let text = format!(
        "[ledger]\nservice = {{ file = {:?} }}\nversion = {{ env = \"CARGO_PKG_VERSION\" }}",
        path.display()
    );
    let config = Config::builder().toml("x.toml", &text).build().expect("references");
    assert_eq!(format!("{config:?}"), r#"{"ledger.service": "***", "ledger.version": "***"}"#);
    let options = format!("{:?}", config.ledger_options().expect("options"));
    assert!(options.contains("service: Some(\"hunter2\")"), "{options}");

    // What lies elsewhere can be named by variables, over a text in a file and under one in code.
    let builder = Config::builder()
        .toml("x.toml", "[ledger]\nservice = \"shop\"\nversion = { env = \"CARGO_PKG_VERSION\" }")
        .variables([("DATASET_EVENTS__LEDGER__SERVICE__FILE", path.as_os_str())])
        .set("ledger.version", "2");
    let config = builder.clone().build().expect("layers");
    assert_eq!(format!("{config:?}"), r#"{"ledger.service": "***", "ledger.version": "2"}"#);

    // A file that is written anew is read anew.
    std::fs::write(&path, "hunter3").expect("write a file");
    let again = config.read_again().expect("the same layers").ledger_options().expect("options");
    assert!(format!("{again:?}").contains("service: Some(\"hunter3\")"));

    std::fs::remove_file(&path).expect("remove the file");
    let problem = problems_of(builder.build()).remove(0);
    let expected = format!(
        "DATASET_EVENTS__LEDGER__SERVICE__FILE: `service`: the file {} cannot be read: No such file",
        path.display()
    );
    assert!(problem.starts_with(&expected), "{problem}");
}

#[test]
fn a_file_that_must_be_there_and_is_not_is_named() {
    let problems = problems_of(Config::builder().file("/nowhere/x.toml").build());
    assert_eq!(
        problems,
        ["read the configuration file /nowhere/x.toml: No such file or directory (os error 2)"]
    );
    let config = Config::builder().file_if_there(Path::new("/nowhere/x.toml")).build().expect("no file");
    assert_eq!(format!("{config:?}"), "{}");
}
