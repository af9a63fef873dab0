//! Where a replica lies, and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azure,
}

impl Service {
    /// By the scheme of an address.
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Gcs),
            "az" | "abfs" | "abfss" => Some(Self::Azure),
            _ => None,
        }
    }

    /// The feature that it needs, and whether this program has it.
    fn feature(self) -> (&'static str, bool) {
        match self {
            Self::S3 => ("replica-s3", cfg!(feature = "replica-s3")),
            Self::Gcs => ("replica-gcs", cfg!(feature = "replica-gcs")),
            Self::Azure => ("replica-azure", cfg!(feature = "replica-azure")),
        }
    }
}

/// The place of a replica, without its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Directory(PathBuf),
    /// `scheme://bucket`, without a path.
    Bucket(Service, String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket(_, address) => f.write_str(address),
        }
    }
}

/// Where a replica lies, and how it is reached. Nothing is connected to before the sink is opened.
///
/// ```
/// # use std::time::Duration;
/// use dataset_events::sinks::replica::ReplicaSettings;
///
/// let settings = ReplicaSettings::directory("/mnt/audit")
///     .prefix("chat/prod")?
///     .object_bytes(4 << 20)
///     .request_timeout(Duration::from_secs(10));
/// # let _ = settings;
/// # Ok::<_, dataset_events::sinks::replica::InvalidReplica>(())
/// ```
///
/// Credentials are not settings: they come from the environment, by the names that the client of the store reads
/// (`AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_CLIENT_ID`, ..) or
/// from the machine's own identity. What is given by [`option`](Self::option) goes before the environment; its
/// values are in no output.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaSettings {
    pub(crate) target: Target,
    pub(crate) prefix: String,
    pub(crate) object_bytes: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) options: BTreeMap<String, String>,
}

impl ReplicaSettings {
    /// The default of [`object_bytes`](Self::object_bytes): 8 MiB.
    pub const OBJECT_BYTES: usize = 8 << 20;
    /// The default of [`request_timeout`](Self::request_timeout): 30 seconds.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

    /// The place with its prefix.
    pub(super) fn address(&self) -> String {
        match self.prefix.as_str() {
            "" => self.target.to_string(),
            prefix => format!("{}/{prefix}", self.target),
        }
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            prefix: String::new(),
            object_bytes: Self::OBJECT_BYTES,
            request_timeout: Self::REQUEST_TIMEOUT,
            options: BTreeMap::new(),
        }
    }

    /// A directory, on another disk or a mounted volume. The sink makes it when it is not there.
    pub fn directory(path: impl AsRef<Path>) -> Self {
        Self::new(Target::Directory(path.as_ref().to_owned()))
    }

    /// An address: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
    /// `abfss://container@account.dfs.core.windows.net/prefix`, `file:///directory`.
    ///
    /// # Errors
    ///
    /// [`InvalidReplica`] when the address is none of these, holds a password or a query, or needs a feature that the
    /// program was built without.
    pub fn url(address: &str) -> Result<Self, InvalidReplica> {
        let refuse = |reason: &str| Err(InvalidReplica(reason.to_owned()));
        let Some((scheme, rest)) = address.split_once("://") else {
            return refuse(
                "the address of a replica is `s3://`, `gs://`, `az://`, `abfss://` or `file:///` and a place",
            );
        };
        if scheme == "file" {
            return match rest.starts_with('/') && !rest.contains(['?', '#', '%']) {
                true => Ok(Self::directory(rest)),
                false => refuse("a directory is given as `file:///absolute/path`, without `%`, `?` and `#`"),
            };
        }
        let Some(service) = Service::of_scheme(scheme) else {
            return refuse(
                "unknown scheme in the address of a replica; accepted: s3, s3a, gs, az, abfs, abfss, file",
            );
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // The address is shown in the status and in errors.
        if bucket.contains(':') || rest.contains(['?', '#']) {
            return refuse(
                "the address of a replica holds no port, password or query; give credentials in the environment",
            );
        }
        if bucket.is_empty() {
            return refuse("the address of a replica names no bucket");
        }
        let (feature, is_built) = service.feature();
        if !is_built {
            return Err(InvalidReplica(format!(
                "the program was built without the feature `{feature}`, which `{scheme}://` needs"
            )));
        }
        Self::new(Target::Bucket(service, format!("{scheme}://{bucket}")))
            .prefix(prefix.trim_end_matches('/'))
    }

    /// Puts all objects under a prefix: parts of `[A-Za-z0-9._=-]` with `/` between them. By default there is none.
    /// Several ledgers share a prefix; each has its own folder in it.
    ///
    /// # Errors
    ///
    /// [`InvalidReplica`] when a part is empty, `.` or `..`, or has another character.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, InvalidReplica> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._=-".contains(c);
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_allowed);
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(InvalidReplica(
                "the prefix of a replica has parts of `[A-Za-z0-9._=-]`, not `.` or `..`, with `/` between them".into(),
            ));
        }
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    /// At most so many bytes of the log in one object, but always a whole line. Defaults to 8 MiB; at least 64 KiB, at
    /// most 256 MiB. What one batch holds is stored at once, so that objects are smaller while little is written.
    pub fn object_bytes(mut self, bytes: usize) -> Self {
        self.object_bytes = bytes.clamp(64 << 10, 256 << 20);
        self
    }

    /// How long one request may take, repeats by the client included. Defaults to 30 seconds; at least 100 ms.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.max(Duration::from_millis(100));
        self
    }

    /// Sets an option of the store's client by its name in `object_store`: `aws_endpoint`, `aws_region`, `allow_http`,
    /// `google_service_account_path`, `azure_storage_account_name`, .. It goes before the environment.
    ///
    /// # Errors
    ///
    /// [`InvalidReplica`] when the client has no option of that name, or the replica is a directory.
    pub fn option(mut self, name: &str, value: &str) -> Result<Self, InvalidReplica> {
        let is_known = match &self.target {
            Target::Directory(_) => false,
            Target::Bucket(service, _) => knows_option(*service, name),
        };
        if !is_known {
            return Err(InvalidReplica(format!("the client of {} has no option `{name}`", self.target)));
        }
        self.options.insert(name.to_owned(), value.to_owned());
        Ok(self)
    }
}

