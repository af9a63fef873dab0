//! Keys made for one test, tokens signed with them, and requests that bring tokens.
#![allow(dead_code, reason = "each test binary uses its part")]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dataset_events_service::identity::JwtBuilder;
use dataset_events_service::{
    AuthError, Authenticate, Credentials, Identity, JwtAuthenticator, KeySet, VerificationKey,
};
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// The time of every test: far from the system's, so that a look at the wrong clock shows.
pub(crate) const NOW: u64 = 4_000_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "notes";

/// A key pair, or a secret twice.
pub(crate) struct TestKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) signing: EncodingKey,
    pub(crate) verifying: VerificationKey,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    let body = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

impl TestKey {
    pub(crate) fn rs256() -> Self {
        Self::rsa(KeySize::Rsa2048)
    }

    pub(crate) fn rsa(size: KeySize) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
        let private_pem = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
        let public_pem = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
        Self {
            algorithm: Algorithm::RS256,
            signing: EncodingKey::from_rsa_pem(private_pem.as_bytes()).unwrap(),
            verifying: VerificationKey::rs256_pem(public_pem.as_bytes()).unwrap(),
            private_pem,
            public_pem,
        }
    }

    pub(crate) fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private_pem = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
        let public_pem = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
        Self {
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_pem(private_pem.as_bytes()).unwrap(),
            verifying: VerificationKey::es256_pem(public_pem.as_bytes()).unwrap(),
            private_pem,
            public_pem,
        }
    }

    pub(crate) fn eddsa() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private_pem = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
        let public_pem = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
        Self {
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_pem(private_pem.as_bytes()).unwrap(),
            verifying: VerificationKey::eddsa_pem(public_pem.as_bytes()).unwrap(),
            private_pem,
            public_pem,
        }
    }

    pub(crate) fn hs256() -> Self {
        let secret = random_secret();
        Self {
            algorithm: Algorithm::HS256,
            signing: EncodingKey::from_secret(&secret),
            verifying: VerificationKey::hs256(&secret).unwrap(),
            private_pem: String::new(),
            public_pem: String::new(),
        }
    }

    pub(crate) fn every() -> [Self; 4] {
        [Self::hs256(), Self::rs256(), Self::es256(), Self::eddsa()]
    }

    pub(crate) fn name(&self) -> &'static str {
        self.verifying.algorithm().name()
    }

    /// The public key (or the secret) as a JWK.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing, self.algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    /// A token without `kid`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&json!({"alg": self.name(), "typ": "JWT"}), claims)
    }

    pub(crate) fn token_of(&self, kid: &str, claims: &Value) -> String {
        self.signed(&json!({"alg": self.name(), "typ": "JWT", "kid": kid}), claims)
    }

    /// A token with this header, whatever it says, signed with this key.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

pub(crate) fn random_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    secret
}

pub(crate) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Claims that are accepted now.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u_7", "tenant_id": "acme",
        "iat": NOW, "nbf": NOW, "exp": NOW + 600,
    })
}

/// The same claims with one of another value, or without it when the value is null.
pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    claims
}

pub(crate) fn headers(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
}

pub(crate) async fn ask(authenticator: &dyn Authenticate, token: &str) -> Result<Identity, AuthError> {
    authenticator.authenticate(Credentials::new(&headers(token))).await
}

pub(crate) fn invalid(claim: &str) -> Result<Identity, AuthError> {
    Err(AuthError::InvalidClaim { claim: claim.to_owned() })
}

/// An authenticator of [`ISSUER`] and [`AUDIENCE`] at [`NOW`], under these keys.
pub(crate) fn builder(keys: impl IntoIterator<Item = VerificationKey>) -> JwtBuilder {
    let keys = KeySet::new(keys).unwrap();
    JwtAuthenticator::builder().issuer(ISSUER).audience(AUDIENCE).keys(keys).clock(|| NOW)
}

/// The same under one key.
pub(crate) fn of(key: &TestKey) -> JwtAuthenticator {
    builder([key.verifying.clone()]).build().unwrap()
}
