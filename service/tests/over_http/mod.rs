//! What the tests share: an authenticator whose tokens say what they are good for, a server on a port of the
//! system's choice, and a client that writes its requests byte for byte.

#![allow(dead_code, reason = "each test links a part of it")]

pub(crate) mod http2;

use std::net::SocketAddr;

use axum::Router;
use dataset_events::testing::TestLedger;
use dataset_events::{AuthSubject, Env, Scope, TenantId, UserId};
use dataset_events_service::{
    Admission, AdmissionBuilder, AuthError, Authenticate, BoxFuture, Credentials, Identity, Resolution,
    ResolveScope, ServeOptions, ServeReport, serve,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ENV: Env = Env::from_static("test");

/// `Bearer <tenant>[+<tenant>]~<user>`.
pub(crate) struct TestTokens;

impl Authenticate for TestTokens {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move {
            let (tenants, user) = credentials.bearer()?.split_once('~').ok_or(AuthError::InvalidToken)?;
            let subject = AuthSubject::new(format!("test|{user}")).map_err(|_| AuthError::InvalidToken)?;
            let mut identity =
                Identity::new(subject).user(UserId::new(user).map_err(|_| AuthError::InvalidToken)?);
            for tenant in tenants.split('+') {
                identity = identity.tenant(TenantId::new(tenant).map_err(|_| AuthError::InvalidToken)?);
            }
            Ok(identity)
        })
    }
}

/// The tenant that `x-tenant-id` names, else the only one. It does not look whether the identity has it: that
/// is for the layer to refuse.
pub(crate) struct NamedScope;

impl ResolveScope for NamedScope {
    fn resolve(&self, resolution: Resolution<'_>) -> Result<Scope, AuthError> {
        let tenant = match resolution.parts.headers.get("x-tenant-id") {
            Some(named) => {
                let named = named.to_str().map_err(|_| AuthError::ScopeMismatch)?;
                TenantId::new(named).map_err(|_| AuthError::ScopeMismatch)?
            }
            None => match &resolution.identity.tenants[..] {
                [only] => only.clone(),
                _ => return Err(AuthError::ScopeRequired),
            },
        };
        Ok(Scope::new(tenant, resolution.env.clone()))
    }
}

pub(crate) fn admission(ledger: &TestLedger) -> AdmissionBuilder {
    Admission::builder(ledger.ledger()).authenticate(TestTokens).resolve_scope(NamedScope).env(ENV)
}

/// A running service.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<ServeReport>,
}

impl Server {
    pub(crate) async fn start(ledger: &TestLedger, router: Router, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let options = options.keep_ledger_open().shutdown_on(async {
            let _ = stopped.await;
        });
        let ledger = ledger.ledger().clone();
        let task = tokio::spawn(async move { serve(listener, router, ledger, options).await.unwrap() });
        Self { addr, stop, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Stops the service as a signal does.
    pub(crate) async fn stop(self) -> ServeReport {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

/// A service behind an admission layer.
pub(crate) async fn start(ledger: &TestLedger, router: Router, admission: Admission) -> Server {
    let options = ServeOptions::new().admission(&admission);
    Server::start(ledger, router.layer(admission), options).await
}

/// Sends a request as it stands and reads until the other side closes.
pub(crate) async fn raw(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The code of an envelope.
pub(crate) async fn code(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: serde_json::Value = answer.json().await.unwrap();
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

/// An authenticator that says that it was asked, and never answers.
pub(crate) struct NeverAnswers(pub(crate) std::sync::Arc<tokio::sync::Notify>);

impl Authenticate for NeverAnswers {
    fn authenticate<'a>(
        &'a self,
        _credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}
