//! What the sink and the source are told.

use std::time::Duration;

use super::endpoint::server_of;
use super::row::TableKind;
use super::views::BigQueryView;
use crate::sinks::google::GoogleCredentials;

/// Where the rows are, and how they get there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BigQuerySettings {
    /// The project of the dataset. It also pays for the queries.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table of events. Defaults to `events`.
    pub table: String,
    /// The table of the other entries. Defaults to `ledger_entries`.
    pub entries_table: String,
    /// Where the dataset lies: `EU`. Needed where BigQuery cannot find out by itself. Defaults to none.
    pub location: Option<String>,
    /// Whether the dataset is made when it is not there. Defaults to false.
    pub create_dataset: bool,
    /// How long rows are kept after the day of their `started_at`, in whole days. Defaults to for ever.
    ///
    /// Given, it also replaces what an existing table has; not given, that stays as it is.
    pub partition_expiry: Option<Duration>,
    /// Where BigQuery's REST interface is, `http` or `https`, without a user, a password or a query. Defaults to
    /// Google's.
    ///
    /// Another name under `googleapis.com` is another way to the same tables. Any other host is another server: the
    /// sink begins anew there.
    pub rest_endpoint: Option<String>,
    /// Where the Storage Write API is; as the [`rest_endpoint`](Self::rest_endpoint). Defaults to Google's.
    pub storage_endpoint: Option<String>,
    /// Which credentials are sent. Defaults to the application default credentials.
    pub credentials: GoogleCredentials,
    /// How long a call may take, 1 s to 10 min. Defaults to 30 s.
    pub timeout: Duration,
    /// How long a query may take, 1 s to 1 h. Defaults to 2 min.
    pub query_timeout: Duration,
    /// How large a request may be, in bytes, 64 KiB to 9 MiB; BigQuery takes 10 MB. Defaults to 8 MiB.
    pub max_request_bytes: usize,
    /// The views that the sink makes. Defaults to [`BigQueryView::built_in`].
    pub views: Vec<BigQueryView>,
}

