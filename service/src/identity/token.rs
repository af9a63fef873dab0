//! The form of a JWT, before anything of it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::AuthError;
use super::keys::SigningAlgorithm;

/// The longest accepted token, in bytes: 16 KiB. A longer one is refused before it is read.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token whose signature has not been checked.
pub(crate) struct Unverified {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Unverified {
    pub(crate) fn parse(token: &str) -> Result<Self, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::MalformedCredentials);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AuthError::MalformedCredentials);
        };
        decode(signature)?;
        Ok(Self { header: decode_object(header)?, claims: decode_object(claims)? })
    }

    /// What the header says of the signature.
    pub(crate) fn algorithm_and_kid(&self) -> Result<(SigningAlgorithm, Option<&str>), AuthError> {
        let algorithm = self.header.get("alg").and_then(Value::as_str).and_then(SigningAlgorithm::from_name);
        let algorithm = algorithm.ok_or(AuthError::UnsupportedAlgorithm)?;
        // RFC 7515, 4.1.11: what is critical must be understood, and no extension is.
        if self.header.contains_key("crit") {
            return Err(AuthError::InvalidToken);
        }
        match self.header.get("kid") {
            None => Ok((algorithm, None)),
            Some(Value::String(kid)) => Ok((algorithm, Some(kid))),
            Some(_) => Err(AuthError::InvalidToken),
        }
    }

    /// The issuer that the token claims to be of; only good for choosing who is to check it.
    pub(crate) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::MalformedCredentials)
}

fn decode_object(part: &str) -> Result<Map<String, Value>, AuthError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| AuthError::MalformedCredentials)
}
