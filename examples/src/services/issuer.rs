//! A small identity provider: signs the tokens of the demo's users and publishes its keys.
//!
//! It stands where a deployment has its own provider. The gateway knows nothing of it but the URL of its keys,
//! its name, and the audience.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{Json, Router, routing::get};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::config::UserKeys;

/// The name of the issuer, and the audience of its tokens.
const ISSUER: &str = "https://users.example";
const AUDIENCE: &str = "dataset-events-gateway";
/// The one key of this issuer.
const KEY_ID: &str = "demo-1";
/// RFC 8410, section 7: what stands before the 32 bytes of an Ed25519 private key in PKCS #8.
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The identity provider could not be started, or could not sign.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The operating system gave no random bytes for a key.
    #[error("make a key for the demo's tokens")]
    Entropy(#[from] getrandom::Error),
    /// The address could not be bound.
    #[error("listen on 127.0.0.1 to publish the keys of the demo's tokens")]
    Listen(#[source] std::io::Error),
    /// A key or a token could not be made.
    #[error("sign a token of the demo")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// The identity provider; its keys are published while it lives.
pub struct Issuer {
    key: EncodingKey,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    tenant_id: &'a str,
    env: &'a str,
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// Makes a key and publishes it on a port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    ///
    /// [`IssuerError`].
    pub async fn start() -> Result<Self, IssuerError> {
        let mut der = PKCS8_ED25519.to_vec();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        der.extend_from_slice(&seed);
        let key = EncodingKey::from_ed_der(&der);
        let mut published = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        published.common.key_id = Some(KEY_ID.to_owned());
        let keys = JwkSet { keys: vec![published] };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(IssuerError::Listen)?;
        let address = listener.local_addr().map_err(IssuerError::Listen)?;
        let router = Router::new().route("/.well-known/jwks.json", get(move || async move { Json(keys) }));
        let serving = tokio::spawn(async move {
            // Ends with the task; what a client does to its connection is no failure of the issuer.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { key, address, serving })
    }

    /// What a gateway needs to know of this issuer.
    pub fn user_keys(&self) -> UserKeys {
        UserKeys {
            jwks_url: format!("http://{}/.well-known/jwks.json", self.address),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        }
    }

    /// A token of one user of one tenant, good for one env.
    ///
    /// # Errors
    ///
    /// [`IssuerError::Sign`].
    pub fn token(
        &self,
        tenant_id: &str,
        env: &str,
        user_id: &str,
        lifetime: Duration,
    ) -> Result<String, IssuerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exp = now + lifetime.as_secs();
        let claims = Claims { iss: ISSUER, aud: AUDIENCE, sub: user_id, tenant_id, env, iat: now, exp };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(KEY_ID.to_owned());
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
