//! `docs/routes.md` is what the services are made of, and what they answer.
//!
//! When the page differs the test fails; write it anew with `DATASET_EVENTS_BLESS=1` and look at the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dataset_events::{DatasetEvent, Outcome};
use dataset_events_examples::services::{
    GatewayConfig, Issuer, Secret, ServiceConfig, Start, engines, gateway, start,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::job::Job;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/routes.md");
/// The limit of the main job, for each tenant and route.
const REQUESTS_PER_SECOND: u32 = 2_000;

/// The page as it should be.
fn page() -> String {
    format!(
        "# Routes\n\n\
         The routes of the main job's two services, with their limits and the codes that they can answer. Written \
         by the test\nthat holds it against the services, `examples/tests/main_job/routes.rs`.\n\n\
         A refusal by the engines reaches the gateway's client with its own code and status; the gateway's event \
         says\n`remote.refused`.\n\n\
         ## Gateway\n\n{}\n\
         ## The gateway's dashboard\n\n\
         With the limits of the gateway, and beside these the codes of every route. Failures of pages are pages, of \
         the API\nenvelopes. The gateway knows no operators.\n\n{}\n\
         ## Engines\n\n\
         Only the gateway reaches them, with service tokens.\n\n{}",
        gateway::routes(REQUESTS_PER_SECOND).markdown(),
        gateway::dashboard_routes(),
        engines::routes().markdown(),
    )
}

/// One service's table: the codes of each route, as `code status`, and of every route.
struct Listed {
    routes: BTreeMap<(String, String), BTreeSet<String>>,
    everywhere: BTreeSet<String>,
}

impl Listed {
    /// Read from the committed page, as its reader does.
    fn of(service: &str) -> Self {
        let page = std::fs::read_to_string(PAGE).expect("docs/routes.md");
        let (_, rest) = page.split_once(&format!("## {service}\n")).expect("the service's section");
        let section = rest.split("\n## ").next().unwrap_or(rest);
        let mut listed = Self { routes: BTreeMap::new(), everywhere: BTreeSet::new() };
        for line in section.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            if let [method, route, _, _, codes] = cells[..]
                && method.starts_with('`')
            {
                let name = (method.trim_matches('`').to_owned(), route.trim_matches('`').to_owned());
                listed.routes.insert(name, codes_in(codes));
            } else if !line.starts_with('|') {
                listed.everywhere.extend(codes_in(line));
            }
        }
        assert!(listed.routes.len() > 20, "the rows of {service}");
        listed
    }

    /// What a route can answer; of no route, what every one can.
    fn of_route(&self, method: &str, route: &str) -> BTreeSet<&str> {
        let own = self.routes.get(&(method.to_owned(), route.to_owned()));
        let own = own.into_iter().flatten().chain(&self.everywhere);
        own.map(String::as_str).collect()
    }

    /// Whether the route of a request lists the code, whatever its status.
    fn has(&self, event: &DatasetEvent, code: &str) -> bool {
        let (method, route) = route(event);
        let listed = self.of_route(&method, &route);
        listed.iter().any(|listed| listed.split(' ').next() == Some(code))
    }
}

/// `` `code` 404`` and the like, as `code 404`.
fn codes_in(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('`')
        && let Some((name, after)) = after.split_once('`')
    {
        let status: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
        if !status.is_empty() {
            codes.insert(format!("{name} {status}"));
        }
        rest = after;
    }
    codes
}

/// Method and template of a request's event.
fn route(event: &DatasetEvent) -> (String, String) {
    let input = event.input.as_ref().expect("the input of a request");
    let input: Value = serde_json::from_str(input.get()).expect("JSON");
    let text = |name: &str| input[name].as_str().expect("text").to_owned();
    (text("method"), text("route"))
}

#[test]
fn the_page_of_routes_is_what_the_services_are_made_of() {
    let expected = page();
    if std::env::var_os("DATASET_EVENTS_BLESS").is_some() {
        std::fs::write(PAGE, &expected).expect("write docs/routes.md");
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        committed == expected,
        "docs/routes.md is not what is served; write it anew with DATASET_EVENTS_BLESS=1 and look at the \
         difference\n{expected}"
    );
}

