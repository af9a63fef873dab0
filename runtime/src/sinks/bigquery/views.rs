//! Views over the tables, made by the sink.

use super::row::TableKind;
use super::settings::BigQuerySettings;

/// A view that the sink makes and keeps as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigQueryView {
    name: String,
    sql: String,
}

impl BigQueryView {
    /// A view of the dataset: its name, and its query. In the query `{events}` and `{ledger_entries}` stand for the
    /// tables.
    pub fn new(name: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { name: name.into(), sql: sql.into() }
    }

    /// The views that every ledger has a use for: `v_activity`, `v_failures`.
    pub fn built_in() -> Vec<Self> {
        let activity = include_str!("views/activity.sql");
        let failures = include_str!("views/failures.sql");
        vec![Self::new("v_activity", activity), Self::new("v_failures", failures)]
    }

    /// Its name in the dataset.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its query, with the placeholders.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Its query over the tables of the settings.
    pub(crate) fn query(&self, settings: &BigQuerySettings) -> String {
        let table = |table| settings.quoted(settings.table_of(table));
        let sql = self.sql.replace("{events}", &table(TableKind::Events));
        sql.replace("{ledger_entries}", &table(TableKind::Entries)).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_the_tables() {
        let view = BigQueryView::new("v", "SELECT * FROM {events}, {ledger_entries}\n");
        let settings = BigQuerySettings::new("p", "d").table("e");
        assert_eq!(view.query(&settings), "SELECT * FROM `p.d.e`, `p.d.ledger_entries`");
        for view in BigQueryView::built_in() {
            let query = view.query(&settings);
            assert!(query.contains("`p.d.e`") && !query.contains('{'), "{query}");
        }
    }
}
