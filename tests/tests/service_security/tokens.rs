//! Tokens that are not what they say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dataset_events::RequestContext;
use dataset_events_service::ServiceTokens;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::services_common::issuer::{ISSUER, Issuer, Key, claims, now, part, signed, with};
use super::services_common::{Answer, World};
use super::{Expected, NOBODY, assert_no_token_is_kept, assert_refused};

/// Who issues service tokens in the example.
const SERVICE_ISSUER: &str = "dataset-events-examples";

/// One request: a name, its `Authorization` headers, the code of the refusal.
struct Case {
    name: String,
    authorization: Vec<String>,
    code: &'static str,
}

fn case(name: impl Into<String>, token: impl AsRef<str>, code: &'static str) -> Case {
    Case { name: name.into(), authorization: vec![format!("Bearer {}", token.as_ref())], code }
}

fn acme() -> Value {
    claims("acme", "prod", "u_1")
}

fn no_credentials(issuer: &Issuer) -> Vec<Case> {
    let good = format!("Bearer {}", issuer.token("acme", "prod", "u_1"));
    let other = format!("Bearer {}", issuer.token("globex", "prod", "u_2"));
    let of = |name: &str, authorization: Vec<String>| Case {
        name: name.to_owned(),
        authorization,
        code: "auth.malformed_credentials",
    };
    vec![
        Case { name: "no token".to_owned(), authorization: Vec::new(), code: "auth.missing_credentials" },
        of("two headers", vec![good.clone(), other]),
        of("the same header twice", vec![good.clone(), good.clone()]),
        of("two tokens in one", vec![format!("{good}, {good}")]),
        of("basic", vec!["Basic YWNtZTpzZWNyZXQ=".to_owned()]),
        of("no scheme", vec![issuer.token("acme", "prod", "u_1")]),
        of("only the scheme", vec!["Bearer".to_owned()]),
        of("no JWT", vec!["Bearer opaque-token-1".to_owned()]),
        of("above 16 KiB", vec![format!("Bearer opaque-token-{}", "x".repeat(17 * 1024))]),
        of("padded base64", vec![format!("{good}==")]),
    ]
}

fn forged(issuer: &Issuer) -> Vec<Case> {
    let good = issuer.token("acme", "prod", "u_1");
    let stranger = Key::ed25519("ed");
    let mut parts = good.split('.');
    let (header, payload, signature) = (parts.next(), parts.next(), parts.next());
    let (header, payload) = (header.expect("a header"), payload.expect("a payload"));
    let signature = signature.expect("a signature");
    let changed = part(&claims("globex", "prod", "u_1"));
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[0] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(&bytes);
    let mut own_key = stranger.header();
    own_key["jwk"] = serde_json::to_value(&stranger.jwk).expect("JSON");
    let mut own_url = stranger.header();
    own_url["jku"] = json!("http://127.0.0.1:1/keys.json");
    let mut critical = issuer.ed25519.header();
    critical["crit"] = json!(["exp"]);
    let mut unknown = stranger.header();
    unknown["kid"] = json!("not-published");
    vec![
        case("another key under a known kid", stranger.token(&acme()), "auth.invalid_token"),
        case(
            "another tenant in the payload",
            format!("{header}.{changed}.{signature}"),
            "auth.invalid_token",
        ),
        case("a flipped bit", format!("{header}.{payload}.{flipped}"), "auth.invalid_token"),
        case("a key in the header", stranger.signed(&own_key, &acme()), "auth.invalid_token"),
        case("a URL of keys in the header", stranger.signed(&own_url, &acme()), "auth.invalid_token"),
        case("crit", issuer.ed25519.signed(&critical, &acme()), "auth.invalid_token"),
        case("an unknown kid", stranger.signed(&unknown, &acme()), "auth.unknown_key"),
    ]
}

