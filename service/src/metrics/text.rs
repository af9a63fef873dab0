//! Prometheus text of the series that are folded from the ledger.

use std::fmt::Write as _;

/// Stands for what was cut. No id, surface or code can hold a `$`.
const OTHER: &str = "$other";

/// How many events there are of one kind.
pub(super) struct Row<'a> {
    pub(super) tenant: &'a str,
    pub(super) env: &'a str,
    pub(super) surface: &'a str,
    pub(super) outcome: &'a str,
    /// Empty when the events have none.
    pub(super) code: &'a str,
    pub(super) events: u64,
}

/// Appends `dataset_events_total`: the rows, and one for the events that were cut.
pub(super) fn events<'a>(rows: impl Iterator<Item = Row<'a>>, cut_events: u64, out: &mut String) {
    out.push_str(
        "# HELP dataset_events_total Events in the ledger, folded from it.\n\
         # TYPE dataset_events_total counter\n",
    );
    let other =
        Row { tenant: OTHER, env: OTHER, surface: OTHER, outcome: OTHER, code: OTHER, events: cut_events };
    for row in rows.chain((cut_events > 0).then_some(other)) {
        let pairs = [
            ("tenant", row.tenant),
            ("env", row.env),
            ("surface", row.surface),
            ("outcome", row.outcome),
            ("code", row.code),
        ];
        for (at, (name, value)) in pairs.into_iter().enumerate() {
            out.push_str(if at == 0 { "dataset_events_total{" } else { "," });
            let _ = write!(out, "{name}=\"{}\"", escaped(value));
        }
        let _ = writeln!(out, "}} {}", row.events);
    }
}

/// Appends the gauge `dataset_events_<name>`.
pub(super) fn gauge(name: &str, help: &str, value: u64, out: &mut String) {
    let name = format!("dataset_events_{name}");
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
}

/// Backslash, quote and line feed are what a label's value cannot have as they are.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let row = Row { tenant: "a\\b", env: "c\"d", surface: "e\nf", outcome: "ok", code: "", events: 7 };
        let mut out = String::new();
        events([row].into_iter(), 0, &mut out);
        let line = r#"dataset_events_total{tenant="a\\b",env="c\"d",surface="e\nf",outcome="ok",code=""} 7"#;
        assert_eq!(out.lines().nth(2), Some(line));
    }
}