/// Whether the client of a store has an option.
fn knows_option(service: Service, name: &str) -> bool {
    match service {
        #[cfg(feature = "replica-s3")]
        Service::S3 => name.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok(),
        #[cfg(feature = "replica-gcs")]
        Service::Gcs => name.parse::<object_store::gcp::GoogleConfigKey>().is_ok(),
        #[cfg(feature = "replica-azure")]
        Service::Azure => name.parse::<object_store::azure::AzureConfigKey>().is_ok(),
        #[allow(unreachable_patterns, reason = "which of the arms there are depends on the features")]
        _ => {
            let _ = name;
            false
        }
    }
}

impl fmt::Debug for ReplicaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaSettings")
            .field("target", &format_args!("{}", self.target))
            .field("prefix", &self.prefix)
            .field("object_bytes", &self.object_bytes)
            .field("request_timeout", &self.request_timeout)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Settings that name no place that a replica can be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidReplica(String);

impl fmt::Display for InvalidReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidReplica {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_file_address_are_the_same() {
        let settings = ReplicaSettings::url("file:///mnt/audit").unwrap();
        assert_eq!(settings, ReplicaSettings::directory("/mnt/audit"));
        assert_eq!(settings.target.to_string(), "/mnt/audit");
    }

    #[cfg(feature = "replica-s3")]
    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        let settings = ReplicaSettings::url("s3://audit/chat/prod/").unwrap();
        assert_eq!(settings.target, Target::Bucket(Service::S3, "s3://audit".into()));
        assert_eq!(settings.prefix, "chat/prod");
        assert_eq!(ReplicaSettings::url("s3://audit").unwrap().prefix, "");
    }

    #[test]
    fn addresses_that_cannot_be_used_or_hold_secrets_are_refused_without_repeating_them() {
        for address in [
            "audit",
            "ftp://audit/chat",
            "s3://user:hunter2@audit",
            "s3://audit?secret=hunter2",
            "s3://",
            "s3:///chat",
            "s3://audit/../chat",
            "s3://audit//chat",
            "s3://audit/a b",
            "file://host/chat",
        ] {
            let error = ReplicaSettings::url(address).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.is_empty(), "{address}: {error}");
        }
    }

    #[cfg(not(feature = "replica-gcs"))]
    #[test]
    fn a_store_without_its_feature_is_refused_with_the_feature() {
        let error = ReplicaSettings::url("gs://audit").unwrap_err().to_string();
        assert!(error.contains("`replica-gcs`"), "{error}");
    }

    #[cfg(feature = "replica-s3")]
    #[test]
    fn options_are_known_by_name_and_their_values_are_not_shown() {
        let settings = ReplicaSettings::url("s3://audit").unwrap();
        let settings = settings.option("aws_secret_access_key", "hunter2").unwrap();
        let shown = format!("{settings:?}");
        assert!(shown.contains("aws_secret_access_key") && !shown.contains("hunter2"), "{shown}");
        assert!(settings.option("aws_secret", "x").is_err());
        assert!(ReplicaSettings::directory("/x").option("aws_region", "x").is_err());
    }

    #[test]
    fn sizes_and_times_have_bounds() {
        let settings = ReplicaSettings::directory("/x").object_bytes(1).request_timeout(Duration::ZERO);
        assert_eq!(settings.object_bytes, 64 << 10);
        assert_eq!(settings.request_timeout, Duration::from_millis(100));
        assert_eq!(settings.object_bytes(usize::MAX).object_bytes, 256 << 20);
    }
}
