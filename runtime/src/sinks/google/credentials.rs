//! Which credentials a sink or source of Google's stores uses.

use std::fmt;
use std::path::{Path, PathBuf};

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, CredentialsProvider, EntityTag, anonymous, external_account,
    impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use serde_json::Value;

use super::{TokenWatch, redact};
use crate::sinks::SinkError;

/// Which credentials a sink or source of Google's stores uses. Defaults to
/// [`application_default`](Self::application_default).
///
/// Nothing is read before the sink is opened.
#[derive(Clone, Default)]
pub struct GoogleCredentials(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    ApplicationDefault,
    File(PathBuf),
    Emulator,
    Anonymous,
    Given(Credentials),
}

impl GoogleCredentials {
    /// Application default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, else the one that
    /// `gcloud auth application-default login` wrote, else the metadata server of the machine.
    pub fn application_default() -> Self {
        Self(Kind::ApplicationDefault)
    }

    /// A credentials file in JSON: of a service account, a user, an impersonated service account, or an external
    /// account (workload identity).
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// What Google's emulators take for an administrator's: a fixed word and no secret.
    pub fn emulator() -> Self {
        Self(Kind::Emulator)
    }

    /// No credentials.
    pub fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// Credentials that the program has made itself, with `google-cloud-auth` 1.
    pub fn given(credentials: Credentials) -> Self {
        Self(Kind::Given(credentials))
    }

    /// Makes the credentials. Some kinds start a task, so this is called inside of the sink's runtime.
    ///
    /// # Errors
    ///
    /// [`SinkError::Fatal`] when a file is missing or is no credentials file.
    pub(crate) fn build(&self) -> Result<WatchedCredentials, SinkError> {
        let credentials = match &self.0 {
            Kind::ApplicationDefault => Builder::default()
                .build()
                .map_err(|error| refused("load the application default credentials", &error))?,
            Kind::File(path) => from_file(path)?,
            Kind::Emulator => Credentials::from(Owner { tag: EntityTag::new() }),
            Kind::Anonymous => anonymous::Builder::new().build(),
            Kind::Given(credentials) => credentials.clone(),
        };
        let watch = TokenWatch::default();
        Ok(WatchedCredentials { credentials: watch.over(credentials), watch })
    }
}

impl fmt::Debug for GoogleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::ApplicationDefault => f.write_str("application default"),
            Kind::File(path) => write!(f, "file {}", path.display()),
            Kind::Emulator => f.write_str("emulator"),
            Kind::Anonymous => f.write_str("anonymous"),
            // Their own Debug may show more than it should.
            Kind::Given(_) => f.write_str("given"),
        }
    }
}

/// Credentials for a client, and what became of their tokens.
#[derive(Debug)]
pub(crate) struct WatchedCredentials {
    /// What the client gets.
    pub(crate) credentials: Credentials,
    /// Why a request failed, when it was for want of a token.
    pub(crate) watch: TokenWatch,
}

fn from_file(path: &Path) -> Result<Credentials, SinkError> {
    let attempted = format!("load the Google credentials file `{}`", path.display());
    let bytes = std::fs::read(path).map_err(|error| {
        SinkError::fatal(format!("{attempted}: put it there, then resume the sink"), error)
    })?;
    // What a parser says can quote the file, and the file holds a key.
    let no_json = || {
        SinkError::fatal(attempted.clone(), "it is not JSON: download the file anew, then resume the sink")
    };
    let json: Value = serde_json::from_slice(&bytes).map_err(|_| no_json())?;
    let built = match json.get("type").and_then(Value::as_str) {
        Some("service_account") => service_account::Builder::new(json).build(),
        Some("authorized_user") => user_account::Builder::new(json).build(),
        Some("impersonated_service_account") => impersonated::Builder::new(json).build(),
        Some("external_account") => {
            let scope = "https://www.googleapis.com/auth/cloud-platform";
            external_account::Builder::new(json).with_scopes([scope]).build()
        }
        _ => {
            let kinds = "service_account, authorized_user, impersonated_service_account, external_account";
            return Err(SinkError::fatal(attempted, format!("its `type` is none of {kinds}")));
        }
    };
    built.map_err(|error| refused(&attempted, &error))
}

