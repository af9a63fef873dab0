//! `kill -9`, of the job and of its services.

use rustix::process::Signal;

use crate::job::{Job, kill_service};

#[test]
fn the_services_of_a_killed_job_end_by_themselves_and_in_order() {
    let job = Job::new();
    let mut running = job.start();
    running.wait_for("expected: an engine panics");
    running.signal(Signal::KILL);
    let ended = running.end();
    assert!(!ended.status.success());
    assert_eq!(job.processes(), Vec::<String>::new(), "nothing is left running");
    job.assert_verified();
    let open = job.gateway_requests().iter().filter(|event| event.code() == Some("interrupted")).count();
    assert_eq!(open, 0, "the services were not killed");
}

fn a_service_is_killed(name: &str) {
    let job = Job::new();
    let mut running = job.start();
    let services = running.wait_for("takes requests at");
    running.wait_for("expected: an engine panics");
    kill_service(&services, name);
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.messages);
    let said = format!("error: the {name} service ended without a word (signal: 9 (SIGKILL))");
    assert!(ended.messages.contains(&said), "{}", ended.messages);
    assert_eq!(job.processes(), Vec::<String>::new(), "nothing is left running");

    let before = job.gateway_requests().len();
    let (_, report) = job.run();
    assert_eq!(report["verified"], true, "both ledgers go on");
    job.assert_verified();
    assert!(job.gateway_requests().len() > before);
    assert_eq!(job.ledgers().len(), 2, "they are the same ledgers");
}

#[test]
fn a_job_whose_gateway_is_killed_says_so_and_its_ledger_recovers() {
    a_service_is_killed("gateway");
}

#[test]
fn a_job_whose_engines_are_killed_says_so_and_their_ledger_recovers() {
    a_service_is_killed("engines");
}
