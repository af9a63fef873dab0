//! The gateway's way to the engines service: one pool of connections, a service token for each request.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use dataset_events::{Ledger, RequestContext};
use dataset_events_service::Carrier;
use dataset_events_service::identity::ServiceTokens;

use super::config::Secret;
use super::engines::ALIVE;
use super::error::{ServiceCallError, ServiceError};
use super::{ENGINES, GATEWAY, SERVICE_ISSUER};

/// How long the engines service may take for an answer's head and body.
const ANSWER_TIME: Duration = Duration::from_secs(25);

/// Shorter than the 30 s after which the engines service closes an idle connection: a request must not meet the
/// closing.
const IDLE_TIME: Duration = Duration::from_secs(20);
/// How long it may take to say that it is there.
const ALIVE_TIME: Duration = Duration::from_secs(1);

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
            // Nor is there a proxy between the two, which would see the service's tokens, whatever the
            // environment names for other programs.
            .no_proxy()
            .build()
            .map_err(ServiceError::Client)?;
        let base = base.trim_end_matches('/').into();
        Ok(Self { http, base, carrier: Carrier::new(ledger, ENGINES, tokens) })
    }

    /// Begins a request; `path` begins with a slash.
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Whether the engines service answers at all.
    pub(super) async fn is_alive(&self) -> Result<(), String> {
        let request = self.request(Method::GET, ALIVE);
        match request.timeout(ALIVE_TIME).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
            Ok(answer) => Err(format!("answers {}", answer.status())),
            // Without its source, which names the address.
            Err(_) => Err("cannot be reached".to_owned()),
        }
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::process::Command;

    use axum::Router;
    use dataset_events::testing::TestLedger;
    use tokio::net::TcpListener;

    use super::*;

    fn client(base: &str) -> Result<EnginesClient, ServiceError> {
        EnginesClient::new(TestLedger::new().ledger(), base, &Secret::random().unwrap())
    }

    #[test]
    fn a_path_is_kept_or_known_to_change() {
        let client = client("http://127.0.0.1:1/").unwrap();
        for path in ["/v1/kpis", "/v1/kpis/a%2Fb", "/v1/kpis/%252e%252e", "/v1/a..b/.c/..."] {
            assert!(client.keeps(path), "{path}");
            assert_eq!(client.request(Method::GET, path).build().unwrap().url().path(), path);
        }
        for path in [
            "/v1/kpis/../budget/policy",
            "/v1/kpis/%2e%2E/budget",
            "/v1/kpis/.%2e",
            "/v1/kpis/..\\..\\v1\\budget\\policy",
            "/v1/kpis/./latest",
            "/../v1",
            "*",
            "",
        ] {
            assert!(!client.keeps(path), "{path}");
        }
    }

    /// Set in the process whose environment names a proxy that is not there.
    const WITHIN: &str = "ENGINES_CLIENT_TEST_WITHIN";

    #[tokio::test]
    async fn the_environment_of_the_process_puts_no_proxy_between_the_services() {
        if std::env::var_os(WITHIN).is_none() {
            // An environment is set for a new process only.
            let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
            let name = "the_environment_of_the_process_puts_no_proxy_between_the_services";
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("services::engines_client::tests::{name}")])
                .env("HTTP_PROXY", format!("http://{dead}"))
                .env("http_proxy", format!("http://{dead}"))
                .env("ALL_PROXY", format!("http://{dead}"))
                .env_remove("NO_PROXY")
                .env_remove("no_proxy")
                .env(WITHIN, "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route(ALIVE, axum::routing::get(|| async {}));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        assert_eq!(client(&format!("http://{address}")).unwrap().is_alive().await, Ok(()));
        serving.abort();
    }
}
