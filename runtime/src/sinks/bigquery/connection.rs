//! The clients' common ground: a runtime, credentials, queries, and what an error means.

use std::future::Future;
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_bigquery::client::BigQuery;
use google_cloud_bigquery::error::{QueryError, RowError};
use google_cloud_bigquery::query::{Row, RowIterator};
use google_cloud_bigquery_v2::model::{QueryParameter, QueryParameterType, QueryParameterValue};
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::retry_policy::NeverRetry;

use super::settings::BigQuerySettings;
use super::transport::{Refusal, RefusalKind};
use crate::sinks::google::{Blocking, TokenWatch, redact};

/// A connection to BigQuery's REST interface, with a runtime of its own.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) settings: BigQuerySettings,
    pub(crate) credentials: Credentials,
    blocking: Blocking,
    watch: TokenWatch,
    queries: BigQuery,
}

impl Connection {
    /// Loads the credentials and makes the client. Nothing is sent.
    pub(crate) fn open(settings: &BigQuerySettings) -> Result<Self, Refusal> {
        settings.check().map_err(|reason| {
            Refusal::new(RefusalKind::Blocked, "open BigQuery: correct the settings", reason)
        })?;
        let blocking = Blocking::start("bigquery").map_err(|error| {
            Refusal::new(RefusalKind::Unknown, "start the thread of BigQuery's client", error)
        })?;
        let made = blocking.run(settings.timeout, async {
            let watched = settings.credentials.build()?;
            let mut builder = BigQuery::builder()
                .with_project_id(&settings.project)
                .with_credentials(watched.credentials.clone())
                .with_retry_policy(NeverRetry);
            if let Some(endpoint) = &settings.rest_endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            Ok((watched, builder.build().await))
        });
        let attempted = "make BigQuery's client";
        let made = made.map_err(|error| Refusal::new(RefusalKind::Unknown, attempted, error))?;
        let (watched, queries) = made.map_err(Refusal::from_credentials)?;
        let queries = queries
            .map_err(|error| Refusal::new(RefusalKind::Unknown, attempted, redact(&error.to_string())))?;
        let (credentials, watch) = (watched.credentials, watched.watch);
        Ok(Self { settings: settings.clone(), credentials, blocking, watch, queries })
    }

    /// Waits for a call, at most for `limit`.
    pub(crate) fn run<F: Future>(
        &self,
        attempted: &str,
        limit: Duration,
        call: F,
    ) -> Result<F::Output, Refusal> {
        let done = self.blocking.run(limit, call);
        done.map_err(|error| Refusal::new(RefusalKind::Unknown, attempted, error))
    }

    /// Waits for a call of BigQuery's REST interface or of the stream service.
    pub(crate) fn call<T>(
        &self,
        attempted: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        let done = self.run(attempted, self.settings.timeout, call)?;
        done.map_err(|error| self.refusal(attempted, &error))
    }

    /// What an error of the clients means.
    pub(crate) fn refusal(&self, attempted: &str, error: &Error) -> Refusal {
        let reason = redact(&whole(error));
        let kind = kind_of(error);
        if kind != RefusalKind::Denied {
            return Refusal::new(kind, attempted, reason);
        }
        match self.watch.failure() {
            Some(failure) => Refusal::from_credentials(failure.into_sink_error(attempted)),
            None => {
                let advice = "BigQuery refuses the credentials: check them and their permissions";
                Refusal::new(kind, format!("{attempted}: {advice}"), reason)
            }
        }
    }

    /// Runs a query and waits until its rows can be read.
    pub(crate) fn query(
        &self,
        attempted: &str,
        sql: &str,
        parameters: Vec<QueryParameter>,
    ) -> Result<Rows<'_>, Refusal> {
        let mut query = self.queries.query(sql).set_use_query_cache(false);
        if !parameters.is_empty() {
            query = query.set_parameter_mode("NAMED").set_query_parameters(parameters);
        }
        if let Some(location) = &self.settings.location {
            query = query.set_location(location);
        }
        let done = self.run(attempted, self.settings.query_timeout, query.until_done())?;
        match done {
            Ok(complete) => {
                Ok(Rows { connection: self, attempted: attempted.to_owned(), rows: complete.read() })
            }
            Err(QueryError::Rpc { source, .. }) => Err(self.refusal(attempted, &source)),
            Err(error) => Err(Refusal::new(RefusalKind::Unknown, attempted, redact(&error.to_string()))),
        }
    }
}

