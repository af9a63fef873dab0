//! The requests that the sink and the source make, over the one client that they share.

use std::time::Duration;

use firestore::gcloud_sdk::google::firestore::v1::firestore_client::FirestoreClient;
use firestore::gcloud_sdk::google::firestore::v1::{
    BatchWriteRequest, Document, RunQueryRequest, StructuredQuery, Write, run_query_request,
};
use firestore::gcloud_sdk::tonic::{Code, Request, Status};
use firestore::gcloud_sdk::{GoogleApi, GoogleAuthMiddleware, RequestTimeouts};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::FirestoreSettings;
use crate::sinks::SinkError;
use crate::sinks::google::{Blocking, NotRun, TokenFailure, TokenWatch, WatchedCredentials, redact};

/// What an answer may have at most: a document has up to 1 MiB.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// What came of one write: a status code of gRPC, 0 for a document that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) code: i32,
    pub(crate) reason: String,
}

/// A request that was not carried out as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// Why, without secrets.
    pub(crate) reason: String,
    /// It failed for want of a token.
    pub(crate) token: Option<TokenFailure>,
}

impl Refusal {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), token: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.token {
            Some(token) => write!(f, "no token from Google: {token}"),
            None => write!(f, "{:?}: {}", self.code, self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

/// Writes batches of documents. The one thing that the sink needs of a client.
pub(crate) trait BatchWrite: Send {
    /// Sends requests, each of at most 500 writes and 10 MB; a result for each, and in it one for each write.
    fn batch_write(&mut self, requests: Vec<Vec<Write>>) -> Vec<Result<Vec<Written>, Refusal>>;
}

/// A connection to a database.
pub(crate) struct Client {
    blocking: Blocking,
    api: GoogleApi<FirestoreClient<GoogleAuthMiddleware>>,
    watch: TokenWatch,
    database: String,
    request_timeout: Duration,
    requests_in_flight: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Client {
    /// Loads the credentials and connects.
    pub(crate) fn open(settings: &FirestoreSettings) -> Result<Self, SinkError> {
        let attempted = format!("connect to Firestore at {}", settings.url());
        let database = settings
            .database_path()
            .map_err(|reason| SinkError::fatal("name the Firestore database: mend the settings", reason))?;
        if settings.url().parse::<http::Uri>().is_err() {
            return Err(SinkError::fatal(attempted, "that is no address: mend the settings"));
        }
        let blocking = Blocking::start("firestore")
            .map_err(|error| SinkError::retry("start the client's thread", error))?;
        let connected = blocking.run(settings.connect_timeout, async {
            let WatchedCredentials { credentials, watch } = settings.effective_credentials().build()?;
            let (url, prefix) = (settings.url(), Some(database.clone()));
            let api =
                GoogleApi::from_function_with_credentials(FirestoreClient::new, url, prefix, credentials);
            let api =
                api.await.map_err(|error| SinkError::retry(attempted.clone(), redact(&whole(&error))))?;
            Ok::<_, SinkError>((api, watch))
        });
        let (api, watch) = connected.map_err(|error| SinkError::retry(attempted.clone(), error))??;
        let (request_timeout, requests_in_flight) = (settings.request_timeout, settings.requests_in_flight);
        Ok(Self { blocking, api, watch, database, request_timeout, requests_in_flight })
    }

    /// `projects/../databases/../documents`.
    pub(crate) fn documents(&self) -> String {
        format!("{}/documents", self.database)
    }

    fn client(&self) -> FirestoreClient<GoogleAuthMiddleware> {
        self.api.get().max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn refusal(&self, status: &Status) -> Refusal {
        let reason = redact(status.message());
        Refusal { code: status.code(), reason, token: self.watch.failure() }
    }

    fn not_run(&self, error: NotRun) -> Refusal {
        Refusal { code: Code::DeadlineExceeded, reason: error.to_string(), token: self.watch.failure() }
    }

    /// The documents that a query finds below `parent`.
    pub(crate) fn run_query(&self, parent: &str, query: StructuredQuery) -> Result<Vec<Document>, Refusal> {
        let mut request = Request::new(RunQueryRequest {
            parent: parent.to_owned(),
            query_type: Some(run_query_request::QueryType::StructuredQuery(query)),
            ..RunQueryRequest::default()
        });
        // Between two documents; a long answer may take longer as a whole.
        request.extensions_mut().insert(RequestTimeouts::new().with_idle(self.request_timeout));
        let mut client = self.client();
        let found = self.blocking.run(self.request_timeout * 10, async {
            let answers = client.run_query(request).await?.into_inner();
            answers.try_filter_map(|answer| async { Ok(answer.document) }).try_collect::<Vec<_>>().await
        });
        found.map_err(|error| self.not_run(error))?.map_err(|status| self.refusal(&status))
    }
}

impl BatchWrite for Client {
    fn batch_write(&mut self, requests: Vec<Vec<Write>>) -> Vec<Result<Vec<Written>, Refusal>> {
        let count = requests.len();
        let rounds = u32::try_from(count.div_ceil(self.requests_in_flight)).unwrap_or(u32::MAX);
        // Each request has its own limit; this one is for what hangs outside of them.
        let limit = self.request_timeout.saturating_mul(rounds) + Duration::from_secs(5);
        let calls = requests.into_iter().map(|writes| {
            let request = BatchWriteRequest { database: self.database.clone(), writes, ..Default::default() };
            let mut request = Request::new(request);
            request.extensions_mut().insert(RequestTimeouts::new().with_total(self.request_timeout));
            let mut client = self.client();
            async move { client.batch_write(request).await }
        });
        // Made before they are polled: a closure over `self` in the stream would not be general enough.
        let calls: Vec<_> = calls.collect();
        let answers = self
            .blocking
            .run(limit, stream::iter(calls).buffered(self.requests_in_flight).collect::<Vec<_>>());
        match answers {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| self.written(answer.map(|it| it.into_inner().status)))
                .collect(),
            Err(error) => vec![Err(self.not_run(error)); count],
        }
    }
}

impl Client {
    fn written(
        &self,
        answer: Result<Vec<firestore::gcloud_sdk::google::rpc::Status>, Status>,
    ) -> Result<Vec<Written>, Refusal> {
        let statuses = answer.map_err(|status| self.refusal(&status))?;
        Ok(statuses
            .into_iter()
            .map(|status| Written { code: status.code, reason: redact(&status.message) })
            .collect())
    }
}

fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
