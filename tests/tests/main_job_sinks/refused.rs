//! A configuration that cannot be used ends the job before anything is made.

use crate::job::Job;

fn refused(config: &str, expected: &[&str]) {
    let job = Job::new(1, config);
    let output = job.attempt();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for expected in expected {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!job.path("var").exists(), "nothing is made for a job that cannot begin");
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_before_anything_starts() {
    refused(
        "[sinks.archive]\nbackend = \"replica\"\nurl = \"/nowhere\"\nbatch_entires = 5\n",
        &["configure the ledger and its sinks", "sinks.toml:4:1", "did you mean `batch_entries`?"],
    );
}

#[test]
fn a_sink_on_the_output_that_the_services_speak_on_is_refused() {
    refused("[sinks.out]\nbackend = \"stdout\"\n", &["sink `out`", "standard output", "`ndjson`"]);
}
