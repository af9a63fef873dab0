//! The dashboard as the gateway serves it: admitted, limited and audited like everything else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dataset_events::{DatasetEvent, Env, Outcome, TenantId};
use dataset_events_examples::services::{
    GatewayConfig, Issuer, Running, Secret, ServiceConfig, Start, dashboard_of, sign_in_link, start,
};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

#[path = "watch/mod.rs"]
mod watch;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOUR: Duration = Duration::from_secs(3_600);

struct Services {
    watch: watch::Watch,
    root: tempfile::TempDir,
    issuer: Issuer,
    engines: Running,
    gateway: Running,
    http: reqwest::Client,
}

impl Services {
    async fn start(requests_per_second: u32) -> Self {
        let root = tempfile::tempdir().expect("make a temporary directory");
        let service = ServiceConfig {
            root: root.path().to_owned(),
            listen: LOOPBACK,
            operations: LOOPBACK,
            service_secret: Secret::random().expect("random bytes"),
            ledger_config: None,
        };
        let issuer = Issuer::start().await.expect("an issuer");
        let engines = start(&Start::Engines(service.clone())).await.expect("start the engines");
        let (users, engines_url) = (issuer.user_keys(), engines.url());
        let gateway = GatewayConfig { service, users, engines_url, requests_per_second };
        let gateway = start(&Start::Gateway(gateway)).await.expect("start the gateway");
        let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
        let watch = watch::Watch::of_services(root.path());
        Self { watch, root, issuer, engines, gateway, http }
    }

    fn token(&self, tenant: &str) -> String {
        self.issuer.token(tenant, "prod", "u_1", HOUR).expect("a token")
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, String) {
        self.watch.refresh_all();
        let url = format!("{}{path}", self.gateway.url());
        let answer = self.http.get(url).bearer_auth(token).send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a body"))
    }

    /// Events of a scope in the gateway's ledger.
    fn events(&self, tenant: &str, surface: &str) -> Vec<DatasetEvent> {
        let ledger = self.gateway.ledger();
        ledger.flush().expect("flush");
        let (tenant, env) = (TenantId::new(tenant).expect("a tenant"), Env::new("prod").expect("an env"));
        let events = ledger.scope(&tenant, &env).events().surface(surface);
        events.iter().map(|stored| stored.expect("read an event").event).collect()
    }

    /// Ends both, holds what they left against folds from zero, and answers how many scopes left a board.
    async fn end(self) -> usize {
        self.gateway.end().await.expect("end the gateway");
        self.engines.end().await.expect("end the engines");
        drop(self.watch);
        watch::assert_left_is_rebuilt(self.root.path())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_engines_are_served_audited_and_of_one_tenant() {
    let services = Services::start(1_000).await;
    let (acme, globex) = (services.token("acme"), services.token("globex"));
    let url = format!("{}/v1/budget/policy", services.gateway.url());
    let policy = json!({"limit": "12.5", "currency": "EUR"}).to_string();
    let set = services.http.put(url).bearer_auth(&acme).header(header::CONTENT_TYPE, "application/json");
    assert_eq!(set.body(policy).send().await.expect("an answer").status(), StatusCode::OK);
    services.engines.ledger().flush().expect("flush");

    let pages = ["controls", "budget", "kpi", "temperature", "activity"];
    for page in pages {
        let (status, body) = services.get(&format!("/dashboard/panels/{page}"), &acme).await;
        assert_eq!(status, StatusCode::OK, "{page}: {body}");
        assert!(body.contains("<html"), "{page}: {body}");
    }
    let (status, body) = services.get("/dashboard/api/panels/budget", &acme).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("12.5"), "{body}");
    let (status, foreign) = services.get("/dashboard/api/panels/budget", &globex).await;
    assert_eq!(status, StatusCode::OK, "{foreign}");
    assert!(!foreign.contains("12.5"), "{foreign}");

    // One event of reading for each page, beside that of its request.
    assert_eq!(services.events("acme", "ledger.read").len(), pages.len() + 1);
    assert_eq!(services.events("globex", "ledger.read").len(), 1);
    let requests = services.events("acme", "http.request");
    let routes: Vec<Value> = requests.iter().map(|request| request.input_value()["route"].clone()).collect();
    let of_pages = routes.iter().filter(|route| *route == "/dashboard/panels/{panel}").count();
    assert_eq!(of_pages, pages.len(), "{routes:?}");

    // Without a token a browser is led to where it can sign in; the link signs it in by a cookie.
    let asked = services.http.get(dashboard_of(&services.gateway.url()));
    let answer = asked.header(header::ACCEPT, "text/html").send().await.expect("an answer");
    assert!(answer.status().is_redirection() || answer.status() == StatusCode::UNAUTHORIZED, "{answer:?}");
    let link = sign_in_link(&services.gateway.url(), &acme);
    let answer = services.http.get(link).send().await.expect("an answer");
    let cookie = answer.headers().get(header::SET_COOKIE).expect("a cookie").to_str().expect("text");
    let session = cookie.split(';').next().expect("the cookie itself");
    let asked = services.http.get(dashboard_of(&services.gateway.url())).header(header::COOKIE, session);
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.expect("a body").contains("acme"));
    assert!(services.end().await > 0, "the panels had boards folded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_limit_holds_for_the_dashboard_and_each_refusal_counts() {
    let services = Services::start(2).await;
    let token = services.token("acme");
    let asked = (0..12).map(|_| services.get("/dashboard/api/panels/controls", &token));
    let answers = futures::future::join_all(asked).await;
    let refused = answers.iter().filter(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS).count();
    let served = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert!(refused > 0 && served >= 2 && refused + served == 12, "{answers:?}");
    assert_eq!(services.events("acme", "ledger.read").len(), served, "what was refused read nothing");
    let requests = services.events("acme", "http.request");
    assert_eq!(requests.iter().filter(|request| request.outcome == Outcome::Ok).count(), served);
    // A board is left when an event was durable at the moment in which a panel was asked for.
    assert!(services.end().await <= 1, "nobody but acme asked for a panel");
}
