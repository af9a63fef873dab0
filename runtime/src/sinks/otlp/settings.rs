//! Which collector, and how it is spoken to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Which collector the records go to, and how it is spoken to.
///
/// ```
/// use dataset_events::sinks::otlp::OtlpSettings;
///
/// let settings = OtlpSettings::new("https://collector:4318")?.header("api-key", "s3cret")?;
/// assert_eq!(settings.address(), "https://collector:4318/v1/logs");
/// assert!(!format!("{settings:?}").contains("s3cret"));
/// # Ok::<_, dataset_events::sinks::otlp::InvalidOtlp>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpSettings {
    pub(crate) url: reqwest::Url,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) max_request_bytes: usize,
}

impl OtlpSettings {
    /// A collector by its address, `http` or `https`. Without a path it is that of a collector, and `/v1/logs` is put
    /// behind it; with one it is the address of the logs themselves.
    ///
    /// # Errors
    ///
    /// [`InvalidOtlp`] when it is not such an address, or holds a user, a password or a query: secrets go into headers.
    pub fn new(address: &str) -> Result<Self, InvalidOtlp> {
        let refuse = |reason: &str| Err(InvalidOtlp(reason.to_owned()));
        let Ok(mut url) = reqwest::Url::parse(address) else {
            return refuse("the address of a collector is `http://host:4318` or `https://host/path`");
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return refuse("the address of a collector begins with `http://` or `https://` and a host");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return refuse(
                "the address of a collector holds no user, password or query; give secrets as headers",
            );
        }
        if matches!(url.path(), "" | "/") {
            url.set_path("/v1/logs");
        }
        Ok(Self {
            url,
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            max_request_bytes: 4 << 20,
        })
    }

    /// The address that records are sent to.
    pub fn address(&self) -> &str {
        self.url.as_str()
    }

    /// Sends a header with each request: a key, a token, a tenant of the collector's. It is in no output.
    ///
    /// # Errors
    ///
    /// [`InvalidOtlp`] when name or value cannot be in a header, or the header is the sink's own.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidOtlp> {
        let name = name.to_lowercase();
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(InvalidOtlp(format!("`{name}` cannot be the name of a header")));
        }
        if matches!(&*name, "content-type" | "content-length" | "content-encoding" | "host") {
            return Err(InvalidOtlp(format!("the header `{name}` is set by the sink")));
        }
        if reqwest::header::HeaderValue::from_str(value).is_err() {
            return Err(InvalidOtlp(format!(
                "the value of the header `{name}` has characters that no header has"
            )));
        }
        self.headers.insert(name, value.to_owned());
        Ok(self)
    }

    /// How long a request may take, its answer included. Defaults to 10 s; 100 ms to 10 min.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(100), Duration::from_secs(600));
        self
    }

    /// How large a request may be, in bytes; a batch that is larger is sent in parts, a record that is larger alone.
    /// Defaults to 4 MiB; 64 KiB to 64 MiB.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes.clamp(64 << 10, 64 << 20);
        self
    }
}

impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("url", &self.url.as_str())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("max_request_bytes", &self.max_request_bytes)
            .finish()
    }
}

/// Settings that name no collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOtlp(String);

impl fmt::Display for InvalidOtlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidOtlp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_a_collector_s() {
        let address = |text| OtlpSettings::new(text).map(|settings| settings.address().to_owned());
        assert_eq!(address("http://collector:4318").as_deref(), Ok("http://collector:4318/v1/logs"));
        assert_eq!(address("http://collector:4318/").as_deref(), Ok("http://collector:4318/v1/logs"));
        assert_eq!(address("https://api.example/otlp/logs").as_deref(), Ok("https://api.example/otlp/logs"));
    }

    #[test]
    fn addresses_and_headers_that_cannot_be_are_refused_without_their_secrets() {
        for address in
            ["collector", "ftp://collector", "http://me:hunter2@collector", "http://collector?key=hunter2"]
        {
            let error = OtlpSettings::new(address).expect_err(address).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let settings = OtlpSettings::new("http://collector").expect("an address");
        for (name, value) in [("a b", "hunter2"), ("host", "hunter2"), ("key", "hunter2\n")] {
            let error = settings.clone().header(name, value).expect_err(name).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
