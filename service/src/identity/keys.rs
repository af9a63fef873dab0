//! Keys that verify tokens, each bound to one algorithm.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

use super::{AuthError, IdentityConfigError};

/// The shortest accepted HS256 secret, in bytes (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The algorithms that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// The name in a token's header. Names are compared exactly: `none`, `NONE` and `hs256` are unknown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa].into_iter().find(|known| known.name() == name)
    }

    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// One key that verifies tokens of one algorithm.
///
/// The algorithm belongs to the key, not to the token: a token whose header says otherwise is refused, so that
/// a public key never serves as an HMAC secret.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Option<String>,
    algorithm: SigningAlgorithm,
    key: DecodingKey,
}

impl VerificationKey {
    /// An HS256 secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::InvalidKey`]: the secret is too short, or it is PEM text.
    pub fn hs256(secret: &[u8]) -> Result<Self, IdentityConfigError> {
        check_secret(secret)?;
        Ok(Self::bind(SigningAlgorithm::Hs256, DecodingKey::from_secret(secret)))
    }

    /// An RS256 public key as PEM: `PUBLIC KEY` or `RSA PUBLIC KEY`, 2048 to 8192 bits.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::InvalidKey`]: the text is not such a key.
    pub fn rs256_pem(pem: &[u8]) -> Result<Self, IdentityConfigError> {
        Self::public_pem(SigningAlgorithm::Rs256, pem, DecodingKey::from_rsa_pem)
    }

    /// An ES256 public key on P-256 as PEM, `PUBLIC KEY`.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::InvalidKey`]: the text is not such a key.
    pub fn es256_pem(pem: &[u8]) -> Result<Self, IdentityConfigError> {
        Self::public_pem(SigningAlgorithm::Es256, pem, DecodingKey::from_ec_pem)
    }

    /// An Ed25519 public key as PEM, `PUBLIC KEY`.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::InvalidKey`]: the text is not such a key.
    pub fn eddsa_pem(pem: &[u8]) -> Result<Self, IdentityConfigError> {
        Self::public_pem(SigningAlgorithm::EdDsa, pem, DecodingKey::from_ed_pem)
    }

    fn public_pem(
        algorithm: SigningAlgorithm,
        pem: &[u8],
        read: fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>,
    ) -> Result<Self, IdentityConfigError> {
        let refused = |reason| IdentityConfigError::InvalidKey { algorithm: algorithm.name(), reason };
        // Private keys and certificates would be read too, and then fit no signature.
        if !is_pem_of(pem, "PUBLIC KEY") {
            return Err(refused("expected PEM text with a public key, `-----BEGIN PUBLIC KEY-----`"));
        }
        let key = read(pem).map_err(|_| refused("the PEM text does not hold a key of this algorithm"))?;
        check_public(algorithm, &key).map_err(refused)?;
        Ok(Self::bind(algorithm, key))
    }

    fn bind(algorithm: SigningAlgorithm, key: DecodingKey) -> Self {
        Self { kid: None, algorithm, key }
    }

    /// The same key under this `kid`. Without one it serves only tokens without `kid`.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The algorithm that the key is bound to.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    pub(crate) fn decoding_key(&self) -> &DecodingKey {
        &self.key
    }

    /// `Ok(None)`: a key for something else, which a set may hold.
    fn from_jwk(jwk: &Value, accepts_secrets: bool) -> Result<Option<Self>, &'static str> {
        if jwk.get("kty").and_then(Value::as_str) == Some("oct") && !accepts_secrets {
            return Err("it holds a symmetric key (`oct`), which a URL must never publish");
        }
        let Ok(jwk) = serde_json::from_value::<Jwk>(jwk.clone()) else {
            return Ok(None);
        };
        let common = &jwk.common;
        let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !is_for_signatures || !verifies {
            return Ok(None);
        }
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (SigningAlgorithm::Rs256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                let is_coordinate = |text: &str| decode(text).is_some_and(|bytes| bytes.len() == 32);
                if !is_coordinate(&key.x) || !is_coordinate(&key.y) {
                    return Ok(None);
                }
                (SigningAlgorithm::Es256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (SigningAlgorithm::EdDsa, KeyAlgorithm::EdDSA)
            }
            AlgorithmParameters::OctetKey(_) => (SigningAlgorithm::Hs256, KeyAlgorithm::HS256),
            _ => return Ok(None),
        };
        // A secret could be for anything; it must say that it is for HS256.
        let fits = match common.key_algorithm {
            Some(stated) => stated == named,
            None => algorithm != SigningAlgorithm::Hs256,
        };
        let Ok(key) = DecodingKey::from_jwk(&jwk) else {
            return Ok(None);
        };
        let is_usable = match (algorithm, key.kind()) {
            (SigningAlgorithm::Hs256, DecodingKeyKind::SecretOrDer(secret)) => check_secret(secret).is_ok(),
            _ => check_public(algorithm, &key).is_ok(),
        };
        let bound = Self { kid: common.key_id.clone(), algorithm, key };
        Ok((fits && is_usable).then_some(bound))
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The keys among which a token's header chooses.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

