//! Which database, and how long to wait for it.

use std::fmt;
use std::time::Duration;

use super::requests::{Limits, MAX_EMULATOR_REQUEST_BYTES, MAX_REQUEST_BYTES, MAX_WRITES};
use crate::sinks::google::GoogleCredentials;

/// Where Firestore is reached when nothing else is said.
const SERVICE: &str = "https://firestore.googleapis.com";

/// Which Firestore database a sink or source uses, and how.
///
/// The database should hold nothing else: the exemptions from indexes are set for names of collections.
#[derive(Clone)]
#[non_exhaustive]
pub struct FirestoreSettings {
    pub(super) project: String,
    pub(super) database: String,
    emulator: Option<String>,
    credentials: Option<GoogleCredentials>,
    pub(super) expire_after: Option<Duration>,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) requests_in_flight: usize,
    max_request_writes: usize,
}

impl FirestoreSettings {
    /// The default database of a project, with application default credentials.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            database: "(default)".to_owned(),
            emulator: None,
            credentials: None,
            expire_after: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            requests_in_flight: 4,
            max_request_writes: MAX_WRITES,
        }
    }

    /// The database by its full name, and the emulator that has it.
    pub(super) fn address(&self) -> String {
        let Self { project, database, emulator, .. } = self;
        let name = format!("projects/{project}/databases/{database}");
        match emulator {
            Some(emulator) => format!("{name} at {emulator}"),
            None => name,
        }
    }

    /// Another database of the project. Defaults to `(default)`.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// An emulator in place of the service: its host and port, reached without TLS. The environment variable
    /// `FIRESTORE_EMULATOR_HOST` is not looked at.
    #[must_use]
    pub fn emulator(mut self, host_and_port: impl Into<String>) -> Self {
        self.emulator = Some(host_and_port.into());
        self
    }

    /// The credentials. Defaults to application default credentials, with an emulator to those that it takes.
    #[must_use]
    pub fn credentials(mut self, credentials: GoogleCredentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Writes into each event and attempt a field `expires_at`, so long behind `recorded_at`; with a TTL policy on that
    /// field Firestore removes them. Not set by default. What was removed can no longer be verified from there.
    #[must_use]
    pub fn expire_after(mut self, after: Duration) -> Self {
        self.expire_after = Some(after);
        self
    }

    /// How long connecting may take. Defaults to 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one request may take. Defaults to 30 seconds.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How many requests of one batch are under way together, 1 to 16. Defaults to 4.
    #[must_use]
    pub fn requests_in_flight(mut self, requests: usize) -> Self {
        self.requests_in_flight = requests.clamp(1, 16);
        self
    }

    /// How many documents one request writes at most, 1 to 500. Defaults to 500, which is what Firestore takes.
    #[must_use]
    pub fn max_request_writes(mut self, writes: usize) -> Self {
        self.max_request_writes = writes.clamp(1, MAX_WRITES);
        self
    }

    pub(super) fn limits(&self) -> Limits {
        let bytes = if self.emulator.is_some() { MAX_EMULATOR_REQUEST_BYTES } else { MAX_REQUEST_BYTES };
        Limits { writes: self.max_request_writes, bytes }
    }

    pub(super) fn url(&self) -> String {
        match &self.emulator {
            Some(host) => format!("http://{host}"),
            None => SERVICE.to_owned(),
        }
    }

    pub(super) fn effective_credentials(&self) -> GoogleCredentials {
        match (&self.credentials, &self.emulator) {
            (Some(credentials), _) => credentials.clone(),
            (None, Some(_)) => GoogleCredentials::emulator(),
            (None, None) => GoogleCredentials::application_default(),
        }
    }

    /// `projects/{project}/databases/{database}`; a reason when the parts are not ones of a path.
    pub(super) fn database_path(&self) -> Result<String, String> {
        for (name, part) in [("project", &self.project), ("database", &self.database)] {
            if part.is_empty()
                || part.len() > 200
                || part.contains(|c: char| c == '/' || !c.is_ascii_graphic())
            {
                return Err(format!("`{part}` is not the id of a {name}"));
            }
        }
        Ok(format!("projects/{}/databases/{}", self.project, self.database))
    }
}

impl fmt::Debug for FirestoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreSettings")
            .field("project", &self.project)
            .field("database", &self.database)
            .field("emulator", &self.emulator)
            .field("credentials", &self.effective_credentials())
            .field("expire_after", &self.expire_after)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("requests_in_flight", &self.requests_in_flight)
            .field("max_request_writes", &self.max_request_writes)
            .finish()
    }
}
