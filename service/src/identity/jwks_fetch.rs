//! One fetch of a JWK set.

use reqwest::header::{CACHE_CONTROL, HeaderMap};
use reqwest::{Client, StatusCode, Url};
use thiserror::Error;

use super::IdentityConfigError;
use super::keys::KeySet;

/// What a fetch brought.
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    /// What the answer's `Cache-Control` says of its age.
    pub(crate) max_age_seconds: Option<u64>,
}

/// Why keys could not be fetched. No message holds the URL or what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The server could not be reached, or took too long.
    #[error("fetch the JWK set: the server cannot be reached, or takes too long")]
    Unreachable,
    /// The server redirects. Redirects are not followed.
    #[error("fetch the JWK set: the server redirects ({status}); configure the URL that it leads to")]
    Redirected {
        /// The answer's status.
        status: u16,
    },
    /// The server answered with another status than 200.
    #[error("fetch the JWK set: the server answers {status}")]
    Status {
        /// The answer's status.
        status: u16,
    },
    /// The answer is too large.
    #[error("fetch the JWK set: the answer has more than {max_bytes} bytes")]
    TooLarge {
        /// The bound, in bytes.
        max_bytes: usize,
    },
    /// The answer is not an acceptable JWK set.
    #[error("fetch the JWK set")]
    NotAccepted(#[source] IdentityConfigError),
    /// The fetch was cut off, or there is no runtime to run it.
    #[error("fetch the JWK set: cut off before its end, or no tokio runtime to run it")]
    Interrupted,
}

pub(crate) async fn fetch(client: &Client, url: &Url, max_bytes: usize) -> Result<Fetched, JwksError> {
    let mut response = client.get(url.clone()).send().await.map_err(|_| JwksError::Unreachable)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(JwksError::Redirected { status: status.as_u16() });
    }
    if status != StatusCode::OK {
        return Err(JwksError::Status { status: status.as_u16() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| JwksError::Unreachable)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(JwksError::TooLarge { max_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    let keys = KeySet::from_published_jwks(&body).map_err(JwksError::NotAccepted)?;
    Ok(Fetched { keys, max_age_seconds: max_age(response.headers()) })
}

/// `max-age` of the answer; 0 when it says `no-store` or `no-cache`. The caller bounds it.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
            return Some(0);
        }
        if let Some((name, value)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            max_age = value.trim().trim_matches('"').parse().ok();
        }
    }
    max_age
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<u64> {
        let values =
            values.iter().map(|value| (CACHE_CONTROL, reqwest::header::HeaderValue::from_static(value)));
        max_age(&HeaderMap::from_iter(values))
    }

    #[test]
    fn max_age_is_read_from_cache_control_only() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["public, max-age=600, must-revalidate"]), Some(600));
        assert_eq!(of(&["public", "Max-Age = \"42\""]), Some(42));
        assert_eq!(of(&["max-age=600, no-cache"]), Some(0));
        assert_eq!(of(&["s-maxage=9"]), None);
        assert_eq!(of(&["max-age=-1"]), None);
        assert_eq!(of(&["max-age=99999999999999999999999"]), None);
    }
}
