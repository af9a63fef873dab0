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
    let [gateway, engines] = &*running.services else { panic!("two services") };
    assert!(wait_for(gateway, "first").ends_with("first"));
    fs::write(job.path("sinks.toml"), config("second")).expect("write the configuration");
    gateway.hang_up();
    assert!(wait_for(gateway, "second").ends_with("second"));
    assert!(wait_for(engines, "first").ends_with("first"), "it was told nothing");
    running.kill();
}

#[test]
fn at_sighup_a_sink_on_the_output_that_a_service_speaks_on_is_refused_and_the_job_ends_in_order() {
    let elsewhere = tempfile::tempdir().expect("make a temporary directory");
    let first = format!("[sinks.first]\nbackend = \"ndjson\"\npath = {:?}\n", elsewhere.path().join("first"));
    let job = Job::new(1, &first);
    let running = job.start();
    let [gateway, _] = &*running.services else { panic!("two services") };
    wait_for(gateway, "first");
    let with_stdout = format!("{first}[sinks.out]\nbackend = \"stdout\"\n");
    fs::write(job.path("sinks.toml"), with_stdout).expect("write the configuration");
    gateway.hang_up();
    let message = running.message_with("SIGHUP: ");
    assert!(message.contains("sink `out`") && message.contains("all goes on as before"), "{message}");
    let names: Vec<String> = gateway.sinks().into_iter().map(|sink| sink.name).collect();
    assert_eq!(names, ["first"]);
    running.until_reported();
    let status = running.end();
    assert!(status.success(), "{status}");
}
