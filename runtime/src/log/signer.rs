//! Who signs checkpoints: a trait, and Ed25519 with a key in a file.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::ed25519::signature::Signer as _;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::ids::{decode_hex, encode_hex};

/// Signs checkpoints with Ed25519 (RFC 8032).
///
/// A key beside the ledger shows tampering by whoever cannot read it. Against the machine's own
/// administrator, implement this trait over a key that the machine does not hold: a KMS, an HSM, an agent.
///
/// [`sign`](Self::sign) is called on the ledger's own thread, at most about once a second; it may block.
/// When it fails, so does the ledger, as when a write fails: what is recorded stays in the journal, `durable`
/// calls are refused, and [`health`](crate::Ledger::health) says why, until the ledger is opened again.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The name under which `ledger.json` lists the public key: 1 to 256 printable characters.
    fn key_id(&self) -> &str;
    /// The Ed25519 public key.
    fn public_key(&self) -> [u8; 32];
    /// The Ed25519 signature over exactly these bytes.
    ///
    /// # Errors
    ///
    /// When the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A signer could not sign.
#[derive(Debug)]
pub struct SignError {
    key_id: String,
    source: Box<dyn Error + Send + Sync>,
}

impl SignError {
    /// Makes the error of the signer with this key id.
    pub fn new(key_id: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { key_id: key_id.into(), source: source.into() }
    }

    /// The key that was to sign.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sign a checkpoint with key {}", self.key_id)
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// An Ed25519 key held in this process.
///
/// Its key id is the first 16 hexadecimal digits of the SHA-256 of the public key.
pub struct Ed25519Signer {
    key: SigningKey,
    key_id: String,
}

impl Ed25519Signer {
    /// Makes the signer of a 32-byte seed (the secret key of RFC 8032).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let key_id = key_id_of(key.verifying_key().as_bytes());
        Self { key, key_id }
    }

    /// Makes a signer of a fresh random key that is stored nowhere.
    ///
    /// # Errors
    ///
    /// [`KeyError::Entropy`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_seed(random_seed()?))
    }

    /// A key that everybody knows, for reproducible runs. It proves nothing.
    pub fn fixed_for_tests() -> Self {
        Self::from_seed([0x42; 32])
    }

    /// Reads the key in a file; when the file is absent, makes a random key and writes it there first.
    ///
    /// The file holds 64 lower-case hexadecimal digits and a newline, with mode 0600. It is complete and
    /// on disk, or absent, at any instant.
    ///
    /// # Errors
    ///
    /// - [`KeyError::Io`] when the file cannot be read or made.
    /// - [`KeyError::Malformed`] when it holds something else than a key.
    /// - [`KeyError::Exposed`] when its mode lets group or others at it.
    /// - [`KeyError::Entropy`] when a key is to be made and the operating system gives no random bytes.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        match File::open(path) {
            Ok(file) => read_key(file, path).map(Self::from_seed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = random_seed()?;
                write_key(path, &seed).map_err(|source| KeyError::io("make", path, source))?;
                Ok(Self::from_seed(seed))
            }
            Err(source) => Err(KeyError::io("open", path, source)),
        }
    }
}

/// The id of a public key: the first 16 hexadecimal digits of its SHA-256.
fn key_id_of(public_key: &[u8; 32]) -> String {
    let digest: [u8; 32] = Sha256::digest(public_key).into();
    hex(&digest[..8])
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = vec![0; bytes.len() * 2];
    encode_hex(bytes, &mut hex);
    hex.into_iter().map(char::from).collect()
}

fn random_seed() -> Result<[u8; 32], KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| KeyError::Entropy { source: io::Error::other(error.to_string()) })?;
    Ok(seed)
}

fn read_key(file: File, path: &Path) -> Result<[u8; 32], KeyError> {
    let io_error = |source| KeyError::io("read", path, source);
    let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(io_error)?;
    decode_hex(text.trim_end()).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
}

fn write_key(path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    // What a crash left here was never used as a key, and may have been made with another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(hex(seed).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

impl Signer for Ed25519Signer {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match self.key.try_sign(message) {
            Ok(signature) => Ok(signature.to_bytes()),
            Err(error) => Err(SignError::new(&self.key_id, error)),
        }
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Whether a signature over these bytes was made with the secret half of this public key.
pub(crate) fn is_signed_by(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    // `verify_strict` refuses weak keys, under which a signature may fit more than one message.
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// A signing key could not be read or made.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file could not be read or made.
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// The key file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file does not hold 64 lower-case hexadecimal digits.
    Malformed {
        /// The key file.
        path: PathBuf,
    },
    /// Group or others may read or write the file.
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The operating system gave no random bytes.
    Entropy {
        /// Why not.
        source: io::Error,
    },
}

impl KeyError {
    fn io(attempted: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { attempted, path: path.to_owned(), source }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { attempted, path, .. } => write!(f, "{attempted} the signing key {}", path.display()),
            Self::Malformed { path } => write!(
                f,
                "the signing key {} does not hold 64 lower-case hexadecimal digits; restore it from a copy",
                path.display()
            ),
            Self::Exposed { path, mode } => write!(
                f,
                "the signing key {path} has mode {mode:04o}; others may have read it: use a new key, or run `chmod 600 {path}`",
                path = path.display()
            ),
            Self::Entropy { .. } => {
                f.write_str("make a signing key: the operating system gave no random bytes")
            }
        }
    }
}

impl Error for KeyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Entropy { source } => Some(source),
            Self::Malformed { .. } | Self::Exposed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signs_as_the_rfc_says() {
        let seed =
            decode_hex::<32>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let signer = Ed25519Signer::from_seed(seed);
        assert_eq!(
            hex(&signer.public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        let signature = signer.sign(&[0x72]).unwrap();
        assert!(
            hex(&signature).starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
        );
        assert!(is_signed_by(&signer.public_key(), &[0x72], &signature));
        assert!(!is_signed_by(&signer.public_key(), &[0x73], &signature));
    }

    #[test]
    fn weak_keys_are_refused() {
        // The neutral element as key and as R, zero as S: fits every message under the lax rule.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!is_signed_by(&neutral, b"anything", &signature));
    }

    #[test]
    fn key_file_is_made_once_with_mode_0600_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger").join("key");
        let first = Ed25519Signer::from_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Ed25519Signer::from_file(&path).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(first.key_id(), second.key_id());
        assert_ne!(first.public_key(), Ed25519Signer::generate().unwrap().public_key());
    }

    #[test]
    fn exposed_and_malformed_key_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Ed25519Signer::from_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Ed25519Signer::from_file(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a key\n").unwrap();
        assert!(matches!(Ed25519Signer::from_file(&path), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn debug_shows_no_secret() {
        let signer = Ed25519Signer::fixed_for_tests();
        assert_eq!(format!("{signer:?}"), format!("Ed25519Signer {{ key_id: {:?}, .. }}", signer.key_id()));
    }
}
