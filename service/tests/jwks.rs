//! Keys from a URL: rotation, failure, and how often the URL is asked.
#![cfg(feature = "jwks")]

mod common;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use common::{AUDIENCE, ISSUER, NOW, TestKey, ask, claims, with};
use dataset_events_service::identity::{JwksBuilder, JwtBuilder};
use dataset_events_service::{AuthError, IdentityConfigError, Jwks, JwksError, JwtAuthenticator};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A JWKS server on loopback, whose answers a test sets.
struct Server {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    /// Each answer takes a permit, so that a test can hold answers back.
    gate: Semaphore,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Server {
    async fn start(keys: &[Value]) -> Self {
        let answer = Answer { status: 200, headers: Vec::new(), body: json!({"keys": keys}).to_string() };
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(1_000_000),
        });
        let router = Router::new().route("/keys", get(serve)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    fn set(&self, change: impl FnOnce(&mut Answer)) {
        change(&mut self.shared.answer.lock().unwrap());
    }

    fn rotate(&self, keys: &[Value]) {
        self.set(|answer| answer.body = json!({"keys": keys}).to_string());
    }

    fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    fn hold(&self) {
        self.shared.gate.forget_permits(1_000_000);
    }

    fn release(&self) {
        self.shared.gate.add_permits(1_000_000);
    }
}

async fn serve(State(shared): State<Arc<Shared>>) -> Response {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    shared.gate.acquire().await.unwrap().forget();
    let answer = shared.answer.lock().unwrap().clone();
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// A clock that a test moves.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    fn read(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let now = Arc::clone(&self.0);
        move || now.load(Ordering::SeqCst)
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn authenticator(jwks: &Jwks, clock: &Clock) -> JwtAuthenticator {
    let builder: JwtBuilder = JwtAuthenticator::builder().issuer(ISSUER).audience(AUDIENCE);
    builder.jwks(jwks.clone()).clock(clock.read()).build().unwrap()
}

fn source(server: &Server, clock: &Clock) -> JwksBuilder {
    Jwks::builder(&server.url).clock(clock.read())
}

/// Lets other tasks run until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), wait).await.expect("the condition came true");
}

fn long_lived() -> Value {
    with("exp", json!(NOW + 1_000_000))
}

#[tokio::test]
async fn a_rotated_key_is_found_and_the_old_one_no_longer_serves() {
    let (old, new) = (TestKey::rs256(), TestKey::es256());
    let (clock, server) = (Clock::new(), Server::start(&[old.jwk("k1")]).await);
    let jwks = source(&server, &clock).build().unwrap();
    let authenticator = authenticator(&jwks, &clock);
    let (old_token, new_token) = (old.token_of("k1", &claims()), new.token_of("k2", &claims()));
    assert!(ask(&authenticator, &old_token).await.is_ok());

    clock.advance(10);
    server.rotate(&[old.jwk("k1"), new.jwk("k2")]);
    assert!(ask(&authenticator, &new_token).await.is_ok());
    assert!(ask(&authenticator, &old_token).await.is_ok());
    assert_eq!(server.asked(), 2);

    clock.advance(300);
    server.rotate(&[new.jwk("k2")]);
    assert!(
        ask(&authenticator, &old_token).await.is_ok(),
        "the old keys serve while the new ones are fetched"
    );
    until(|| jwks.status().fetches == 3).await;
    assert_eq!(ask(&authenticator, &old_token).await, Err(AuthError::UnknownKey));
    assert!(ask(&authenticator, &new_token).await.is_ok());
    assert_eq!(server.asked(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_share_one_fetch() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    let jwks = source(&server, &clock).build().unwrap();
    let authenticator = Arc::new(authenticator(&jwks, &clock));
    server.hold();
    let token = key.token_of("k1", &claims());
    let waiting = (0..100).map(|_| {
        let (authenticator, token) = (Arc::clone(&authenticator), token.clone());
        tokio::spawn(async move { ask(authenticator.as_ref(), &token).await })
    });
    let waiting: Vec<_> = waiting.collect();
    until(|| server.asked() == 1).await;
    server.release();
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn unknown_kids_cause_one_fetch_in_ten_seconds() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    let jwks = source(&server, &clock).build().unwrap();
    let authenticator = authenticator(&jwks, &clock);
    for round in 1..=3 {
        for number in 0..50 {
            let token = key.token_of(&format!("unknown-{number}"), &claims());
            assert_eq!(ask(&authenticator, &token).await, Err(AuthError::UnknownKey));
        }
        assert_eq!(server.asked(), round);
        clock.advance(9);
        let token = key.token_of("unknown", &claims());
        assert_eq!(ask(&authenticator, &token).await, Err(AuthError::UnknownKey));
        assert_eq!(server.asked(), round);
        clock.advance(1);
    }
}

#[tokio::test]
async fn a_request_does_not_wait_for_keys_that_are_only_due() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    let jwks = source(&server, &clock).build().unwrap();
    let authenticator = authenticator(&jwks, &clock);
    let token = key.token_of("k1", &claims());
    assert!(ask(&authenticator, &token).await.is_ok());
    clock.advance(299);
    assert!(ask(&authenticator, &token).await.is_ok());
    server.hold();
    clock.advance(1);
    assert!(ask(&authenticator, &token).await.is_ok());
    until(|| server.asked() == 2).await;
    assert!(ask(&authenticator, &token).await.is_ok());
    assert_eq!(jwks.status().fetches, 1, "the second fetch is still held");
    server.release();
    until(|| jwks.status().fetches == 2).await;
    assert_eq!(jwks.status().fetched_at, Some(NOW + 300));
}

#[tokio::test]
async fn max_age_of_the_answer_is_followed_within_bounds() {
    for (header, refresh_after) in [
        ("max-age=120", 120),
        ("no-store", 60),
        ("max-age=1", 60),
        ("max-age=999999", 3600),
        ("private", 300),
    ] {
        let key = TestKey::eddsa();
        let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
        server.set(|answer| answer.headers.push(("cache-control", header.to_owned())));
        let jwks = source(&server, &clock).build().unwrap();
        let authenticator = authenticator(&jwks, &clock);
        let token = key.token_of("k1", &long_lived());
        assert!(ask(&authenticator, &token).await.is_ok());
        clock.advance(refresh_after - 1);
        assert!(ask(&authenticator, &token).await.is_ok());
        assert_eq!(jwks.status().fetches, 1, "{header}");
        clock.advance(1);
        assert!(ask(&authenticator, &token).await.is_ok());
        until(|| jwks.status().fetches == 2).await;
    }
}

#[tokio::test]
async fn old_keys_serve_while_the_url_is_down_until_their_greatest_age() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    let jwks = source(&server, &clock).max_age(Duration::from_secs(1000)).build().unwrap();
    let authenticator = authenticator(&jwks, &clock);
    let token = key.token_of("k1", &long_lived());
    assert!(ask(&authenticator, &token).await.is_ok());

    server.set(|answer| answer.status = 500);
    clock.advance(999);
    assert!(ask(&authenticator, &token).await.is_ok());
    until(|| jwks.status().failures == 1).await;
    assert_eq!(jwks.status().last_failure, Some(JwksError::Status { status: 500 }));
    let unknown = ask(&authenticator, &key.token_of("k2", &claims())).await;
    assert_eq!(unknown, Err(AuthError::KeysUnavailable), "whether the key exists cannot be known");

    clock.advance(1);
    assert_eq!(ask(&authenticator, &token).await, Err(AuthError::KeysUnavailable));
    server.set(|answer| answer.status = 200);
    assert_eq!(
        ask(&authenticator, &token).await,
        Err(AuthError::KeysUnavailable),
        "not within 10 s of the last"
    );
    clock.advance(10);
    assert!(ask(&authenticator, &token).await.is_ok());
    assert_eq!(jwks.status().last_failure, None);
}

#[tokio::test]
async fn answers_that_are_no_acceptable_key_set_are_refused() {
    let (key, secret) = (TestKey::eddsa(), TestKey::hs256());
    let elsewhere = Server::start(&[key.jwk("k1")]).await;
    let large = format!("{{\"keys\":[{}],\"pad\":\"{}\"}}", key.jwk("k1"), "p".repeat(1024 * 1024));
    let not_accepted = |failure: JwksError| {
        assert!(matches!(failure, JwksError::NotAccepted(IdentityConfigError::InvalidKeySet { .. })));
    };
    let redirected = |failure| assert_eq!(failure, JwksError::Redirected { status: 302 });
    let too_large = |failure| assert_eq!(failure, JwksError::TooLarge { max_bytes: 1024 * 1024 });
    let missing = |failure| assert_eq!(failure, JwksError::Status { status: 404 });
    let set = |keys: &[Value]| json!({"keys": keys}).to_string();
    type Check<'a> = &'a dyn Fn(JwksError);
    let cases: [(u16, String, Check<'_>); 6] = [
        (200, set(&[key.jwk("k1"), secret.jwk("s")]), &not_accepted),
        (200, set(&[]), &not_accepted),
        (200, "<html>".to_owned(), &not_accepted),
        (302, set(&[key.jwk("k1")]), &redirected),
        (200, large, &too_large),
        (404, set(&[key.jwk("k1")]), &missing),
    ];
    for (status, body, check) in cases {
        let (clock, server) = (Clock::new(), Server::start(&[]).await);
        server.set(|answer| {
            let location = ("location", elsewhere.url.clone());
            *answer = Answer { status, headers: vec![location], body };
        });
        let jwks = source(&server, &clock).build().unwrap();
        let authenticator = authenticator(&jwks, &clock);
        for token in [key.token_of("k1", &claims()), secret.token_of("s", &claims())] {
            assert_eq!(ask(&authenticator, &token).await, Err(AuthError::KeysUnavailable));
        }
        check(jwks.warm_up().await.unwrap_err());
        assert_eq!(server.asked(), 1);
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_given_up() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    server.hold();
    let jwks = source(&server, &clock).timeout(Duration::from_millis(50)).build().unwrap();
    let outcome = ask(&authenticator(&jwks, &clock), &key.token_of("k1", &claims())).await;
    assert_eq!(outcome, Err(AuthError::KeysUnavailable));
    assert_eq!(jwks.status().last_failure, Some(JwksError::Unreachable));
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_the_fetch_along() {
    let key = TestKey::eddsa();
    let (clock, server) = (Clock::new(), Server::start(&[key.jwk("k1")]).await);
    let jwks = source(&server, &clock).build().unwrap();
    let authenticator = Arc::new(authenticator(&jwks, &clock));
    server.hold();
    let token = key.token_of("k1", &claims());
    let gone = tokio::spawn({
        let (authenticator, token) = (Arc::clone(&authenticator), token.clone());
        async move { ask(authenticator.as_ref(), &token).await }
    });
    until(|| server.asked() == 1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    server.release();
    until(|| jwks.status().fetches == 1).await;
    assert!(ask(authenticator.as_ref(), &token).await.is_ok());
    assert_eq!(server.asked(), 1);
}

#[test]
fn the_url_is_https_or_on_loopback_and_has_no_password() {
    let built = |url: &str| Jwks::builder(url).build();
    for accepted in [
        "https://issuer.example/jwks",
        "http://127.0.0.1:1/jwks",
        "http://[::1]:1/jwks",
        "http://localhost:1/jwks",
    ] {
        assert!(built(accepted).is_ok(), "{accepted}");
    }
    for refused in [
        "http://issuer.example/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://10.0.0.1/jwks",
        "file:///etc/keys",
        "https://user:canary@issuer.example/jwks",
        "not a url",
    ] {
        let refusal = built(refused).unwrap_err();
        assert!(matches!(refusal, IdentityConfigError::InvalidJwksUrl { .. }), "{refused}");
        assert!(!format!("{refusal} {refusal:?}").contains("canary"));
    }
    let jwks = built("https://issuer.example/jwks?token=canary").unwrap();
    assert!(!format!("{jwks:?}").contains("canary"));
}

/// A test run by itself: a proxy is taken from the environment of the process.
#[tokio::test]
async fn keys_on_loopback_are_fetched_past_a_proxy_of_the_environment() {
    const IS_CHILD: &str = "DATASET_EVENTS_TEST_PROXY_CHILD";
    if std::env::var_os(IS_CHILD).is_some() {
        let server = Server::start(&[TestKey::eddsa().jwk("k1")]).await;
        let jwks = Jwks::builder(&server.url).build().unwrap();
        jwks.warm_up().await.unwrap();
        assert_eq!((jwks.status().keys, server.asked()), (1, 1));
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", "keys_on_loopback_are_fetched_past_a_proxy_of_the_environment"]);
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        // The discard port: nothing answers there.
        child.env(name, "http://127.0.0.1:9");
    }
    child.env(IS_CHILD, "1").env_remove("NO_PROXY").env_remove("no_proxy");
    let ended = tokio::task::spawn_blocking(move || child.status().unwrap()).await.unwrap();
    assert!(ended.success(), "the keys were asked of the proxy: {ended}");
}
