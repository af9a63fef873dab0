//! The session: a token in a cookie, authenticated anew on each request.

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, header};

/// Browsers drop cookies of more than 4 KiB, name and attributes included.
pub(super) const MAX_TOKEN_BYTES: usize = 3_800;

/// The cookie's name.
pub(super) const COOKIE: &str = "dataset_events_session";

/// Whether an `Authorization` header can hold it (RFC 6750), which a cookie then can too.
pub(super) fn is_token(token: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && token.bytes().all(is_allowed)
}

/// The token in the cookie, the first one where there are several.
pub(super) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token).filter(|token| is_token(token))
}

/// Makes the cookie an `Authorization` header, unless the request brings one of its own. Says whether it did.
pub(super) fn authorize(request: &mut Request<Body>) -> bool {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return false;
    }
    let value = token_of(request.headers()).map(|token| HeaderValue::from_str(&format!("Bearer {token}")));
    let Some(Ok(mut value)) = value else { return false };
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    true
}

/// The cookie that holds a token; an empty one ends the session.
pub(super) fn cookie(token: &str, base: &str, is_secure: bool) -> Option<HeaderValue> {
    let path = if base.is_empty() { "/" } else { base };
    let age = if token.is_empty() { "; Max-Age=0" } else { "" };
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path={path}; HttpOnly; SameSite=Strict{secure}{age}");
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether the browser reaches the service by the name of its own host: there is no TLS there.
pub(super) fn is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a form comes from a page of this origin.
///
/// Browsers say so in `Sec-Fetch-Site`. Where it is absent, `Origin` must be the host; where both are, no browser
/// sent the request, and none lends it a cookie.
pub(super) fn is_same_origin(parts: &Parts) -> bool {
    let text =
        |name: &http::HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(&http::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match text(&header::ORIGIN) {
        None => true,
        Some(origin) => {
            let host = text(&header::HOST).unwrap_or_default();
            let origin_host = origin.split_once("://").map(|(_, host)| host);
            !host.is_empty() && origin_host == Some(host)
        }
    }
}

/// Where to go after signing in: a path below the base, and nothing that leads elsewhere.
pub(super) fn safe_path<'a>(wanted: &'a str, base: &str) -> Option<&'a str> {
    let is_path = wanted.starts_with('/') && !wanted.starts_with("//");
    let is_plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let rest = wanted.strip_prefix(base)?;
    let is_below = base.is_empty() || rest.is_empty() || rest.starts_with(['/', '?']);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let is_page = !path.starts_with("/sign-") && !path.split('/').any(|part| part == "..");
    (is_path && is_plain && is_below && is_page && wanted.len() <= 2_048).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_stays_below_the_base() {
        for good in ["/d", "/d/events?code=a.b", "/d?window=all"] {
            assert_eq!(safe_path(good, "/d"), Some(good));
        }
        for bad in
            ["//evil.example", "/\\evil", "/other", "/dx", "https://evil.example", "/d/../x", "/d/sign-in"]
        {
            assert_eq!(safe_path(bad, "/d"), None, "{bad}");
        }
        assert_eq!(safe_path("/events", ""), Some("/events"));
        assert_eq!(safe_path("//evil.example/events", ""), None);
    }

    #[test]
    fn only_a_token_that_a_header_can_hold_becomes_one() {
        let mut request = Request::new(Body::empty());
        let cookies = HeaderValue::from_static("a=b; dataset_events_session=abc.def; c=d");
        request.headers_mut().insert(header::COOKIE, cookies);
        assert!(authorize(&mut request));
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer abc.def");
        assert!(!authorize(&mut request), "the request's own header stays");
        assert!(!is_token("a b") && !is_token("") && !is_token("a;b") && is_token("eyJ.a-b_c~+/="));
    }

    #[test]
    fn hosts_of_this_machine_have_no_tls() {
        let of = |host: &'static str| {
            is_loopback(&HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]))
        };
        assert!(of("127.0.0.1:8080") && of("localhost") && of("[::1]:80") && of("a.localhost:1"));
        assert!(
            !of("example.com") && !of("10.0.0.1") && !of("localhost.example.com") && !of("127.0.0.1.nip.io")
        );
    }
}