impl BigQuerySettings {
    /// The tables `events` and `ledger_entries` of a dataset.
    pub fn new(project: impl Into<String>, dataset: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            dataset: dataset.into(),
            table: "events".to_owned(),
            entries_table: "ledger_entries".to_owned(),
            location: None,
            create_dataset: false,
            partition_expiry: None,
            rest_endpoint: None,
            storage_endpoint: None,
            credentials: GoogleCredentials::default(),
            timeout: Duration::from_secs(30),
            query_timeout: Duration::from_secs(120),
            max_request_bytes: 8 << 20,
            views: BigQueryView::built_in(),
        }
    }

    /// Names the table of events.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Names the table of the other entries.
    #[must_use]
    pub fn entries_table(mut self, name: impl Into<String>) -> Self {
        self.entries_table = name.into();
        self
    }

    /// Says where the dataset lies.
    #[must_use]
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Whether the dataset is made when it is not there.
    #[must_use]
    pub fn create_dataset(mut self, create: bool) -> Self {
        self.create_dataset = create;
        self
    }

    /// How long rows are kept; rounded up to whole days.
    #[must_use]
    pub fn partition_expiry(mut self, expiry: Duration) -> Self {
        self.partition_expiry = Some(expiry);
        self
    }

    /// Other addresses than those of the clients: of the REST interface and of the Storage Write API.
    #[must_use]
    pub fn endpoints(mut self, rest: impl Into<String>, storage: impl Into<String>) -> Self {
        self.rest_endpoint = Some(rest.into());
        self.storage_endpoint = Some(storage.into());
        self
    }

    /// Which credentials are sent.
    #[must_use]
    pub fn credentials(mut self, credentials: GoogleCredentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(600));
        self
    }

    /// How long a query may take.
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(3_600));
        self
    }

    /// How large a request may be, in bytes.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes.clamp(64 << 10, 9 << 20);
        self
    }

    /// The views that the sink makes, instead of those there are.
    #[must_use]
    pub fn views(mut self, views: impl IntoIterator<Item = BigQueryView>) -> Self {
        self.views = views.into_iter().collect();
        self
    }

    /// Checks the names and addresses. The sink does this itself when it is opened.
    ///
    /// # Errors
    ///
    /// Which name or address is wrong, and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let check = |what: &str, name: &str, extra: &str| {
            let accepts = |byte: u8| is_word(byte) || extra.as_bytes().contains(&byte);
            if !name.is_empty() && name.len() <= 1_024 && name.bytes().all(accepts) {
                return Ok(());
            }
            Err(format!("{what} `{name}` is not accepted: expected letters, digits and any of `_{extra}`"))
        };
        check("project", &self.project, "-.:")?;
        check("dataset", &self.dataset, "")?;
        check("table", &self.table, "-")?;
        check("entries table", &self.entries_table, "-")?;
        for (what, endpoint) in
            [("rest_endpoint", &self.rest_endpoint), ("storage_endpoint", &self.storage_endpoint)]
        {
            if let Some(Err(reason)) = endpoint.as_deref().map(server_of) {
                return Err(format!("`{what}` is not accepted: {reason}"));
            }
        }
        if self.table.eq_ignore_ascii_case(&self.entries_table) {
            return Err(format!("`{}` cannot be both tables: name another one", self.table));
        }
        for view in &self.views {
            check("view", view.name(), "-")?;
            if [&self.table, &self.entries_table].iter().any(|table| table.eq_ignore_ascii_case(view.name()))
            {
                return Err(format!("`{}` cannot be a table and a view: name another one", view.name()));
            }
        }
        Ok(())
    }

    /// The name of a table in its dataset.
    pub(crate) fn table_of(&self, table: TableKind) -> &str {
        match table {
            TableKind::Events => &self.table,
            TableKind::Entries => &self.entries_table,
        }
    }

    /// The name of a table for people, as in `project.dataset.table`.
    pub(crate) fn full_name(&self, table: &str) -> String {
        format!("{}.{}.{table}", self.project, self.dataset)
    }

    /// The name of a table in SQL. Names are checked, so that none holds a backtick.
    pub(crate) fn quoted(&self, table: &str) -> String {
        format!("`{}`", self.full_name(table))
    }

    /// Where other servers than Google's are, to be put behind the tables: tables of one name there are others.
    ///
    /// Two spellings of one server must give one text: a sink whose target changes forgets what it has in flight.
    pub(super) fn endpoints_text(&self) -> String {
        let server = |endpoint: &Option<String>| match endpoint.as_deref().map(server_of) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(server))) => Some(server),
            // Nothing is sent there: `check` refuses it.
            Some(Err(_)) => Some("an address that is not accepted".to_owned()),
        };
        let text = |server: Option<String>| server.unwrap_or_else(|| "Google".to_owned());
        match [&self.rest_endpoint, &self.storage_endpoint].map(server) {
            [None, None] => String::new(),
            [rest, storage] => format!(" at {}, {}", text(rest), text(storage)),
        }
    }

    /// The expiry in milliseconds, of whole days.
    pub(crate) fn expiry_ms(&self) -> Option<i64> {
        let day = 86_400;
        let days = self.partition_expiry?.as_secs().div_ceil(day).max(1);
        Some(i64::try_from(days.saturating_mul(day * 1_000)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(settings: &BigQuerySettings) -> String {
        crate::sinks::Sink::target(&crate::sinks::bigquery::BigQuerySink::new(settings.clone()))
    }

    /// A sink that was moved to a regional endpoint was taken for one on other tables: it forgot its stream and the
    /// request in flight there, whose rows could then stand there twice.
    #[test]
    fn another_endpoint_of_google_keeps_the_target() {
        let settings = BigQuerySettings::new("p", "d");
        assert_eq!(target(&settings), "p.d.events, p.d.ledger_entries");
        for (rest, storage) in [
            ("https://bigquery.europe-west3.rep.googleapis.com", "https://bigquerystorage.googleapis.com/"),
            ("https://bigquery-audit.p.googleapis.com", "https://bigquerystorage-audit.p.googleapis.com:443"),
        ] {
            let moved = settings.clone().endpoints(rest, storage);
            moved.check().unwrap();
            assert_eq!(target(&moved), target(&settings), "{rest}");
        }
    }

    #[test]
    fn another_server_makes_another_target_in_one_spelling() {
        let settings = BigQuerySettings::new("p", "d");
        let there = settings.clone().endpoints("http://127.0.0.1:1", "http://127.0.0.1:2");
        assert_eq!(target(&there), "p.d.events, p.d.ledger_entries at 127.0.0.1:1, 127.0.0.1:2");
        assert_eq!(target(&settings.endpoints("HTTP://127.0.0.1:1/", "http://127.0.0.1:2/")), target(&there));
    }

    #[test]
    fn an_endpoint_with_what_may_be_a_secret_is_refused_and_told_nowhere() {
        let settings = BigQuerySettings::new("p", "d");
        for (rest, storage, refused) in [
            ("http://u:secret@127.0.0.1:1", "http://127.0.0.1:2", "rest_endpoint"),
            ("http://127.0.0.1:1", "http://127.0.0.1:2/?key=secret", "storage_endpoint"),
        ] {
            let settings = settings.clone().endpoints(rest, storage);
            let reason = settings.check().unwrap_err();
            assert!(reason.contains(refused) && !reason.contains("secret"), "{reason}");
            assert!(!target(&settings).contains("secret"), "{}", target(&settings));
        }
    }

    #[test]
    fn names_that_could_leave_their_quotes_are_refused() {
        let good = BigQuerySettings::new("example.com:proj-1", "audit_eu");
        good.check().unwrap();
        for bad in [
            BigQuerySettings::new("p`; DROP", "d"),
            BigQuerySettings::new("p", "d-1"),
            BigQuerySettings::new("p", ""),
            good.clone().table("a b"),
            good.clone().entries_table("events`"),
            good.clone().entries_table("EVENTS"),
            good.clone().views([BigQueryView::new("v x", "SELECT 1")]),
            good.clone().views([BigQueryView::new("Events", "SELECT 1")]),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let refused = good.table("a\u{e4}").check().unwrap_err();
        assert_eq!(refused, "table `a\u{e4}` is not accepted: expected letters, digits and any of `_-`");
    }

    #[test]
    fn bounds_hold_and_the_expiry_is_of_whole_days() {
        let settings = BigQuerySettings::new("p", "d").timeout(Duration::ZERO).max_request_bytes(usize::MAX);
        assert_eq!((settings.timeout, settings.max_request_bytes), (Duration::from_secs(1), 9 << 20));
        assert_eq!(settings.expiry_ms(), None);
        let day = 86_400_000;
        for (seconds, expected) in [(0, day), (1, day), (86_400, day), (86_401, 2 * day)] {
            let settings = settings.clone().partition_expiry(Duration::from_secs(seconds));
            assert_eq!(settings.expiry_ms(), Some(expected));
        }
    }
}
