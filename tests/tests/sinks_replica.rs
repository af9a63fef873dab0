//! The replica holds to the contract of sinks, in a directory.

use std::time::Duration;

use dataset_events::sinks::Sink;
use dataset_events::sinks::replica::{ReplicaSettings, ReplicaSink};
use dataset_events::sources::{ReplicaSource, Source};
use dataset_events_tests::sink_contract;
use dataset_events_tests::sink_contract::{FaultSwitch, Faulty, Network, Target};

/// A call that meets a hanging network gives up after this.
const TIME_LIMIT: Duration = Duration::from_millis(300);

/// A directory, with a network before it that can fail.
struct DirectoryTarget {
    directory: tempfile::TempDir,
    switch: FaultSwitch,
}

impl DirectoryTarget {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the replica");
        Self { directory, switch: FaultSwitch::default() }
    }

    fn settings(&self) -> ReplicaSettings {
        let settings = ReplicaSettings::directory(self.directory.path());
        settings.prefix("audit/prod").expect("a prefix")
    }
}

impl Target for DirectoryTarget {
    fn sink(&self) -> Box<dyn Sink> {
        let sink = ReplicaSink::new(self.settings());
        Box::new(Faulty::new(sink, self.switch.clone(), TIME_LIMIT))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(ReplicaSource::new(self.settings())))
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut self.switch)
    }
}

sink_contract! {
    mod directory {
        target: |_| DirectoryTarget::new(),
        not_applicable: {
            server_killed_in_mid_batch: "a directory has no server",
            token_expired: "a directory asks for no token",
        },
    }
}