impl KeySet {
    /// A set of these keys.
    ///
    /// # Errors
    ///
    /// - [`IdentityConfigError::NoKeys`]: there is none.
    /// - [`IdentityConfigError::DuplicateKey`]: two of one algorithm have the same `kid`.
    pub fn new(keys: impl IntoIterator<Item = VerificationKey>) -> Result<Self, IdentityConfigError> {
        let keys = Vec::from_iter(keys);
        if keys.is_empty() {
            return Err(IdentityConfigError::NoKeys);
        }
        for (at, key) in keys.iter().enumerate() {
            let is_same = |other: &VerificationKey| {
                key.kid.is_some() && other.kid == key.kid && other.algorithm == key.algorithm
            };
            if keys[..at].iter().any(is_same) {
                return Err(IdentityConfigError::DuplicateKey { algorithm: key.algorithm.name() });
            }
        }
        Ok(Self { keys })
    }

    /// The usable keys of a JWK set (RFC 7517), from configuration.
    ///
    /// Keys for encryption and of other algorithms are left out. An `oct` key must state `"alg":"HS256"`.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::InvalidKeySet`]: the text is not a JWK set, or holds no usable key.
    pub fn from_jwks(json: &str) -> Result<Self, IdentityConfigError> {
        Self::read_jwks(json.as_bytes(), true)
    }

    /// The usable keys of a JWK set that came from a URL, where a secret has no place.
    #[cfg(feature = "jwks")]
    pub(crate) fn from_published_jwks(json: &[u8]) -> Result<Self, IdentityConfigError> {
        Self::read_jwks(json, false)
    }

    fn read_jwks(json: &[u8], accepts_secrets: bool) -> Result<Self, IdentityConfigError> {
        let refused = |reason| IdentityConfigError::InvalidKeySet { reason };
        let set: Value = serde_json::from_slice(json).map_err(|_| refused("it is not JSON"))?;
        let listed = set.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| refused("it has no array `keys`"))?;
        let mut keys = Vec::new();
        for jwk in listed {
            keys.extend(VerificationKey::from_jwk(jwk, accepts_secrets).map_err(refused)?);
        }
        if keys.is_empty() {
            return Err(refused(
                "it holds no usable key: RS256 from 2048 bits, ES256, EdDSA, HS256 from 32 bytes",
            ));
        }
        Self::new(keys)
    }

    /// The key of a token: by `kid`, or the only one of the algorithm when the token names none.
    pub(crate) fn select(
        &self,
        algorithm: SigningAlgorithm,
        kid: Option<&str>,
    ) -> Result<&VerificationKey, AuthError> {
        match kid {
            Some(kid) => {
                let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
                if named.peek().is_none() {
                    return Err(AuthError::UnknownKey);
                }
                named.find(|key| key.algorithm == algorithm).ok_or(AuthError::UnsupportedAlgorithm)
            }
            None => {
                let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm);
                let first = fitting.next().ok_or(AuthError::UnsupportedAlgorithm)?;
                if fitting.next().is_some() { Err(AuthError::UnknownKey) } else { Ok(first) }
            }
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

pub(crate) fn check_secret(secret: &[u8]) -> Result<(), IdentityConfigError> {
    let refused = |reason| IdentityConfigError::InvalidKey { algorithm: "HS256", reason };
    if secret.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(refused("it is PEM text; a public key must never serve as a secret"));
    }
    if secret.len() < MIN_SECRET_BYTES {
        return Err(refused("the secret has less than 32 bytes; use 32 random bytes"));
    }
    Ok(())
}

/// Whether the first label of the PEM text ends in `label`.
pub(crate) fn is_pem_of(pem: &[u8], label: &str) -> bool {
    let text = std::str::from_utf8(pem).unwrap_or_default();
    let first = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----"));
    first.is_some_and(|(found, _)| found == label || found.strip_suffix(label) == Some("RSA "))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Holds a public key against what its algorithm accepts, so that a bad one is found when it is loaded.
fn check_public(algorithm: SigningAlgorithm, key: &DecodingKey) -> Result<(), &'static str> {
    match (algorithm, key.kind()) {
        (SigningAlgorithm::Rs256, DecodingKeyKind::SecretOrDer(der)) => {
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
                .map(drop)
                .map_err(|_| "an RSA key of 2048 to 8192 bits is needed")
        }
        (SigningAlgorithm::Rs256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let significant = n.iter().skip_while(|byte| **byte == 0).count();
            let is_odd = e.last().is_some_and(|byte| byte & 1 == 1) && e.as_slice() != [1];
            if (256..=1024).contains(&significant) && is_odd {
                Ok(())
            } else {
                Err("an RSA key of 2048 to 8192 bits is needed")
            }
        }
        (SigningAlgorithm::Es256, DecodingKeyKind::SecretOrDer(point)) => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .map(drop)
                .map_err(|_| "a point on the curve P-256 is needed")
        }
        (SigningAlgorithm::EdDsa, DecodingKeyKind::SecretOrDer(point)) => {
            if point.len() != 32 {
                return Err("an Ed25519 key has 32 bytes");
            }
            ParsedPublicKey::new(&ED25519, point).map(drop).map_err(|_| "a point on Ed25519 is needed")
        }
        _ => Err("the key is of another kind than its algorithm"),
    }
}
