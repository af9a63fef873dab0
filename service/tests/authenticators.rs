//! Service tokens, static tokens, and several authenticators behind one.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{AUDIENCE, ISSUER, NOW, TestKey, ask, claims, headers, invalid, random_secret, with};
use dataset_events::{ActorType, AuthSubject, RequestContext, TenantId};
use dataset_events_service::{
    AnyOf, AuthError, Authenticate, BoxFuture, Credentials, Identity, IdentityConfigError, JwtAuthenticator,
    KeySet, ServiceTokens, StaticTokens, VerificationKey,
};
use serde_json::{Value, json};

const SERVICES: &str = "services";

fn ctx() -> RequestContext {
    RequestContext::builder("acme", "staging").user_id("u_7").build().unwrap()
}

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn verifier(keys: KeySet, audience: &str, now: u64) -> JwtAuthenticator {
    JwtAuthenticator::for_service_tokens(SERVICES, audience, keys).clock(move || now).build().unwrap()
}

#[tokio::test]
async fn a_service_token_carries_tenant_env_and_user_for_a_minute() {
    let secret = random_secret();
    let key = TestKey::eddsa();
    let by_secret = ServiceTokens::hs256(SERVICES, "gateway", &secret).unwrap().clock(|| NOW);
    let by_pair = ServiceTokens::eddsa_pem(SERVICES, "gateway", key.private_pem.as_bytes()).unwrap();
    let by_pair = by_pair.kid("s1").clock(|| NOW);
    let secret_keys = KeySet::new([VerificationKey::hs256(&secret).unwrap()]).unwrap();
    let pair_keys = KeySet::from_jwks(&by_pair.public_jwks().unwrap()).unwrap();
    assert_eq!(by_secret.public_jwks(), None);
    for (tokens, keys) in [(by_secret, secret_keys), (by_pair, pair_keys)] {
        let token = tokens.mint(&ctx(), "engines").unwrap();
        let identity = ask(&verifier(keys.clone(), "engines", NOW), &token).await.unwrap();
        assert_eq!(identity.subject, "services|gateway");
        assert_eq!(identity.actor_type, ActorType::Service);
        assert_eq!(identity.user_id.unwrap(), "u_7");
        assert_eq!(identity.on_behalf_of.unwrap(), "u_7");
        assert_eq!(identity.tenants, ["acme"]);
        assert_eq!(identity.env.unwrap(), "staging");

        let at = async |audience, now| ask(&verifier(keys.clone(), audience, now), &token).await.map(drop);
        assert_eq!(at("other", NOW).await, Err(AuthError::WrongAudience));
        assert_eq!(at("engines", NOW + 64).await, Ok(()));
        assert_eq!(at("engines", NOW + 65).await, Err(AuthError::Expired));
        assert_eq!(at("engines", NOW - 6).await, Err(AuthError::NotYetValid));

        let claims = claims_of(&token);
        assert_eq!(claims["exp"], json!(NOW + 60));
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
        assert_ne!(claims["jti"], claims_of(&tokens.mint(&ctx(), "engines").unwrap())["jti"]);
    }
}

#[tokio::test]
async fn a_service_token_of_a_request_without_user_names_none() {
    let secret = random_secret();
    let tokens = ServiceTokens::hs256(SERVICES, "gateway", &secret).unwrap().clock(|| NOW);
    let nobody = RequestContext::builder("acme", "prod").build().unwrap();
    let token = tokens.mint(&nobody, "engines").unwrap();
    assert_eq!(claims_of(&token).get("user_id"), None);
    let keys = KeySet::new([VerificationKey::hs256(&secret).unwrap()]).unwrap();
    let identity = ask(&verifier(keys, "engines", NOW), &token).await.unwrap();
    assert_eq!((identity.user_id, identity.on_behalf_of), (None, None));
}

