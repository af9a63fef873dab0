//! The gateway's way to the engines service: one pool of connections, a service token for each request.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use dataset_events::{Ledger, RequestContext};
use dataset_events_service::Carrier;
use dataset_events_service::identity::ServiceTokens;

use super::config::Secret;
use super::error::{ServiceCallError, ServiceError};
use super::{ENGINES, GATEWAY, SERVICE_ISSUER};

/// How long the engines service may take for an answer's head and body.
const ANSWER_TIME: Duration = Duration::from_secs(25);

/// Shorter than the 30 s after which the engines service closes an idle connection: a request must not meet the
/// closing.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// Sends requests to the engines service in a request context.
#[derive(Debug, Clone)]
pub(super) struct EnginesClient {
    http: reqwest::Client,
    base: Arc<str>,
    carrier: Carrier,
}

impl EnginesClient {
    pub(super) fn new(ledger: &Ledger, base: &str, secret: &Secret) -> Result<Self, ServiceError> {
        let tokens = ServiceTokens::hs256(SERVICE_ISSUER, GATEWAY, secret.as_bytes())?;
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .pool_idle_timeout(IDLE_TIME)
            // An answer of the engines service is never somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ServiceError::Client)?;
        let base = base.trim_end_matches('/').into();
        Ok(Self { http, base, carrier: Carrier::new(ledger, ENGINES, tokens) })
    }

    /// Begins a request; `path` begins with a slash.
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Whether a path is still the same in the URL of a request.
    pub(super) fn keeps(&self, path: &str) -> bool {
        let url = reqwest::Url::parse(&format!("{}{path}", self.base));
        url.is_ok_and(|url| url.path() == path)
    }

    /// Sends a request with the context, as a child of the call that runs here.
    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        ctx: &RequestContext,
    ) -> Result<reqwest::Response, ServiceCallError> {
        let mut request = request.build()?;
        self.carrier.carry(request.headers_mut(), ctx).await?;
        Ok(self.http.execute(request).await?)
    }
}
