//! The BigQuery sink against a real server: the contract of all sinks, and what is BigQuery's own.

use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::Sink;
use dataset_events::sinks::bigquery::{BigQuerySettings, BigQuerySink};
use dataset_events::sinks::google::GoogleCredentials;
use dataset_events::sources::Source;
use dataset_events::sources::bigquery::BigQuerySource;
use dataset_events_tests::remote::bigquery::{self, PROJECT};
use dataset_events_tests::remote::expiring::{Expiring, SECRET};
use dataset_events_tests::remote::network::BrokenNetwork;
use dataset_events_tests::remote::running::Running;
use dataset_events_tests::sink_contract::{
    Ability, Check, Credentials, Driver, Network, Server, Target, story,
};

#[path = "sinks_bigquery/rows.rs"]
mod rows;
#[path = "sinks_bigquery/views.rs"]
mod views;

/// How long a call may take, and a query: long, where a server that others use too is only slow.
const LIMITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// The same where the network is to fail, so that a call without an answer ends soon.
const LIMITS_OF_FAULTS: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(8)];
/// Less than the largest lines need with their JSON columns, and than a batch of the checks that cut one in two.
const SMALL_REQUEST_BYTES: usize = 256 << 10;

/// A fresh dataset on a server, behind a proxy where the network is to fail.
struct BigQuery {
    running: Running,
    network: Option<BrokenNetwork>,
    credentials: Expiring,
    dataset: String,
    max_request_bytes: usize,
}

impl BigQuery {
    /// Straight on a server, but where something between sink and server is to fail.
    fn for_check(check: &Check) -> Self {
        let needs = |ability| check.needs.contains(&ability);
        let is_proxied = needs(Ability::Network) || needs(Ability::Credentials);
        let target = Self::new(needs(Ability::Server), is_proxied);
        // Where a batch is to be cut in two it must be more than one request, and where lines are as large as can be,
        // they must be too large for one with all of their columns.
        let is_small = is_proxied || check.name == "largest_lines";
        if is_small { Self { max_request_bytes: SMALL_REQUEST_BYTES, ..target } } else { target }
    }

    fn new(is_own: bool, is_proxied: bool) -> Self {
        let running =
            if is_own { Running::Own(bigquery::start()) } else { Running::Shared(bigquery::shared()) };
        let network = is_proxied.then(|| BrokenNetwork::to(&running));
        Self {
            running,
            network,
            credentials: Expiring::of(SECRET),
            dataset: bigquery::fresh_dataset(),
            max_request_bytes: bigquery::MAX_REQUEST_BYTES,
        }
    }

    fn settings(&self) -> BigQuerySettings {
        let ports = self.network.as_ref().map_or_else(|| self.running.ports().to_vec(), BrokenNetwork::ports);
        let [call, query] = if self.network.is_some() { LIMITS_OF_FAULTS } else { LIMITS };
        let settings = settings(&ports, &self.dataset).timeout(call).query_timeout(query);
        settings.credentials(self.credentials.credentials()).max_request_bytes(self.max_request_bytes)
    }
}

fn settings(ports: &[u16], dataset: &str) -> BigQuerySettings {
    let [rest, storage] = [ports[0], ports[1]].map(|port| format!("http://127.0.0.1:{port}"));
    BigQuerySettings::new(PROJECT, dataset)
        .endpoints(rest, storage)
        .credentials(GoogleCredentials::emulator())
        .create_dataset(true)
}

impl Target for BigQuery {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(BigQuerySink::new(self.settings()))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        // What is held is asked for past the broken network.
        let [call, query] = LIMITS;
        let settings = settings(self.running.ports(), &self.dataset);
        Some(Box::new(BigQuerySource::new(settings.timeout(call).query_timeout(query))))
    }

    fn time_limit(&self) -> Duration {
        // An append may be some calls.
        Duration::from_secs(if self.network.is_some() { 60 } else { 600 })
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        self.running.own()
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
            network.cut();
        }
    }

    fn accept(&mut self) {
        self.credentials.accept();
    }
}

dataset_events_tests::sink_contract! {
    mod contract {
        target: BigQuery::for_check,
        not_applicable: {},
    }
}
