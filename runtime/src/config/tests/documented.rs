//! `docs/configuration.md` lists every key as the tables have it.

use std::fmt::Write as _;
use std::path::Path;

use super::super::backends::BACKENDS;
use super::super::key::{Key, Row};
use super::super::ledger_keys::LEDGER_KEYS;
use super::super::sink_keys::SINK_KEYS;

fn table(rows: &[Row], needs: &[&str]) -> String {
    let mut text = String::from("| key | type | default | bound | what |\n|---|---|---|---|---|\n");
    for row in rows {
        let default = match row.default {
            _ if needs.contains(&row.name) => "needed".to_owned(),
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let Row { name, kind, bound, what, .. } = row;
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {bound} | {what} |");
    }
    text
}

/// The generated parts by their names; those of backends that are not compiled in are left as they are.
fn parts() -> Vec<(String, String)> {
    let rows = |rows: Vec<Row>| table(&rows, &[]);
    let mut parts = vec![
        ("ledger".to_owned(), rows(LEDGER_KEYS.iter().map(Key::row).collect())),
        ("sinks".to_owned(), rows(SINK_KEYS.iter().map(Key::row).collect())),
    ];
    for backend in BACKENDS {
        if let Some(made) = &backend.made {
            parts.push((backend.name.to_owned(), table(&(made.rows)(), made.needs)));
        }
    }
    parts
}

#[test]
fn the_page_lists_every_key_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let found = std::fs::read_to_string(&path).expect("docs/configuration.md");
    let mut page = found.clone();
    for (name, table) in parts() {
        let begin = format!("<!-- keys: {name} -->\n");
        let start =
            page.find(&begin).unwrap_or_else(|| panic!("no `{}` in the page", begin.trim())) + begin.len();
        let end = start + page[start..].find("<!-- end -->").expect("the end of the table");
        page.replace_range(start..end, &table);
    }
    for backend in BACKENDS {
        let heading = format!("### `{}`", backend.name);
        assert!(page.contains(&heading), "no heading {heading} in the page");
    }
    if std::env::var_os("DATASET_EVENTS_BLESS").is_some() {
        std::fs::write(&path, page).expect("write docs/configuration.md");
        return;
    }
    assert!(page == found, "docs/configuration.md is not what the keys are: run with DATASET_EVENTS_BLESS=1");
}
