//! The gateway under load, killed at the end: each request that the client sent is accounted for in its ledger.
//!
//! The load comes from `wrk`, which must be on the path. It lasts 30 seconds, or as many as
//! `DATASET_EVENTS_LOAD_SECONDS` says. Run it with `cargo test --release --features load --test load`.

mod account;
mod process;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataset_events::{VerifyOptions, verify};
use dataset_events_examples::services::{GatewayConfig, Issuer, Secret, ServiceConfig, Start};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use account::{Account, Sent};
use process::Service;

const CONNECTIONS: usize = 32;
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
/// No request is refused for its rate: the load is to be served.
const REQUESTS_PER_SECOND: u32 = 1_000_000;

fn duration() -> Duration {
    let seconds = std::env::var("DATASET_EVENTS_LOAD_SECONDS").ok();
    let seconds =
        seconds.map(|text| text.parse().expect("DATASET_EVENTS_LOAD_SECONDS is a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(30))
}

fn configured(directory: &TempDir, issuer: &Issuer) -> (Start, impl Fn(String) -> Start + use<>) {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let service_secret = Secret::random().expect("random bytes");
    let root = directory.path().to_owned();
    let service = ServiceConfig { root, listen: any, operations: any, service_secret, ledger_config: None };
    let (engines, users) = (Start::Engines(service.clone()), issuer.user_keys());
    let gateway = move |engines_url| {
        let (service, users) = (service.clone(), users.clone());
        Start::Gateway(GatewayConfig {
            service,
            users,
            engines_url,
            requests_per_second: REQUESTS_PER_SECOND,
        })
    };
    (engines, gateway)
}

/// Starts the load. It goes on until it is interrupted.
fn wrk(url: &str, tokens: &[String], directory: &TempDir) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/requests.lua");
    let seconds = duration().as_secs() + 600;
    Command::new("wrk")
        .args(["--threads", "2", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--latency", "--script", script, url])
        .env("LOAD_TOKENS", tokens.join(" "))
        .env("LOAD_DIRECTORY", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run wrk: it must be on the path (Debian: `apt-get install wrk`)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_under_load_has_an_event_for_each_answer_and_each_cut_request_is_explained() {
    // Beside the build, not where temporary files are in memory: the load writes hundreds of megabytes.
    let temporary = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("make a directory");
    let (directory, counted) = (temporary(), temporary());
    let issuer = Issuer::start().await.expect("start the issuer");
    let tokens = TENANTS
        .map(|tenant| issuer.token(tenant, "prod", "u_1", Duration::from_secs(3_600)).expect("a token"));
    let (engines, gateway) = configured(&directory, &issuer);
    let engines = Service::start(&engines);
    let gateway_process = Service::start(&gateway(engines.url()));
    let ledger = gateway_process.started.ledger.clone();

    let load = wrk(&gateway_process.url(), &tokens, &counted);
    tokio::time::sleep(duration()).await;
    gateway_process.kill();
    let gone_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos();
    // It then tells what it counted.
    kill_process(Pid::from_child(&load), Signal::INT).expect("end the load");
    let output = load.wait_with_output().expect("wait for wrk");
    assert!(output.status.success(), "{}", output.status);
    let told = String::from_utf8(output.stdout).expect("text");

    // The next start recovers the ledger.
    let next = Service::start(&gateway(engines.url()));
    assert_eq!(next.started.ledger, ledger, "the same ledger");
    assert!(next.end().is_complete);
    let engines_ledger = engines.started.ledger.clone();
    engines.end();
    for ledger in [&ledger, &engines_ledger] {
        let verdict = verify(ledger, &VerifyOptions::new()).expect("read the ledger");
        assert!(verdict.is_verified(), "{verdict}");
    }

    let sent = Sent::read(counted.path());
    assert_eq!(
        sent.answered.len() as u64,
        account::requests_of_wrk(&told),
        "what wrk itself counted\n{told}"
    );
    let account = Account::of(&sent, &ledger, gone_at);
    let seconds = duration().as_secs();
    println!(
        "{told}\nThe gateway was killed after {seconds} s of load over {CONNECTIONS} connections.\n{account}"
    );
    assert!(account.answered > 0, "the load was served");
    assert!(account.cut() > 0, "the gateway was killed while load was on");
    assert!(account.interrupted + account.unread <= CONNECTIONS, "a connection has one request in flight");
    assert_eq!(account.sent, account.answered + account.cut());
    assert_eq!(account.events, account.answered + account.interrupted + account.unread);
}