#[tokio::test]
async fn a_service_token_that_lives_longer_or_has_no_env_is_refused() {
    let key = TestKey::hs256();
    let authenticator = verifier(KeySet::new([key.verifying.clone()]).unwrap(), "engines", NOW);
    let good = json!({"iss": SERVICES, "aud": "engines", "sub": "gateway", "tenant_id": "acme", "env": "prod",
        "iat": NOW, "nbf": NOW, "exp": NOW + 60});
    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        key.token(&claims)
    };
    assert!(ask(&authenticator, &key.token(&good)).await.is_ok());
    assert_eq!(ask(&authenticator, &changed("exp", json!(NOW + 61))).await, invalid("exp"));
    assert_eq!(ask(&authenticator, &changed("iat", Value::Null)).await, invalid("iat"));
    assert_eq!(ask(&authenticator, &changed("env", Value::Null)).await, invalid("env"));
    assert_eq!(ask(&authenticator, &changed("tenant_id", json!("$system"))).await, invalid("tenant_id"));
}

#[test]
fn a_service_needs_a_name_and_a_private_key() {
    let (ed, rsa) = (TestKey::eddsa(), TestKey::rs256());
    let secret = random_secret();
    for service in ["", "a b", &"s".repeat(248)] {
        let refused = ServiceTokens::hs256(SERVICES, service, &secret).unwrap_err();
        assert_eq!(refused, IdentityConfigError::InvalidServiceName { len_bytes: service.len() });
    }
    assert!(matches!(
        ServiceTokens::hs256("a|b", "gateway", &secret),
        Err(IdentityConfigError::InvalidIssuer { .. })
    ));
    for pem in [&ed.public_pem, &rsa.private_pem, &rsa.public_pem, &String::new()] {
        let refused = ServiceTokens::eddsa_pem(SERVICES, "gateway", pem.as_bytes());
        assert!(matches!(refused, Err(IdentityConfigError::InvalidKey { .. })));
    }
    assert!(matches!(
        ServiceTokens::hs256(SERVICES, "gateway", ed.private_pem.as_bytes()),
        Err(IdentityConfigError::InvalidKey { .. })
    ));
}

/// Accepts everything, and counts how often it is asked.
#[derive(Clone, Default)]
struct Weak(Arc<AtomicUsize>);

impl Authenticate for Weak {
    fn authenticate<'a>(&'a self, _: Credentials<'a>) -> BoxFuture<'a, Result<Identity, AuthError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let identity = Identity::new(AuthSubject::from_static("weak"));
        Box::pin(std::future::ready(Ok(identity.tenant(TenantId::from_static("acme")))))
    }
}

#[tokio::test]
async fn a_token_goes_to_its_issuer_and_never_on_to_another() {
    let (user_key, service_key, own) = (TestKey::es256(), TestKey::hs256(), TestKey::hs256());
    let users = JwtAuthenticator::builder().issuer(ISSUER).audience(AUDIENCE).clock(|| NOW);
    let users = users.keys(KeySet::new([user_key.verifying.clone()]).unwrap()).build().unwrap();
    let services = verifier(KeySet::new([service_key.verifying.clone()]).unwrap(), AUDIENCE, NOW);
    let (weak, opaque) = (Weak::default(), Weak::default());
    let any = AnyOf::builder().jwt(users).jwt(services).issuer("weak", weak.clone()).opaque(opaque.clone());
    let any = any.build().unwrap();

    let user = ask(&any, &user_key.token(&claims())).await.unwrap();
    assert_eq!(user.actor_type, ActorType::User);
    let mut service = claims();
    service["iss"] = json!(SERVICES);
    service["env"] = json!("prod");
    service["exp"] = json!(NOW + 60);
    let service_token = service_key.token(&service);
    assert_eq!(ask(&any, &service_token).await.unwrap().actor_type, ActorType::Service);

    // The key of the one issuer proves nothing for the other.
    assert_eq!(ask(&any, &service_key.token(&claims())).await, Err(AuthError::UnsupportedAlgorithm));
    assert_eq!(ask(&any, &user_key.token(&service)).await, Err(AuthError::UnsupportedAlgorithm));
    assert_eq!(ask(&any, &own.token(&service)).await, Err(AuthError::InvalidToken));
    assert_eq!(ask(&any, &own.token(&with("iss", json!("evil")))).await, Err(AuthError::WrongIssuer));
    assert_eq!(ask(&any, &own.token(&with("iss", Value::Null))).await, invalid("iss"));
    assert_eq!((weak.0.load(Ordering::SeqCst), opaque.0.load(Ordering::SeqCst)), (0, 0));

    assert!(ask(&any, &own.token(&with("iss", json!("weak")))).await.is_ok());
    assert!(ask(&any, "no-jwt").await.is_ok());
    assert_eq!((weak.0.load(Ordering::SeqCst), opaque.0.load(Ordering::SeqCst)), (1, 1));
    let none = any.authenticate(Credentials::new(&http::HeaderMap::new())).await;
    assert_eq!(none, Err(AuthError::MissingCredentials));
}

