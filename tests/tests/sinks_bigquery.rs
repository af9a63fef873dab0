//! The BigQuery sink against a real server: the contract of all sinks, and what is BigQuery's own.

use std::sync::Arc;
use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::Sink;
use dataset_events::sinks::bigquery::{BigQuerySettings, BigQuerySink};
use dataset_events::sinks::google::GoogleCredentials;
use dataset_events::sources::Source;
use dataset_events::sources::bigquery::BigQuerySource;
use dataset_events_tests::remote::bigquery::{self, PROJECT};
use dataset_events_tests::remote::process::Server as Process;
use dataset_events_tests::remote::proxy::{Mode, Proxy};
use dataset_events_tests::sink_contract::{
    Ability, Check, Credentials, Driver, Fault, Network, Server, Target, story,
};

#[path = "sinks_bigquery/expiring.rs"]
mod expiring;
#[path = "sinks_bigquery/rows.rs"]
mod rows;
#[path = "sinks_bigquery/views.rs"]
mod views;

use expiring::Expiring;

/// How long a call may take here.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A server, of one's own where it is killed.
enum Running {
    Shared(Arc<Process>),
    Own(Process),
}

/// A fresh dataset on a server, behind a proxy where the network is to fail.
struct BigQuery {
    running: Running,
    network: Option<BrokenNetwork>,
    credentials: Expiring,
    dataset: String,
}

impl BigQuery {
    fn direct(_: &Check) -> Self {
        Self::new(false, false)
    }

    fn proxied(check: &Check) -> Self {
        Self::new(check.needs.contains(&Ability::Server), true)
    }

    fn new(is_own: bool, is_proxied: bool) -> Self {
        let running =
            if is_own { Running::Own(bigquery::start()) } else { Running::Shared(bigquery::shared()) };
        let network = is_proxied.then(|| BrokenNetwork::to(process(&running).ports()));
        Self { running, network, credentials: Expiring::default(), dataset: bigquery::fresh_dataset() }
    }

    fn settings(&self) -> BigQuerySettings {
        let [rest, storage] = match &self.network {
            Some(network) => [network.rest.port(), network.storage.port()],
            None => [process(&self.running).ports()[0], process(&self.running).ports()[1]],
        };
        settings(rest, storage, &self.dataset).credentials(self.credentials.credentials())
    }
}

fn process(running: &Running) -> &Process {
    match running {
        Running::Shared(server) => server,
        Running::Own(server) => server,
    }
}

fn settings(rest: u16, storage: u16, dataset: &str) -> BigQuerySettings {
    BigQuerySettings::new(PROJECT, dataset)
        .endpoints(format!("http://127.0.0.1:{rest}"), format!("http://127.0.0.1:{storage}"))
        .credentials(GoogleCredentials::emulator())
        .create_dataset(true)
        .timeout(TIMEOUT)
        .query_timeout(TIMEOUT * 2)
        .max_request_bytes(bigquery::MAX_REQUEST_BYTES)
}

impl Target for BigQuery {
    fn sink(&self) -> Box<dyn Sink> {
        let settings = self.settings();
        // Where a batch is to be cut in two it must be more than one request.
        let settings = if self.network.is_some() { settings.max_request_bytes(256 << 10) } else { settings };
        Box::new(BigQuerySink::new(settings))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        // What is held is asked for past the broken network.
        let ports = process(&self.running).ports();
        let settings = settings(ports[0], ports[1], &self.dataset).query_timeout(Duration::from_secs(60));
        Some(Box::new(BigQuerySource::new(settings)))
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn secrets(&self) -> Vec<String> {
        vec![expiring::TOKEN.to_owned()]
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        matches!(self.running, Running::Own(_)).then_some(self as &mut dyn Server)
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        self.network.as_mut().map(|network| network as &mut dyn Network)
    }

    fn credentials(&mut self) -> Option<&mut dyn Credentials> {
        // The server looks at no token; without a connection to cut, none could be refused.
        self.network.is_some().then_some(self as &mut dyn Credentials)
    }
}

impl Credentials for BigQuery {
    fn refuse(&mut self) {
        self.credentials.refuse();
        if let Some(network) = &mut self.network {
            network.set(Fault::Refuse);
            network.wait_until_cut();
            network.set(Fault::None);
        }
    }

    fn accept(&mut self) {
        self.credentials.accept();
    }
}

impl Server for BigQuery {
    fn kill(&mut self) {
        if let Running::Own(server) = &mut self.running {
            server.kill();
        }
    }

    fn start(&mut self) {
        if let Running::Own(server) = &mut self.running {
            server.restart();
        }
    }
}

/// Both of the server's ports behind proxies.
struct BrokenNetwork {
    rest: Proxy,
    storage: Proxy,
}

impl BrokenNetwork {
    fn to(ports: &[u16]) -> Self {
        Self { rest: Proxy::to(ports[0]), storage: Proxy::to(ports[1]) }
    }
}

impl BrokenNetwork {
    /// Refusing cuts open connections at the proxy's next look at them.
    fn wait_until_cut(&self) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Network for BrokenNetwork {
    fn set(&mut self, fault: Fault) {
        // Where answers are lost, those of the append are: the calls around it only ask.
        let (rest, storage) = match fault {
            Fault::None => (Mode::Pass, Mode::Pass),
            Fault::Refuse => (Mode::Refuse, Mode::Refuse),
            Fault::DropAnswers => (Mode::Pass, Mode::DropAnswers),
            Fault::Hang => (Mode::Hang, Mode::Hang),
            Fault::CutInBatch => (Mode::Pass, Mode::RefuseAfterAnswer),
        };
        self.rest.set(rest);
        self.storage.set(storage);
    }

    fn carried_bytes(&self) -> u64 {
        self.storage.carried_bytes()
    }
}

dataset_events_tests::sink_contract! {
    mod directly {
        target: BigQuery::direct,
        not_applicable: {
            away_when_opened: "nothing lies between sink and server; see `through_the_proxy`",
            a_batch_stored_in_part: "nothing lies between sink and server; see `through_the_proxy`",
            every_acknowledgement_lost: "nothing lies between sink and server; see `through_the_proxy`",
            a_target_that_hangs: "nothing lies between sink and server; see `through_the_proxy`",
            server_killed_in_mid_batch: "nothing lies between sink and server; see `through_the_proxy`",
            token_expired: "the server looks at no token; see `through_the_proxy`",
        },
    }
}

dataset_events_tests::sink_contract! {
    mod through_the_proxy {
        target: BigQuery::proxied,
        not_applicable: {},
    }
}
