//! Credentials that the emulator takes, and that can be taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataset_events::sinks::google::GoogleCredentials;
use dataset_events_tests::sink_contract::Credentials;
use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};

/// What the failing token server says, and must be told nowhere.
pub(crate) const SECRET: &str = "ya29.aSecretThatNoErrorMayTell0123456789";

/// A switch for all credentials that it gave out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expiring(Arc<AtomicBool>);

impl Expiring {
    pub(crate) fn credentials(&self) -> GoogleCredentials {
        GoogleCredentials::given(Provider(self.clone()).into())
    }
}

impl Credentials for Expiring {
    fn refuse(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn accept(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Provider(Expiring);

impl CredentialsProvider for Provider {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        if self.0.0.load(Ordering::SeqCst) {
            let reason = format!("the token server is away; it was asked with Bearer {SECRET}");
            return Err(CredentialsError::from_msg(true, reason));
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer owner"));
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
