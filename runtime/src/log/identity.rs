//! `ledger.json`: which ledger a directory holds, and the public keys of its checkpoints.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::signer::Signer;
use crate::event::SCHEMA_VERSION;
use crate::ids::{LedgerId, decode_hex, encode_hex};

/// The file's name, relative to the ledger's directory.
pub(crate) const IDENTITY_NAME: &str = "ledger.json";

/// The contents of `ledger.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerIdentity {
    pub(crate) schema_version: u32,
    kind: IdentityKind,
    pub(crate) ledger_id: LedgerId,
    /// In microseconds since 1970.
    pub(crate) created_at: i64,
    /// Every key that ever signed a checkpoint of this ledger, oldest first.
    pub(crate) keys: Vec<ListedKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IdentityKind {
    Ledger,
}

/// A public key and the name under which checkpoints refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedKey {
    pub(crate) key_id: String,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) public_key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyAlgorithm {
    Ed25519,
}

/// An Ed25519 public key; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey(pub(crate) [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; 64];
        encode_hex(&self.0, &mut hex);
        f.pad(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key = decode_hex(&text).map(Self);
        key.ok_or_else(|| serde::de::Error::custom("a public key has 64 lower-case hexadecimal digits"))
    }
}

impl LedgerIdentity {
    /// The identity of a new ledger, without keys.
    pub(crate) fn new(ledger_id: LedgerId, created_at: i64) -> Self {
        let kind = IdentityKind::Ledger;
        Self { schema_version: SCHEMA_VERSION, kind, ledger_id, created_at, keys: Vec::new() }
    }

    /// Reads the file's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let identity: Self = serde_json::from_slice(bytes)?;
        if identity.schema_version == SCHEMA_VERSION {
            return Ok(identity);
        }
        let version = identity.schema_version;
        Err(serde::de::Error::custom(format_args!("version {version} is not read, only {SCHEMA_VERSION}")))
    }

    /// The file's bytes: one JSON object and a newline.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Lists a signer's key; false when it stands there already. The file must hold the key before the
    /// first checkpoint that it signs is written.
    pub(crate) fn add_key(&mut self, signer: &dyn Signer) -> bool {
        let public_key = PublicKey(signer.public_key());
        if self.keys.iter().any(|key| key.key_id == signer.key_id() && key.public_key == public_key) {
            return false;
        }
        let key_id = signer.key_id().to_owned();
        self.keys.push(ListedKey { key_id, algorithm: KeyAlgorithm::Ed25519, public_key });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::heads::tests::ledger_id;
    use super::super::signer::Ed25519Signer;
    use super::*;

    #[test]
    fn keys_are_listed_once_and_read_back() {
        let mut identity = LedgerIdentity::new(ledger_id(), 7);
        let signer = Ed25519Signer::fixed_for_tests();
        assert!(identity.add_key(&signer));
        assert!(!identity.add_key(&signer));
        assert!(identity.add_key(&Ed25519Signer::from_seed([1; 32])));
        let bytes = identity.encode().unwrap();
        assert_eq!(LedgerIdentity::parse(&bytes).unwrap(), identity);
        let later = String::from_utf8(bytes).unwrap().replace("\"schema_version\":1", "\"schema_version\":2");
        assert!(LedgerIdentity::parse(later.as_bytes()).is_err());
    }
}