#[test]
fn no_request_of_the_main_job_ends_with_a_code_that_its_route_does_not_list() {
    let job = Job::new();
    job.run();
    let tables = [("gateway", Listed::of("Gateway")), ("engines", Listed::of("Engines"))];
    let requests = job.requests();
    // What the engines refused, which is what the gateway's client was answered.
    let refusals: BTreeMap<String, &str> = requests
        .iter()
        .filter(|event| event.writer.service == "engines")
        .filter_map(|event| Some((event.request_id.to_string(), event.code()?)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for event in &requests {
        let service = event.writer.service.as_str();
        let (_, table) = tables.iter().find(|(name, _)| *name == service).expect("a known service");
        // Who has left was not answered.
        let Some(code) = event.code().filter(|_| event.outcome != Outcome::Cancelled) else { continue };
        let answered = match code {
            "panic" => "internal",
            "remote.refused" => refusals.get(event.request_id.as_str()).expect("the refusal of the engines"),
            code => code,
        };
        let (method, route) = route(event);
        for code in [answered, if code == "panic" { answered } else { code }] {
            let row = format!("{service}: {method} {route}: {code}");
            if !table.has(event, code) {
                missing.insert(row.clone());
            }
            seen.insert(row);
        }
    }
    assert!(missing.is_empty(), "not listed: {missing:#?}");
    assert!(seen.len() > 60, "{} ends of routes were seen: {seen:#?}", seen.len());
    println!("{} requests, {} different failures of routes, all of them listed", requests.len(), seen.len());
}

/// Requests that each provoke a code of their route: method, path, body, template, the expected code.
fn provocations() -> Vec<(Method, String, Value, &'static str, &'static str)> {
    let (get, post, put) = (|| Method::GET, || Method::POST, || Method::PUT);
    let none = || Value::Null;
    let thread = "/v1/chat/threads/th_999";
    let negative = json!({"limit": "-1", "currency": "EUR"});
    let underscored = json!({"limit": "1_000", "currency": "EUR"});
    let rounded = json!({"limit": format!("1.{}1", "0".repeat(28)), "currency": "EUR"});
    let stale = json!({"change": "engage", "reason": "incident", "expected_version": 7});
    let blank = json!({"strategy": "s", "pattern": "chat.*", "reason": " "});
    let approval = json!({"expected_version": 1});
    let reversed = json!({"low": "2", "high": "1", "guards": null, "weight": 1});
    let zeros = "0".repeat(64);
    vec![
        (post(), "/v1/chat/threads".into(), json!({"title": ""}), "/v1/chat/threads", "chat.invalid_title"),
        (post(), "/v1/chat/threads".into(), json!({"name": 1}), "/v1/chat/threads", "http.invalid_body"),
        (get(), "/v1/chat/threads?limit=0".into(), none(), "/v1/chat/threads", "chat.invalid_page"),
        (
            get(),
            format!("{thread}/messages"),
            none(),
            "/v1/chat/threads/{thread_id}/messages",
            "chat.thread_not_found",
        ),
        (
            post(),
            format!("{thread}/messages"),
            json!({"body": " "}),
            "/v1/chat/threads/{thread_id}/messages",
            "chat.empty_message",
        ),
        (
            post(),
            format!("{thread}/reply"),
            none(),
            "/v1/chat/threads/{thread_id}/reply",
            "budget.policy_not_found",
        ),
        (
            get(),
            "/v1/bossman/overview?hours=0".into(),
            none(),
            "/v1/bossman/overview",
            "bossman.invalid_window",
        ),
        (
            get(),
            format!("/v1/bossman/overview?hours={}", u32::MAX),
            none(),
            "/v1/bossman/overview",
            "bossman.invalid_window",
        ),
        (get(), "/v1/bossman/events?limit=0".into(), none(), "/v1/bossman/events", "bossman.invalid_page"),
        (get(), "/v1/bossman/events?all=1".into(), none(), "/v1/bossman/events", "http.invalid_query"),
        (get(), "/v1/bossman/traces/0".into(), none(), "/v1/bossman/traces/{trace_id}", "http.invalid_path"),
        (get(), "/v1/budget/summary".into(), none(), "/v1/budget/summary", "budget.policy_not_found"),
        (put(), "/v1/budget/policy".into(), underscored, "/v1/budget/policy", "http.invalid_body"),
        (put(), "/v1/budget/policy".into(), rounded, "/v1/budget/policy", "http.invalid_body"),
        (put(), "/v1/budget/policy".into(), negative, "/v1/budget/policy", "budget.invalid_amount"),
        (
            put(),
            "/v1/kill-switches/chat".into(),
            stale,
            "/v1/kill-switches/{target}",
            "kill_switch.stale_version",
        ),
        (post(), "/v1/strategy-locks".into(), blank, "/v1/strategy-locks", "strategy_lock.invalid_reason"),
        (
            post(),
            "/v1/strategy-locks/lock_9/approve".into(),
            approval,
            "/v1/strategy-locks/{lock_id}/approve",
            "strategy_lock.not_found",
        ),
        (get(), "/v1/kpis/none/latest".into(), none(), "/v1/kpis/{name}/latest", "kpi.not_found"),
        (
            put(),
            "/v1/kpis/none/corridor".into(),
            reversed,
            "/v1/kpis/{name}/corridor",
            "kpi.invalid_corridor",
        ),
        (
            get(),
            "/v1/temperature/breaches?window_s=0".into(),
            none(),
            "/v1/temperature/breaches",
            "temperature.invalid_window",
        ),
        (
            post(),
            "/v1/temperature/snapshots".into(),
            none(),
            "/v1/temperature/snapshots",
            "temperature.no_readings",
        ),
        (get(), "/v1/media?limit=0".into(), none(), "/v1/media", "media.invalid_page"),
        (get(), format!("/v1/media/{zeros}"), none(), "/v1/media/{media_id}", "media.not_found"),
        (
            post(),
            "/v1/vector/query".into(),
            json!({"text": "?!", "top_k": 3}),
            "/v1/vector/query",
            "vector.invalid_query",
        ),
        (
            Method::DELETE,
            "/v1/vector/documents/none".into(),
            none(),
            "/v1/vector/documents/{document_id}",
            "vector.not_found",
        ),
        (Method::DELETE, "/v1/kpis".into(), none(), "/v1/kpis", "http.method_not_allowed"),
        (get(), "/v1/none".into(), none(), "(no route)", "http.route_not_found"),
    ]
}

fn config(root: &Path) -> ServiceConfig {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let service_secret = Secret::random().expect("random bytes");
    ServiceConfig { root: root.to_owned(), listen: any, operations: any, service_secret, ledger_config: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_provoke_codes_that_their_rows_list() {
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let issuer = Issuer::start().await.expect("start the issuer");
    let service = config(directory.path());
    let engines = start(&Start::Engines(service.clone())).await.expect("start the engines");
    let config = GatewayConfig {
        service,
        users: issuer.user_keys(),
        engines_url: engines.url(),
        requests_per_second: REQUESTS_PER_SECOND,
    };
    let gateway = start(&Start::Gateway(config)).await.expect("start the gateway");
    let token = issuer.token("acme", "prod", "u_1", Duration::from_secs(600)).expect("a token");
    let client = Client::builder().no_proxy().build().expect("a client");
    let listed = Listed::of("Gateway");

    let mut routes = BTreeSet::new();
    for (method, path, body, template, expected) in provocations() {
        let mut request = client.request(method.clone(), format!("{}{path}", gateway.url()));
        request = request.bearer_auth(&token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let (status, code) = answer(request).await;
        assert_eq!(code, expected, "{method} {path}");
        let row = listed.of_route(method.as_str(), template);
        let answered = format!("{code} {}", status.as_u16());
        assert!(row.contains(answered.as_str()), "{method} {template} was answered {answered}: {row:?}");
        routes.insert((method.to_string(), template));
    }
    assert!(routes.len() > 20, "{} routes", routes.len());

    let (status, code) = answer(client.get(format!("{}/v1/kpis", gateway.url()))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(listed.everywhere.contains(&format!("{code} 401")), "{code}");

    engines.end().await.expect("end the engines");
    let unreachable = answer(client.get(format!("{}/v1/kpis", gateway.url())).bearer_auth(&token)).await;
    assert_eq!(unreachable, (StatusCode::SERVICE_UNAVAILABLE, "engines.unreachable".to_owned()));
    assert!(listed.of_route("GET", "/v1/kpis").contains("engines.unreachable 503"));
    gateway.end().await.expect("end the gateway");
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let envelope: Value = answer.json().await.expect("an envelope");
    (status, envelope["error"]["code"].as_str().expect("a code").to_owned())
}
