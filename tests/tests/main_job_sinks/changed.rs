//! Sinks of a service change while it runs.

use std::fs;
use std::time::{Duration, Instant};

use crate::job::{Job, Service};

/// Waits until the one sink of a service has this name and everything; answers where it writes.
fn wait_for(service: &Service, name: &str) -> String {
    let begun = Instant::now();
    loop {
        let sinks = service.sinks();
        if let [sink] = &*sinks
            && sink.name == name
            && sink.lag_bytes == 0
            && sink.acknowledged.offset > 0
        {
            return sink.target.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{} did not come: {sinks:?}", name);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn at_sighup_a_service_takes_the_sinks_that_its_configuration_names_now() {
    let elsewhere = tempfile::tempdir().expect("make a temporary directory");
    let config = |name: &str| {
        let path = elsewhere.path().join(name);
        format!("[sinks.{name}]\nbackend = \"ndjson\"\npath = {path:?}\n")
    };
    let job = Job::new(1, &config("first"));
    let running = job.start();
    let [gateway, engines] = &running.services;
    assert!(wait_for(gateway, "first").ends_with("first"));
    fs::write(job.path("sinks.toml"), config("second")).expect("write the configuration");
    gateway.hang_up();
    assert!(wait_for(gateway, "second").ends_with("second"));
    assert!(wait_for(engines, "first").ends_with("first"), "it was told nothing");
    running.kill();
}
