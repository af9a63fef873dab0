//! The replica holds to the contract of sinks in S3, on a real server.

use std::sync::Arc;
use std::time::Duration;

use dataset_events::sinks::Sink;
use dataset_events::sinks::replica::{ReplicaSettings, ReplicaSink};
use dataset_events::sources::{ReplicaSource, Source};
use dataset_events_tests::remote::process::Server as Process;
use dataset_events_tests::remote::proxy::{Mode, Proxy};
use dataset_events_tests::remote::s3;
use dataset_events_tests::sink_contract;
use dataset_events_tests::sink_contract::{Ability, Check, Fault, Network, Server, Target};

/// How long a request may take, its repeats included.
const TIMEOUT: Duration = Duration::from_secs(2);
const SECRET: &str = "s3cr3t-of-the-test";

/// A server, of one's own where it is killed.
enum Running {
    Shared(Arc<Process>),
    Own(Process),
}

/// A bucket that nothing was written to, behind a proxy where the network is to fail.
struct Bucket {
    running: Running,
    proxy: Option<Proxy>,
    name: String,
}

impl Bucket {
    fn new(check: &Check) -> Self {
        let is_own = check.needs.contains(&Ability::Server);
        let running = if is_own { Running::Own(s3::start()) } else { Running::Shared(s3::shared()) };
        let mut bucket = Self { running, proxy: None, name: s3::fresh_bucket() };
        if check.needs.contains(&Ability::Network) {
            bucket.proxy = Some(Proxy::to(bucket.process().ports()[0]));
        }
        s3::make_bucket(bucket.process(), &bucket.name);
        bucket
    }

    fn process(&self) -> &Process {
        match &self.running {
            Running::Shared(server) => server,
            Running::Own(server) => server,
        }
    }

    fn settings(&self, address: &str) -> ReplicaSettings {
        let settings = ReplicaSettings::url(&format!("s3://{}/audit/prod", self.name)).expect("an address");
        let endpoint = format!("http://{address}");
        let options = [
            ("aws_endpoint", &*endpoint),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", "test"),
            ("aws_secret_access_key", SECRET),
            ("allow_http", "true"),
        ];
        // A batch that is to be cut in two must be more than one object.
        let settings = settings.object_bytes(64 << 10);
        options
            .into_iter()
            .fold(settings, |settings, (name, value)| settings.option(name, value).expect("an option"))
    }
}

impl Target for Bucket {
    fn sink(&self) -> Box<dyn Sink> {
        let address = self.proxy.as_ref().map_or_else(|| self.process().address(), Proxy::address);
        let settings = self.settings(&address);
        let settings = if self.proxy.is_some() { settings.request_timeout(TIMEOUT) } else { settings };
        Box::new(ReplicaSink::new(settings))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(ReplicaSource::new(self.settings(&self.process().address()))))
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        matches!(self.running, Running::Own(_)).then_some(self as &mut dyn Server)
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        self.proxy.is_some().then_some(self as &mut dyn Network)
    }
}

impl Server for Bucket {
    fn kill(&mut self) {
        if let Running::Own(server) = &mut self.running {
            server.kill();
        }
    }

    fn start(&mut self) {
        if let Running::Own(server) = &mut self.running {
            server.restart();
        }
        s3::make_bucket(self.process(), &self.name);
    }
}

impl Network for Bucket {
    fn set(&mut self, fault: Fault) {
        let proxy = self.proxy.as_ref().expect("a proxy");
        proxy.set(match fault {
            Fault::None => Mode::Pass,
            Fault::Refuse => Mode::Refuse,
            Fault::DropAnswers => Mode::DropAnswers,
            Fault::Hang => Mode::Hang,
            Fault::CutInBatch => Mode::RefuseAfterAnswer,
        });
    }

    fn carried_bytes(&self) -> u64 {
        self.proxy.as_ref().map_or(0, Proxy::carried_bytes)
    }
}

sink_contract! {
    mod bucket {
        target: Bucket::new,
        not_applicable: {
            token_expired: "the server takes every key, so that none can be refused",
        },
    }
}
