//! The client's address: the peer's, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use http::HeaderMap;
use http::request::Parts;
use thiserror::Error;

/// A range of addresses, such as `10.0.0.0/8` or `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    prefix_bits: u32,
}

/// A text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no range of addresses: expected `address` or `address/bits`, such as `10.0.0.0/8`")]
#[non_exhaustive]
pub struct InvalidRange {
    /// The text as given.
    pub text: String,
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange { text: text.to_owned() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(invalid)?,
            None => most,
        };
        Ok(Self { base, prefix_bits })
    }
}

impl AddressRange {
    /// Whether the address lies in the range. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - self.prefix_bits;
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - self.prefix_bits;
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The client's address.
///
/// `X-Forwarded-For` is read from its end for as long as the one who wrote an entry is trusted: the entries
/// before that are whatever a client made up.
pub(super) fn client_ip(parts: &Parts, trusted: &[AddressRange]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let mut address = peer.ip().to_canonical();
    for forwarded in forwarded(&parts.headers) {
        if !trusted.iter().any(|range| range.contains(address)) {
            break;
        }
        match forwarded {
            Some(before) => address = before,
            None => break,
        }
    }
    Some(address)
}

/// The entries of all `X-Forwarded-For` headers, the last one first.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    values.into_iter().rev().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.rsplit(',').map(|entry| entry.trim().parse().ok()).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = http::Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let peer: SocketAddr = peer.parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        let trusted: Vec<AddressRange> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        client_ip(&parts, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
        assert_eq!(client("192.0.2.1:9", &["203.0.113.7"], &[]), "192.0.2.1");
        assert_eq!(client("10.0.0.1:9", &["203.0.113.7"], &["10.0.0.0/8"]), "203.0.113.7");
    }

    #[test]
    fn entries_that_a_client_wrote_are_not_believed() {
        let chain = ["198.51.100.66", "203.0.113.7, 10.0.0.2"];
        assert_eq!(client("10.0.0.1:9", &chain, &["10.0.0.0/8"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1:9", &["203.0.113.7, what?"], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn ranges_are_checked() {
        for bad in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/-1"] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
        let all: AddressRange = "0.0.0.0/0".parse().unwrap();
        assert!(
            all.contains("203.0.113.7".parse().unwrap()) && all.contains("::ffff:1.2.3.4".parse().unwrap())
        );
        assert!(!all.contains("::1".parse().unwrap()));
        let one: AddressRange = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
    }
}
