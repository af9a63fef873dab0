//! An issuer of user tokens that signs whatever a test wants to be said, with keys that it publishes or not.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::{Json, Router, routing::get};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dataset_events_examples::services::UserKeys;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const ISSUER: &str = "https://users.example";
pub(crate) const AUDIENCE: &str = "dataset-events-gateway";

/// A pair of keys, and its public half as an attacker gets hold of it.
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    signing: EncodingKey,
    pub(crate) public_pem: String,
    pub(crate) public_der: Vec<u8>,
    pub(crate) jwk: Jwk,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII"));
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.collect::<Vec<_>>().join("\n"))
}

impl Key {
    pub(crate) fn ed25519(kid: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("random bytes");
        let private = pair.to_pkcs8v1().expect("a key");
        let signing = EncodingKey::from_ed_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes());
        let der = pair.public_key().as_der().expect("a key").as_ref().to_vec();
        Self::new(kid, Algorithm::EdDSA, signing.expect("a key"), der)
    }

    pub(crate) fn rsa(kid: &'static str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("random bytes");
        let private = pair.as_der().expect("a key");
        let signing = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes());
        let der = pair.public_key().as_der().expect("a key").as_ref().to_vec();
        Self::new(kid, Algorithm::RS256, signing.expect("a key"), der)
    }

    fn new(kid: &'static str, algorithm: Algorithm, signing: EncodingKey, public_der: Vec<u8>) -> Self {
        let mut jwk = Jwk::from_encoding_key(&signing, algorithm).expect("a key");
        jwk.common.key_id = Some(kid.to_owned());
        Self { kid, algorithm, signing, public_pem: pem("PUBLIC KEY", &public_der), public_der, jwk }
    }

    /// The header of an honest token.
    pub(crate) fn header(&self) -> Value {
        let name = if self.algorithm == Algorithm::RS256 { "RS256" } else { "EdDSA" };
        json!({"alg": name, "typ": "JWT", "kid": self.kid})
    }

    /// A token with this header, whatever it says, signed with this key.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, &self.signing, self.algorithm)
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&self.header(), claims)
    }
}

pub(crate) fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("signed");
    format!("{message}.{signature}")
}

pub(crate) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// Claims that the gateway accepts now.
pub(crate) fn claims(tenant: &str, env: &str, user: &str) -> Value {
    let now = now();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": user, "tenant_id": tenant, "env": env,
        "iat": now, "nbf": now, "exp": now + 3_600,
    })
}

/// The same claims with one of another value, or without it when the value is null.
pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let map = claims.as_object_mut().expect("claims are an object");
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    claims
}

/// Publishes an Ed25519 and an RSA key while it lives.
pub(crate) struct Issuer {
    pub(crate) ed25519: Key,
    pub(crate) rsa: Key,
    jwks_url: String,
    serving: JoinHandle<()>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let (ed25519, rsa) = (Key::ed25519("ed"), Key::rsa("rsa"));
        let keys = JwkSet { keys: vec![ed25519.jwk.clone(), rsa.jwk.clone()] };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let jwks_url = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
        let router = Router::new().route("/jwks.json", get(move || async move { Json(keys) }));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        Self { ed25519, rsa, jwks_url, serving }
    }

    pub(crate) fn user_keys(&self) -> UserKeys {
        UserKeys { jwks_url: self.jwks_url.clone(), issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned() }
    }

    pub(crate) fn token(&self, tenant: &str, env: &str, user: &str) -> String {
        self.ed25519.token(&claims(tenant, env, user))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
