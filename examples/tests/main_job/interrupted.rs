//! Ctrl-C at any time: the job ends in order, and nothing that was answered is missing.

use rustix::process::Signal;

use crate::job::{Ended, Job, Running};

/// Said when the services are about to start.
const STARTING: &str = "4 tenants x 2 envs bring";
/// Said when both take requests, and the work begins.
const STARTED: &str = "takes requests at";
/// Said in the middle of the work.
const AT_WORK: &str = "expected: an engine panics";
/// Said when the report is about to be read.
const WORKED: &str = "requests were answered in";
/// Said when the report was given.
const REPORTED: &str = "The services go on until Ctrl-C";

fn interrupted_at(job: &Job, said: &str, signal: fn(&Running)) -> Ended {
    let mut running = job.start();
    running.wait_for(said);
    signal(&running);
    let ended = running.end();
    assert!(ended.status.success(), "{}\n{}\n{}", ended.status, ended.output, ended.messages);
    assert_eq!(job.processes(), Vec::<String>::new(), "nothing is left running");
    job.assert_verified();
    ended
}

fn parent(running: &Running) {
    running.signal(Signal::INT);
}

fn group(running: &Running) {
    running.signal_group(Signal::INT);
}

/// The numbers of the account that an interrupted job gives, in their order.
fn account(ended: &Ended) -> [u64; 7] {
    let line = ended.output.lines().find(|line| line.contains(" requests were answered and "));
    let line = line.unwrap_or_else(|| panic!("no account in\n{}", ended.output));
    let words = line.split_whitespace().filter_map(|word| word.parse().ok());
    words.collect::<Vec<u64>>().try_into().unwrap_or_else(|_| panic!("seven numbers in {line:?}"))
}

/// Holds the account of an interrupted job against the ledger, in which nothing else was done.
fn is_accounted_for(job: &Job, ended: &Ended) -> u64 {
    let [answered, cut, recorded, again, unread, left, never_arrived] = account(ended);
    let events = job.gateway_requests();
    let of = |codes: &[&str]| {
        let with = events.iter().filter(|event| event.code().is_some_and(|code| codes.contains(&code)));
        with.count() as u64
    };
    assert_eq!(events.len() as u64, recorded, "the events of the gateway");
    assert_eq!(recorded, answered + unread + left, "each event is of a request of the client");
    assert_eq!(cut, unread + left + never_arrived, "each cut request is explained");
    // The second code is of a request that was left before it was known who asks.
    assert_eq!(of(&["cancelled", "http.disconnected"]), left);
    assert_eq!(of(&["interrupted"]), 0, "no process died");
    assert_eq!(again, answered);
    assert!(cut <= 8, "a scope has one request in flight at most: {cut}");
    println!(
        "{answered} answered, {cut} cut ({unread} unread, {left} left, {never_arrived} never arrived): \
         {recorded} events"
    );
    answered
}

#[test]
fn ctrl_c_while_the_services_start_loses_nothing() {
    let job = Job::new();
    let ended = interrupted_at(&job, STARTING, parent);
    is_accounted_for(&job, &ended);
}

#[test]
fn ctrl_c_of_a_terminal_while_the_services_start_loses_nothing() {
    let job = Job::new();
    let ended = interrupted_at(&job, STARTING, group);
    is_accounted_for(&job, &ended);
}

#[test]
fn ctrl_c_as_the_work_begins_loses_nothing() {
    let job = Job::new();
    let ended = interrupted_at(&job, STARTED, parent);
    is_accounted_for(&job, &ended);
}

#[test]
fn ctrl_c_in_the_middle_of_work_leaves_an_event_for_each_answer_and_explains_each_cut() {
    let job = Job::new();
    let ended = interrupted_at(&job, AT_WORK, parent);
    let answered = is_accounted_for(&job, &ended);
    assert!(answered > 100, "{answered} requests were answered by then");
}

#[test]
fn ctrl_c_of_a_terminal_in_the_middle_of_work_leaves_an_event_for_each_answer() {
    let job = Job::new();
    let ended = interrupted_at(&job, AT_WORK, group);
    let answered = is_accounted_for(&job, &ended);
    assert!(answered > 100, "{answered} requests were answered by then");
    // What was interrupted goes on.
    let (_, report) = job.run();
    assert_eq!(report["verified"], true);
}

#[test]
fn ctrl_c_while_the_report_is_read_ends_after_it() {
    let job = Job::new();
    let ended = interrupted_at(&job, WORKED, parent);
    // Whether the last answers' events were in the log when the signal came decides which of both is said.
    if ended.output.contains(REPORTED) {
        assert_eq!(job.report()["verified"], true);
    } else {
        is_accounted_for(&job, &ended);
    }
}

#[test]
fn ctrl_c_after_the_report_ends_the_services() {
    for signal in [parent, group] {
        let job = Job::new();
        let ended = interrupted_at(&job, REPORTED, signal);
        assert_eq!(job.report()["verified"], true);
        let answered = ended.output.lines().find_map(|line| line.split_once(WORKED)?.0.trim().parse().ok());
        assert_eq!(answered, Some(job.gateway_requests().len()), "an event for each answer");
    }
}
