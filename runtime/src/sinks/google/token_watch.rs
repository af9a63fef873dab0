//! What became of the last attempt to get a token.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};

use super::redact;
use crate::sinks::SinkError;

/// Remembers why no token could be had; the clients' own errors tell that in their text alone, or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenWatch(Arc<Mutex<Option<TokenFailure>>>);

impl TokenWatch {
    /// Why the newest attempt failed; `None` when it did not.
    pub(crate) fn failure(&self) -> Option<TokenFailure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, failure: Option<TokenFailure>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// The same credentials, watched.
    pub(super) fn over(&self, credentials: Credentials) -> Credentials {
        Credentials::from(Watched { inner: credentials, watch: self.clone() })
    }
}

/// No token could be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenFailure {
    /// It may work later without anybody's doing.
    pub(crate) is_transient: bool,
    /// Why, without secrets.
    pub(crate) reason: String,
}

impl TokenFailure {
    fn of(error: &CredentialsError) -> Self {
        // The cause, such as the status of an answer, stands last, behind texts that repeat each other's bodies.
        let mut reasons = vec![redact(&error.to_string())];
        let mut source = error.source();
        while let Some(error) = source {
            let reason = redact(&error.to_string());
            if !reasons.iter().any(|known| known.contains(&reason)) {
                reasons.push(reason);
            }
            source = error.source();
        }
        Self { is_transient: error.is_transient(), reason: reasons.join(": ") }
    }

    /// What it means to the forwarder: credentials that are refused stay refused until others are given.
    pub(crate) fn into_sink_error(self, attempted: &str) -> SinkError {
        if self.is_transient {
            SinkError::retry(format!("{attempted}: no token from Google for now"), self)
        } else {
            let advice = "no token from Google: mend the credentials of the sink, then resume it";
            SinkError::fatal(format!("{attempted}: {advice}"), self)
        }
    }
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for TokenFailure {}

#[derive(Debug)]
struct Watched {
    inner: Credentials,
    watch: TokenWatch,
}

impl CredentialsProvider for Watched {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let headers = self.inner.headers(extensions).await;
        self.watch.note(headers.as_ref().err().map(TokenFailure::of));
        headers
    }

    async fn universe_domain(&self) -> Option<String> {
        self.inner.universe_domain().await
    }
}
