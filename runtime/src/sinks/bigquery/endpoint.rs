//! Addresses of BigQuery's interfaces other than those that its clients know.

use http::Uri;

/// The zone of Google's own names: global, regional, and of Private Service Connect (`*.p.googleapis.com`).
const GOOGLE: &str = "googleapis.com";

/// What is wrong with an address. The address is not repeated: a part of it may be a secret.
const NO_ADDRESS: &str = "it is no address: expected `https://host` or `http://host:port`";
const NOT_PLAIN: &str = "it holds a user, a password or a query: credentials are a setting of their own";

/// The server that an address leads to, as host, port and path in one spelling; none for Google's service, which has
/// the same tables under each of its names.
pub(super) fn server_of(address: &str) -> Result<Option<String>, &'static str> {
    let uri: Uri = address.parse().map_err(|_| NO_ADDRESS)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(NO_ADDRESS);
    };
    if authority.as_str().contains('@') || uri.query().is_some() || address.contains('#') {
        return Err(NOT_PLAIN);
    }
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(NO_ADDRESS),
    };
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => default_port,
        None => return Err(NO_ADDRESS),
    };
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if host.is_empty() {
        return Err(NO_ADDRESS);
    }
    let is_google = host.strip_suffix(GOOGLE).is_some_and(|name| name.is_empty() || name.ends_with('.'));
    Ok((!is_google).then(|| format!("{host}:{port}{}", uri.path().trim_end_matches('/'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_google_is_google() {
        for address in [
            "https://bigquery.googleapis.com",
            "https://BigQuery.googleapis.com:443/",
            "https://bigquery.europe-west3.rep.googleapis.com",
            "https://bigquerystorage-audit.p.googleapis.com.",
        ] {
            assert_eq!(server_of(address), Ok(None), "{address}");
        }
        let not_google = server_of("https://notgoogleapis.com");
        assert_eq!(not_google, Ok(Some("notgoogleapis.com:443".to_owned())));
        let not_google = server_of("https://googleapis.com.example/a@b");
        assert_eq!(not_google, Ok(Some("googleapis.com.example:443/a@b".to_owned())));
    }

    #[test]
    fn a_server_has_one_spelling() {
        for (address, server) in [
            ("http://127.0.0.1:9050", "127.0.0.1:9050"),
            ("http://127.0.0.1:9050/", "127.0.0.1:9050"),
            ("http://Proxy/bq/", "proxy:80/bq"),
            ("HTTP://proxy:80/bq", "proxy:80/bq"),
            ("https://proxy", "proxy:443"),
            ("http://[::1]:9050", "[::1]:9050"),
        ] {
            assert_eq!(server_of(address), Ok(Some(server.to_owned())), "{address}");
        }
    }

    #[test]
    fn what_may_be_a_secret_and_what_is_no_address_is_refused() {
        for address in ["https://u:secret@h", "https://u@h", "https://h/?key=secret", "https://h#secret"] {
            assert_eq!(server_of(address), Err(NOT_PLAIN), "{address}");
        }
        for address in ["", "h", "h:1", "/p", "ftp://h", "https://", "https://h:99999", "https://h:", "a b"] {
            assert_eq!(server_of(address), Err(NO_ADDRESS), "{address}");
        }
    }
}
