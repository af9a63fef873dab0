//! The two services of the job: started in order, ended in order.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::services::{
    ENGINES, GATEWAY, GatewayConfig, Issuer, Secret, ServiceConfig, SinkReport, Start, with_causes,
};

use super::process::{ProcessError, Service};
use super::report::Source;

/// Any free port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// More than one tenant of the job sends to one route; clients that send more are refused.
const REQUESTS_PER_SECOND: u32 = 2_000;
/// How long after a failed request the service that caused it may take to be gone.
const DYING: Duration = Duration::from_secs(1);
/// How long a service may take to say how its sinks fare.
const ASKING: Duration = Duration::from_secs(30);

/// The two services, each a process of its own.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) engines: Service,
    pub(super) gateway: Service,
}

impl Services {
    pub(super) async fn start(
        root: &Path,
        ledger_config: Option<&Path>,
        issuer: &Issuer,
    ) -> Result<Self, Box<dyn Error>> {
        let service = ServiceConfig {
            root: root.to_owned(),
            listen: LOOPBACK,
            operations: LOOPBACK,
            service_secret: Secret::random()?,
            ledger_config: ledger_config.map(ToOwned::to_owned),
        };
        let engines = Service::start(&Start::Engines(service.clone())).await?;
        let gateway = GatewayConfig {
            service,
            users: issuer.user_keys(),
            engines_url: engines.url(),
            requests_per_second: REQUESTS_PER_SECOND,
        };
        match Service::start(&Start::Gateway(gateway)).await {
            Ok(gateway) => Ok(Self { engines, gateway }),
            Err(error) => {
                report(engines.end().await.err());
                Err(error.into())
            }
        }
    }

    pub(super) fn sources(&self) -> [Source; 2] {
        let source = |service, of: &Service| Source { service, ledger: of.started().ledger.clone() };
        [source(GATEWAY, &self.gateway), source(ENGINES, &self.engines)]
    }

    /// How the sinks of both ledgers fare, in the order of [`sources`](Self::sources); or who could not be asked, and
    /// why.
    pub(super) fn sinks(&self) -> impl Future<Output = Result<[Vec<SinkReport>; 2], String>> + use<> {
        let of = |name: &'static str, service: &Service| {
            let url = format!("http://{}/sinks", service.started().operations);
            async move {
                let asked = ask(&url).await;
                asked.map_err(|error| format!("ask the {name} at {url}: {}", with_causes(&error)))
            }
        };
        let (gateway, engines) = (of(GATEWAY, &self.gateway), of(ENGINES, &self.engines));
        async move { Ok([gateway.await?, engines.await?]) }
    }

    /// Waits until one of them ends, which none should.
    pub(super) async fn died(&mut self) -> ProcessError {
        tokio::select! {
            error = self.gateway.died() => error,
            error = self.engines.died() => error,
        }
    }

    /// Why the job failed: a request may fail before it is known that its service is gone.
    pub(super) async fn cause_of(&mut self, error: Box<dyn Error>) -> Box<dyn Error> {
        match tokio::time::timeout(DYING, self.died()).await {
            Ok(died) => died.into(),
            Err(_) => error,
        }
    }

    /// Ends both, the one that asks before the one that answers. If the first fails, the second ends all the same.
    /// Answers how the sinks of both ledgers were left, in the order of [`sources`](Self::sources).
    pub(super) async fn end(self) -> Result<[Vec<SinkReport>; 2], ProcessError> {
        let gateway = self.gateway.end().await;
        let engines = self.engines.end().await;
        Ok([gateway?.sinks, engines?.sinks])
    }

    /// Ends what still runs once the job has failed; what else goes wrong is told besides.
    pub(super) async fn end_what_is_left(self) {
        for mut service in [self.gateway, self.engines] {
            if !service.is_gone() {
                report(service.end().await.err());
            }
        }
    }
}

async fn ask(url: &str) -> reqwest::Result<Vec<SinkReport>> {
    // On this machine, whatever proxy the environment names for the way out of it.
    let http = reqwest::Client::builder().no_proxy().timeout(ASKING).build()?;
    http.get(url).send().await?.error_for_status()?.json().await
}

fn report(error: Option<ProcessError>) {
    if let Some(error) = error {
        eprintln!("besides: {error}");
    }
}