fn stale_or_for_others(issuer: &Issuer) -> Vec<Case> {
    let now = now();
    let of = |name: &str, claim: &str, value: Value, code| {
        case(name, issuer.ed25519.token(&with(acme(), claim, value)), code)
    };
    vec![
        of("expired", "exp", json!(now - 120), "auth.token_expired"),
        of("never expires", "exp", Value::Null, "auth.invalid_claim"),
        of("not yet valid", "nbf", json!(now + 600), "auth.token_not_yet_valid"),
        of("issued in the future", "iat", json!(now + 600), "auth.token_not_yet_valid"),
        of("another audience", "aud", json!("engines"), "auth.wrong_audience"),
        of("other audiences", "aud", json!(["engines", "billing"]), "auth.wrong_audience"),
        of("no audience", "aud", Value::Null, "auth.invalid_claim"),
        of("another issuer", "iss", json!("https://evil.example"), "auth.wrong_issuer"),
        of("almost the issuer", "iss", json!(format!("{ISSUER}/")), "auth.wrong_issuer"),
        of("no issuer", "iss", Value::Null, "auth.invalid_claim"),
        of("no tenant", "tenant_id", Value::Null, "auth.invalid_claim"),
        of("the ledger's own tenant", "tenant_id", json!("$system"), "auth.invalid_claim"),
        of("a tenant that is a path", "tenant_id", json!("../globex"), "auth.invalid_claim"),
        of("a tenant that is a number", "tenant_id", json!(7), "auth.invalid_claim"),
        of("no tenants", "tenant_id", json!([]), "auth.invalid_claim"),
        of("no env", "env", Value::Null, "auth.invalid_claim"),
        of("no user", "sub", Value::Null, "auth.invalid_claim"),
    ]
}

/// `alg: none` in every spelling, with and without a signature, and other names that mean nothing.
fn without_algorithm(issuer: &Issuer) -> Vec<Case> {
    let mut cases = Vec::new();
    let names = ["none", "None", "NONE", "nOnE", "none ", "", "null", "HS512", "hs256", "EDDSA"];
    let names = names.iter().map(|name| json!({"alg": name, "kid": "ed"}));
    let others =
        [json!({"kid": "ed"}), json!({"alg": null, "kid": "ed"}), json!({"alg": ["EdDSA"], "kid": "ed"})];
    for header in names.chain(others) {
        let signed = issuer.ed25519.signed(&header, &acme());
        cases.push(case(format!("{header}, signed"), &signed, "auth.unsupported_algorithm"));
        let (unsigned, _) = signed.rsplit_once('.').expect("three parts");
        cases.push(case(format!("{header}, unsigned"), format!("{unsigned}."), "auth.unsupported_algorithm"));
    }
    let (unsigned, _) = cases[0].authorization[0].rsplit_once('.').expect("three parts");
    cases.push(Case {
        name: "two parts".to_owned(),
        authorization: vec![unsigned.to_owned()],
        code: "auth.malformed_credentials",
    });
    cases
}

/// HS256 with what is published as the secret, under each key's name; and the algorithm of one key with the other.
fn confused(issuer: &Issuer) -> Vec<Case> {
    let mut cases = Vec::new();
    for key in [&issuer.ed25519, &issuer.rsa] {
        let jwk = serde_json::to_value(&key.jwk).expect("JSON");
        let raw = jwk.get("x").or(jwk.get("n")).and_then(Value::as_str).expect("the public part");
        let raw_bytes = URL_SAFE_NO_PAD.decode(raw).expect("base64url");
        let secrets: [(&str, Vec<u8>); 6] = [
            ("PEM", key.public_pem.clone().into_bytes()),
            ("PEM without its newline", key.public_pem.trim_end().as_bytes().to_vec()),
            ("DER", key.public_der.clone()),
            ("JWK", jwk.to_string().into_bytes()),
            ("text of the key", raw.as_bytes().to_vec()),
            ("bytes of the key", raw_bytes),
        ];
        for (what, secret) in secrets {
            let secret = EncodingKey::from_secret(&secret);
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": key.kid});
            let token = signed(&header, &acme(), &secret, Algorithm::HS256);
            cases.push(case(
                format!("HS256 with the {what} of {}", key.kid),
                token,
                "auth.unsupported_algorithm",
            ));
            let header = json!({"alg": "HS256", "typ": "JWT"});
            let token = signed(&header, &acme(), &secret, Algorithm::HS256);
            let name = format!("HS256 without kid with the {what} of {}", key.kid);
            cases.push(case(name, token, "auth.unsupported_algorithm"));
        }
    }
    let crossed = json!({"alg": "RS256", "kid": "ed"});
    cases.push(case(
        "RS256 under an Ed25519 kid",
        issuer.rsa.signed(&crossed, &acme()),
        "auth.unsupported_algorithm",
    ));
    let crossed = json!({"alg": "EdDSA", "kid": "rsa"});
    cases.push(case(
        "EdDSA under an RSA kid",
        issuer.ed25519.signed(&crossed, &acme()),
        "auth.unsupported_algorithm",
    ));
    cases
}