fn refused(attempted: &str, error: &BuildError) -> SinkError {
    let text = error.to_string();
    let reason = if error.is_parsing() {
        // As above: of what the parser says, only the name of a missing field is sure to be no secret.
        match text.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`')) {
            Some((field, _)) => format!("it lacks the field `{field}`"),
            None => "it is no credentials file of Google".to_owned(),
        }
    } else {
        redact(&text)
    };
    SinkError::fatal(format!("{attempted}: mend it, then resume the sink"), reason)
}

/// Sends what emulators take for an administrator's token; without it they refuse batches of writes.
#[derive(Debug)]
struct Owner {
    tag: EntityTag,
}

impl CredentialsProvider for Owner {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        if extensions.get::<EntityTag>() == Some(&self.tag) {
            return Ok(CacheableResource::NotModified);
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer owner"));
        Ok(CacheableResource::New { entity_tag: self.tag.clone(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use google_cloud_auth::credentials::testing::error_credentials;
    use serde_json::json;

    use super::*;
    use crate::sinks::google::Blocking;

    const LIMIT: Duration = Duration::from_secs(60);

    fn built(credentials: &GoogleCredentials) -> Result<WatchedCredentials, SinkError> {
        let blocking = Blocking::start("test").expect("start a runtime");
        blocking.run(LIMIT, async { credentials.build() }).expect("no limit is reached")
    }

    /// Asks for a token, and gives what the watch then says.
    fn asked(credentials: &GoogleCredentials) -> Option<super::super::TokenFailure> {
        let blocking = Blocking::start("test").expect("start a runtime");
        let asked = blocking.run(LIMIT, async {
            let watched = credentials.build().expect("build the credentials");
            let headers = watched.credentials.headers(Extensions::new()).await;
            assert_eq!(headers.is_err(), watched.watch.failure().is_some());
            watched.watch.failure()
        });
        asked.expect("no limit is reached")
    }

    fn whole(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    #[test]
    fn a_missing_file_is_fatal_and_named() {
        let error = built(&GoogleCredentials::file("/nowhere/key.json")).expect_err("there is no file");
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
        assert!(whole(&error).contains("/nowhere/key.json"), "{error}");
    }

    #[test]
    fn a_file_that_is_none_of_google_is_fatal_and_never_quoted() {
        let secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        for (contents, says) in [
            (format!("-----BEGIN PRIVATE KEY-----\n{secret}"), "not JSON"),
            (json!({ "type": secret }).to_string(), "none of service_account"),
            (json!({ "type": "service_account", "private_key": secret }).to_string(), "lacks the field"),
            (
                json!({ "type": "service_account", "client_email": [secret] }).to_string(),
                "no credentials file",
            ),
        ] {
            let file = tempfile::NamedTempFile::new().expect("make a file");
            std::fs::write(file.path(), contents).expect("write the file");
            let error = built(&GoogleCredentials::file(file.path())).expect_err("it is no credentials file");
            let text = format!("{} {error:?}", whole(&error));
            assert!(matches!(error, SinkError::Fatal { .. }), "{text}");
            assert!(text.contains(says) && !text.contains(secret), "{text}");
        }
    }

    #[test]
    fn what_fails_for_now_is_retried_and_what_is_refused_is_fatal() {
        let failure = asked(&GoogleCredentials::given(error_credentials(true))).expect("it fails");
        assert!(matches!(failure.into_sink_error("write"), SinkError::Retry { .. }));
        let failure = asked(&GoogleCredentials::given(error_credentials(false))).expect("it fails");
        let error = failure.into_sink_error("write");
        assert!(matches!(error, SinkError::Fatal { .. }));
        assert!(error.to_string().contains("mend the credentials"), "{error}");
    }

    #[test]
    fn credentials_that_work_leave_no_failure() {
        assert_eq!(asked(&GoogleCredentials::emulator()), None);
        assert_eq!(asked(&GoogleCredentials::anonymous()), None);
    }

    /// A token server that gives one answer to everything; tokens are sent to it, and it repeats them.
    fn token_server(status: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = vec![0; 64 * 1024];
                let read = stream.read(&mut request).unwrap_or(0);
                let body = String::from_utf8_lossy(&request[..read]).into_owned();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A client that is gone wants no answer.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        format!("http://{address}/token")
    }

    #[test]
    fn a_refused_token_is_told_without_the_secrets_that_were_sent_for_it() {
        let refresh_token = "1//0gFdQ3Zk9LmNoPqRsTuVwXyZ012345-aBcDeFgHiJkLmNoP";
        let user = |uri: String| {
            let json = json!({
                "type": "authorized_user", "client_id": "id", "client_secret": "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",
                "refresh_token": refresh_token,
            });
            let credentials = user_account::Builder::new(json).with_token_uri(uri).build();
            GoogleCredentials::given(credentials.expect("build the credentials"))
        };
        let blocking = Blocking::start("test").expect("start a runtime");
        let refused = blocking.run(LIMIT, async { user(token_server("401 Unauthorized")) }).expect("in time");
        let failure = asked(&refused).expect("the token is refused");
        assert!(!failure.is_transient, "{failure:?}");
        for secret in [&refresh_token[5..], "aB3dE5fG7hI9jK1lM3nO5pQ7rS9t"] {
            assert!(!failure.reason.contains(secret), "{failure}");
        }
        assert!(failure.reason.contains("401"), "{failure}");
    }
}
