//! What the tests of the two services share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dataset_events::{DatasetEvent, Ledger, LedgerReader, Outcome};
use dataset_events_examples::services::{
    GatewayConfig, Issuer, Running, Secret, ServiceConfig, Start, UserKeys, start,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::watch::Watch;

/// Any free port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Whatever a test has them write, the read models must be what a fold from zero gives: that is asserted when it ends.
pub(crate) struct Services {
    pub(crate) issuer: Issuer,
    pub(crate) engines: Running,
    pub(crate) gateway: Running,
    pub(crate) watch: Watch,
    pub(crate) root: TempDir,
}

impl Services {
    pub(crate) async fn start() -> Self {
        let issuer = Issuer::start().await.expect("start the issuer");
        let users = issuer.user_keys();
        Self::with_users(issuer, users).await
    }

    /// With user keys from another place than the issuer's own.
    pub(crate) async fn with_users(issuer: Issuer, users: UserKeys) -> Self {
        let root = tempfile::tempdir().expect("make a temporary directory");
        let service = ServiceConfig {
            root: root.path().to_owned(),
            listen: LOOPBACK,
            operations: LOOPBACK,
            service_secret: Secret::random().expect("a secret"),
            ledger_config: None,
        };
        let engines = start(&Start::Engines(service.clone())).await.expect("start the engines");
        let engines_url = engines.url();
        let gateway = GatewayConfig { service, users, engines_url, requests_per_second: 1_000 };
        let gateway = start(&Start::Gateway(gateway)).await.expect("start the gateway");
        let watch = Watch::of_services(root.path());
        Self { issuer, engines, gateway, watch, root }
    }

    /// A request with a JSON body as bytes: nothing on the way makes another path of it.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> String {
        let token = self.issuer.token("acme", "prod", "u_1", Duration::from_secs(3_600)).expect("a token");
        format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Sends a request to the gateway and leaves the connection open.
    pub(crate) async fn begin(&self, request: &str) -> TcpStream {
        self.watch.refresh_all();
        let mut stream = TcpStream::connect(self.gateway.started().listening).await.expect("connect");
        stream.write_all(request.as_bytes()).await.expect("send");
        stream
    }

    /// The whole answer to a request.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = self.begin(&self.request(method, path, body)).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }
}

/// Waits until something holds of a ledger, as its own thread makes it.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited for {what}"));
}

/// The events of a surface in the scope of the tests.
pub(crate) fn events(ledger: &Path, surface: &str) -> Vec<DatasetEvent> {
    let reader = LedgerReader::open(ledger).expect("open the ledger");
    let events = reader.unrecorded_operator().events().surface(surface).iter();
    let events = events.map(|stored| stored.expect("read an event").event);
    events.filter(|event| event.tenant_id() == "acme").collect()
}

/// How the calls of a surface ended.
pub(crate) fn outcomes(ledger: &Path, surface: &str) -> Vec<Outcome> {
    events(ledger, surface).iter().map(|event| event.outcome).collect()
}

/// How many attempts of a ledger have no end yet.
pub(crate) fn open_attempts(ledger: &Ledger) -> u64 {
    ledger.stats().open_attempts
}