async fn ask(world: &World, url: &str, case: &Case) -> Answer {
    let mut request = world.http.get(format!("{url}/v1/kpis"));
    for value in &case.authorization {
        request = request.header("authorization", value);
    }
    world.send(request).await
}

fn context(world: &World) -> RequestContext {
    let builder = world.gateway.ledger().context("acme", "prod").user_id("u_1");
    builder.build().expect("a context")
}

/// Service tokens as the gateway mints them, of some time and for some audience.
fn minted(world: &World, secret: &[u8], at: u64, audience: &str) -> String {
    let tokens = ServiceTokens::hs256(SERVICE_ISSUER, "gateway", secret).expect("a long secret");
    tokens.clock(move || at).mint(&context(world), audience).expect("a token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_what_it_says_is_refused_by_the_gateway_and_nobodys() {
    let world = World::start().await;
    let issuer = &world.issuer;
    let mut cases = no_credentials(issuer);
    cases.extend(forged(issuer));
    cases.extend(stale_or_for_others(issuer));
    cases.extend(without_algorithm(issuer));
    cases.extend(confused(issuer));
    let secret = world.secret.as_bytes();
    cases.push(case(
        "a service token",
        minted(&world, secret, now(), "engines"),
        "auth.unsupported_algorithm",
    ));
    let mut expected = Expected::default();
    for case in &cases {
        let answer = ask(&world, &world.gateway.url(), case).await;
        assert_refused(&case.name, &answer, 401, case.code);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        expected.add(NOBODY, case.code);
    }
    for key in [&world.issuer.ed25519, &world.issuer.rsa] {
        // The same claims with an honest signature: what was refused was not refused for something else.
        let answer = ask(&world, &world.gateway.url(), &case("honest", key.token(&acme()), "")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "[]"));
        expected.add("acme/prod", "");
    }
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.gateway);
    let mut behind = Expected::default();
    behind.add("acme/prod", "");
    behind.add("acme/prod", "");
    behind.assert_all_of(&recorded.engines);
    assert_no_token_is_kept(&recorded);
    let nobodys = recorded.gateway.events.iter().filter(|event| event.scope().is_system());
    for event in nobodys.filter(|event| event.surface == "http.request") {
        assert_eq!((event.user_id(), event.code().is_some()), (None, true), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_take_only_fresh_service_tokens_for_them() {
    let world = World::start().await;
    let (secret, now) = (world.secret.as_bytes(), now());
    let service = |claims: &Value, secret: &[u8]| {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        signed(&header, claims, &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let honest = json!({
        "iss": SERVICE_ISSUER, "aud": "engines", "sub": "gateway", "tenant_id": "acme", "env": "prod",
        "user_id": "u_1", "iat": now, "nbf": now, "exp": now + 60,
    });
    let of = |name: &str, claim: &str, value: Value, code| {
        case(name, service(&with(honest.clone(), claim, value), secret), code)
    };
    let user = world.issuer.token("acme", "prod", "u_1");
    let cases = [
        Case { name: "no token".to_owned(), authorization: Vec::new(), code: "auth.missing_credentials" },
        case("a user's token", user, "auth.unknown_key"),
        case("replayed after its minute", minted(&world, secret, now - 120, "engines"), "auth.token_expired"),
        case("of the future", minted(&world, secret, now + 120, "engines"), "auth.token_not_yet_valid"),
        case("for another service", minted(&world, secret, now, "gateway"), "auth.wrong_audience"),
        case("of another secret", minted(&world, &[7; 64], now, "engines"), "auth.invalid_token"),
        of("of another issuer", "iss", json!(ISSUER), "auth.wrong_issuer"),
        of("of an hour", "exp", json!(now + 3_600), "auth.invalid_claim"),
        of("without its time", "iat", Value::Null, "auth.invalid_claim"),
        of("for the ledger itself", "tenant_id", json!("$system"), "auth.invalid_claim"),
        of("without env", "env", Value::Null, "auth.invalid_claim"),
    ];
    let mut expected = Expected::default();
    for case in &cases {
        let answer = ask(&world, &world.engines.url(), case).await;
        assert_refused(&case.name, &answer, 401, case.code);
        expected.add(NOBODY, case.code);
    }
    let fresh = case("fresh", minted(&world, secret, now, "engines"), "");
    assert_eq!(ask(&world, &world.engines.url(), &fresh).await.status, 200);
    expected.add("acme/prod", "");
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.engines);
    Expected::default().assert_all_of(&recorded.gateway);
    assert_no_token_is_kept(&recorded);
}