/// The rows of a query, fetched page by page.
pub(crate) struct Rows<'c> {
    connection: &'c Connection,
    attempted: String,
    rows: RowIterator,
}

impl Rows<'_> {
    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, Refusal> {
        let limit = self.connection.settings.query_timeout;
        match self.connection.run(&self.attempted, limit, self.rows.next())? {
            None => Ok(None),
            Some(Ok(row)) => Ok(Some(row)),
            Some(Err(RowError::Rpc { source, .. })) => Err(self.connection.refusal(&self.attempted, &source)),
            Some(Err(error)) => Err(self.strange(error)),
        }
    }

    /// A row that is not what the query asks for.
    pub(crate) fn strange(&self, error: RowError) -> Refusal {
        Refusal::new(RefusalKind::Unknown, self.attempted.clone(), redact(&error.to_string()))
    }
}

/// A named parameter of a query.
pub(crate) fn text(name: &str, value: impl Into<String>) -> QueryParameter {
    parameter(name, "STRING", value.into())
}

/// A named parameter of a query.
pub(crate) fn integer(name: &str, value: i64) -> QueryParameter {
    parameter(name, "INT64", value.to_string())
}

fn parameter(name: &str, type_name: &str, value: String) -> QueryParameter {
    QueryParameter::new()
        .set_name(name)
        .set_parameter_type(QueryParameterType::new().set_type(type_name))
        .set_parameter_value(QueryParameterValue::new().set_value(value))
}

/// A named parameter of a query.
pub(crate) fn texts<'t>(name: &str, values: impl IntoIterator<Item = &'t str>) -> QueryParameter {
    let values = values.into_iter().map(|value| QueryParameterValue::new().set_value(value));
    let array = QueryParameterType::new().set_type("ARRAY");
    QueryParameter::new()
        .set_name(name)
        .set_parameter_type(array.set_array_type(QueryParameterType::new().set_type("STRING")))
        .set_parameter_value(QueryParameterValue::new().set_array_values(values))
}

fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Tells by code, and by text alone where BigQuery has no code of its own.
pub(crate) fn kind_of(error: &Error) -> RefusalKind {
    if error.is_authentication() {
        return RefusalKind::Denied;
    }
    let text = error.status().map(|status| status.message.to_ascii_lowercase()).unwrap_or_default();
    match (error.http_status_code(), error.status().map(|status| status.code)) {
        (Some(401 | 403), _) | (_, Some(Code::Unauthenticated | Code::PermissionDenied)) => {
            RefusalKind::Denied
        }
        (Some(404), _) | (_, Some(Code::NotFound)) => RefusalKind::Gone,
        (Some(409), _) | (_, Some(Code::AlreadyExists)) => RefusalKind::Taken,
        (_, Some(Code::OutOfRange)) => RefusalKind::Beyond,
        // A stream that is ended, or that an emulator does not know.
        (_, Some(Code::InvalidArgument | Code::FailedPrecondition))
            if text.contains("finalized") || text.contains("invalid stream") =>
        {
            RefusalKind::Gone
        }
        _ => RefusalKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    fn kind(code: Code, message: &str) -> RefusalKind {
        kind_of(&Error::service(Status::default().set_code(code).set_message(message)))
    }

    #[test]
    fn answers_of_the_stream_service_are_told_apart() {
        for (code, message, expected) in [
            (Code::AlreadyExists, "Offset 5 exists", RefusalKind::Taken),
            (Code::OutOfRange, "Offset 9 is beyond the end of stream", RefusalKind::Beyond),
            (Code::NotFound, "Requested entity was not found", RefusalKind::Gone),
            (Code::InvalidArgument, "Invalid stream name. Entity: projects/p", RefusalKind::Gone),
            (Code::InvalidArgument, "Stream is finalized", RefusalKind::Gone),
            (Code::FailedPrecondition, "STREAM_FINALIZED", RefusalKind::Gone),
            (
                Code::InvalidArgument,
                "Input schema has more fields than BigQuery schema",
                RefusalKind::Unknown,
            ),
            (Code::Unavailable, "connection refused", RefusalKind::Unknown),
            (Code::ResourceExhausted, "quota", RefusalKind::Unknown),
            (Code::Unauthenticated, "token expired", RefusalKind::Denied),
            (Code::PermissionDenied, "bigquery.tables.updateData", RefusalKind::Denied),
        ] {
            assert_eq!(kind(code, message), expected, "{code:?} {message}");
        }
    }
}