#[tokio::test]
async fn without_an_opaque_authenticator_what_is_no_jwt_is_malformed() {
    let any = AnyOf::builder().issuer("weak", Weak::default()).build().unwrap();
    assert_eq!(ask(&any, "no-jwt").await, Err(AuthError::MalformedCredentials));
}

#[test]
fn each_issuer_has_one_authenticator() {
    let twice = AnyOf::builder().issuer("a", Weak::default()).issuer("a", Weak::default());
    assert_eq!(twice.build().unwrap_err(), IdentityConfigError::DuplicateIssuer);
    assert_eq!(AnyOf::builder().build().unwrap_err(), IdentityConfigError::NoAuthenticator);
}

#[tokio::test]
async fn static_tokens_prove_the_user_of_their_line() {
    let text = "# token tenants user\n\ndev-1 acme u_7\n  dev-2\tacme,globex  u_8\r\n";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    std::fs::write(&file, text).unwrap();
    for tokens in [StaticTokens::parse(text).unwrap(), StaticTokens::from_file(&file).unwrap()] {
        let first = ask(&tokens, "dev-1").await.unwrap();
        assert_eq!(first.subject, "static|u_7");
        assert_eq!(first.user_id.unwrap(), "u_7");
        assert_eq!(first.tenants, ["acme"]);
        assert_eq!(ask(&tokens, "dev-2").await.unwrap().tenants, ["acme", "globex"]);
        for unknown in ["dev-3", "dev-", "dev-11", "DEV-1"] {
            assert_eq!(ask(&tokens, unknown).await, Err(AuthError::InvalidToken), "{unknown}");
        }
    }
}

#[test]
fn static_tokens_warn_once_for_each_process() {
    // A process that makes two lists: this program, told to run one other test.
    let program = std::env::current_exe().unwrap();
    let run = std::process::Command::new(program)
        .args(["--exact", "static_tokens_prove_the_user_of_their_line", "--nocapture"])
        .output()
        .unwrap();
    assert!(run.status.success());
    let text = String::from_utf8(run.stderr).unwrap();
    assert_eq!(text.matches("static bearer tokens are for development").count(), 1, "{text}");
}

#[test]
fn static_tokens_of_another_form_are_refused_without_repeating_them() {
    const CANARY: &str = "canary-6f1d2c";
    let lines = [
        CANARY.to_owned(),
        format!("{CANARY} acme"),
        format!("{CANARY} acme u_7 more"),
        format!("{CANARY} acme, u_7"),
        format!("{CANARY} $system u_7"),
        format!("{CANARY}! acme u_7"),
        format!("{CANARY} acme ü"),
        format!("{CANARY} acme u_7\n{CANARY} globex u_8"),
    ];
    for text in lines {
        let refused = StaticTokens::parse(&text).unwrap_err();
        assert!(matches!(refused, IdentityConfigError::StaticToken { .. }), "{text}");
        assert!(!format!("{refused} {refused:?}").contains(CANARY));
    }
    let tokens = StaticTokens::parse(&format!("{CANARY} acme u_7")).unwrap();
    assert!(!format!("{tokens:?}").contains(CANARY));
    let absent = StaticTokens::from_env("DATASET_EVENTS_TEST_NO_SUCH_VARIABLE").unwrap_err();
    assert!(matches!(absent, IdentityConfigError::StaticTokensUnreadable { .. }));
}

#[test]
fn neither_service_token_nor_key_is_in_debug_output() {
    const CANARY: &str = "canary-6f1d2c-canary-6f1d2c-canary";
    let tokens = ServiceTokens::hs256(SERVICES, "gateway", CANARY.as_bytes()).unwrap();
    let token = tokens.mint(&ctx(), "engines").unwrap();
    let headers = headers(&token);
    let text = format!("{tokens:?}{:?}", Credentials::new(&headers));
    assert!(!text.contains("canary"));
    assert!(!text.contains(&token));
}
