//! Credentials whose token can be taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataset_events::sinks::google::GoogleCredentials;
use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};

use crate::sink_contract::Credentials;

/// What the failing token server says, and must be told nowhere.
pub const SECRET: &str = "ya29.aSecretThatNoErrorMayTell0123456789";

/// A switch for all credentials that it gave out.
#[derive(Debug, Clone)]
pub struct Expiring {
    token: &'static str,
    is_refused: Arc<AtomicBool>,
}

impl Expiring {
    /// Gives this token out, until it is taken away.
    pub fn of(token: &'static str) -> Self {
        Self { token, is_refused: Arc::default() }
    }

    /// Credentials that follow the switch.
    pub fn credentials(&self) -> GoogleCredentials {
        GoogleCredentials::given(self.clone().into())
    }
}

impl Credentials for Expiring {
    fn refuse(&mut self) {
        self.is_refused.store(true, Ordering::SeqCst);
    }

    fn accept(&mut self) {
        self.is_refused.store(false, Ordering::SeqCst);
    }
}

impl CredentialsProvider for Expiring {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        if self.is_refused.load(Ordering::SeqCst) {
            let reason = format!("the token server is away; it was asked with Bearer {SECRET}");
            return Err(CredentialsError::from_msg(true, reason));
        }
        let mut data = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {}", self.token)).expect("a valid header");
        data.insert(AUTHORIZATION, value);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
