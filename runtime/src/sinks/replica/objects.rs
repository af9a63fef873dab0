//! The objects of a replica: created once, listed, read. Each request has a time limit.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future::try_join_all};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::{Builder, Runtime};

use super::settings::{ReplicaSettings, Target};

/// How many objects are read at once.
const READ_AT_ONCE: usize = 8;

/// How many names a store gives in one answer.
const PAGE_NAMES: usize = 1_000;

/// What creating an object came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    /// There is one of that name.
    Exists,
}

/// A request failed.
#[derive(Debug)]
pub(crate) struct ObjectError {
    /// What was attempted, on what.
    pub(crate) attempted: String,
    pub(crate) reason: Reason,
    /// Whether it cannot work before somebody changes something.
    pub(crate) is_lasting: bool,
    /// Whether the object is not there.
    pub(crate) is_absent: bool,
}

/// Why a request failed, in words without secrets.
#[derive(Debug)]
pub(crate) struct Reason(pub(crate) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

/// A store, and the threads that speak to it.
///
/// Requests run on a runtime of their own and are waited for on a channel, so that calling from the thread of
/// another runtime blocks it, but never panics.
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    prefix: Path,
    /// Set when the store is a directory.
    directory: Option<PathBuf>,
    timeout: Duration,
    /// What must not be in an error.
    secrets: Vec<String>,
    target: String,
}

impl Objects {
    /// Prepares a store; connects to nothing. `creates` makes a directory that is not there.
    pub(crate) fn open(settings: &ReplicaSettings, creates: bool) -> Result<Self, ObjectError> {
        let target = match settings.prefix.is_empty() {
            true => settings.target.to_string(),
            false => format!("{}/{}", settings.target, settings.prefix),
        };
        let secrets: Vec<String> = settings.options.values().cloned().collect();
        let failed = |reason: String, is_lasting| ObjectError {
            attempted: format!("open the replica in {target}"),
            reason: Reason(without_secrets(reason, &secrets)),
            is_lasting,
            is_absent: false,
        };
        let store = match &settings.target {
            Target::Directory(path) => {
                if creates {
                    std::fs::create_dir_all(path).map_err(|error| failed(error.to_string(), false))?;
                }
                let store = LocalFileSystem::new_with_prefix(path);
                Arc::new(store.map_err(|error| failed(error.to_string(), false))?.with_fsync(true)) as Arc<_>
            }
            Target::Bucket(..) => {
                bucket(settings).map_err(|error| failed(error.to_string(), is_lasting(&error)))?
            }
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dataset-events-replica")
            .enable_all()
            .build()
            .map_err(|error| failed(format!("start its thread: {error}"), false))?;
        let directory = match &settings.target {
            Target::Directory(path) => Some(path.clone()),
            Target::Bucket(..) => None,
        };
        let prefix = Path::from(settings.prefix.as_str());
        let timeout = settings.request_timeout;
        Ok(Self { store, runtime: Some(runtime), prefix, directory, timeout, secrets, target })
    }

    /// The place, for messages.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Creates an object unless there is one of that name. Durable when this returns.
    pub(crate) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<Created, ObjectError> {
        let store = Arc::clone(&self.store);
        let path = self.path(name);
        let at = self.directory.as_ref().map(|directory| directory.join(path.as_ref()));
        self.run("create", name, self.timeout, async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match store.put_opts(&path, PutPayload::from(bytes), options).await {
                Ok(_) => Ok(Created::New),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    if let Some(at) = at {
                        // A process that died may have linked it and not synced the folder.
                        tokio::task::spawn_blocking(move || sync(&at)).await??;
                    }
                    Ok(Created::Exists)
                }
                Err(error) => Err(error),
            }
        })
    }

    /// The bytes of an object.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        let store = Arc::clone(&self.store);
        let path = self.path(name);
        let work = async move { store.get(&path).await?.bytes().await };
        Ok(self.run("read", name, self.timeout, work)?.into())
    }

    /// Gives the bytes of many objects to `take`, in order; a few are read at once.
    pub(crate) fn read_each<E: From<ObjectError>>(
        &self,
        names: &[String],
        take: &mut dyn FnMut(usize, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (chunk, names) in names.chunks(READ_AT_ONCE).enumerate() {
            let reads = names.iter().map(|name| {
                let (store, path) = (Arc::clone(&self.store), self.path(name));
                async move { store.get(&path).await?.bytes().await }
            });
            let [first, ..] = names else { continue };
            let reads = try_join_all(reads.collect::<Vec<_>>());
            let timeout = self.timeout * u32::try_from(names.len()).unwrap_or(1);
            let all = self.run("read", first, timeout, reads)?;
            for (index, bytes) in all.into_iter().enumerate() {
                take(chunk * READ_AT_ONCE + index, bytes.into())?;
            }
        }
        Ok(())
    }

    /// The names of the objects in a folder, relative to it, sorted. `from` leaves out what sorts before it.
    pub(crate) fn list(&self, folder: &str, from: Option<&str>) -> Result<Vec<String>, ObjectError> {
        self.list_up_to(folder, from, usize::MAX)
    }

    /// At most so many of the names: of a directory any, of a bucket the first.
    fn list_up_to(&self, folder: &str, from: Option<&str>, most: usize) -> Result<Vec<String>, ObjectError> {
        let store = Arc::clone(&self.store);
        let path = self.path(folder);
        let offset = from.map(|from| self.path(&format!("{folder}/{from}")));
        let inside = format!("{path}/");
        let mut names = self.run("list", folder, self.timeout, async move {
            let listed = match &offset {
                Some(offset) => store.list_with_offset(Some(&path), offset),
                None => store.list(Some(&path)),
            };
            let names =
                listed.map_ok(|object| object.location.as_ref().strip_prefix(&inside).map(str::to_owned));
            names.take(most).try_collect::<Vec<_>>().await
        })?;
        names.sort_unstable();
        Ok(names.into_iter().flatten().collect())
    }

    /// As [`list`](Self::list), when that is one page of a store's listing at most; `None` when there is more.
    pub(crate) fn list_page(
        &self,
        folder: &str,
        from: Option<&str>,
    ) -> Result<Option<Vec<String>>, ObjectError> {
        let names = self.list_up_to(folder, from, PAGE_NAMES + 1)?;
        Ok((names.len() <= PAGE_NAMES).then_some(names))
    }

    /// The names of the folders below the prefix, sorted.
    pub(crate) fn folders(&self) -> Result<Vec<String>, ObjectError> {
        if let Some(directory) = self.directory.as_ref().filter(|directory| !directory.is_dir()) {
            // The client would list nothing, as if nothing had ever been stored.
            let reason = Reason(format!("{} is no directory", directory.display()));
            let attempted = format!("list {}", self.target);
            return Err(ObjectError { attempted, reason, is_lasting: false, is_absent: false });
        }
        let store = Arc::clone(&self.store);
        let path = Some(self.prefix.clone()).filter(|prefix| !prefix.as_ref().is_empty());
        let work = async move { store.list_with_delimiter(path.as_ref()).await };
        let listed = self.run("list", "", self.timeout, work)?;
        let names = listed.common_prefixes.iter().filter_map(|folder| folder.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn run<T: Send + 'static>(
        &self,
        verb: &str,
        name: &str,
        timeout: Duration,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let failed = |reason: String, is_lasting| ObjectError {
            attempted: format!("{verb} {}/{name}", self.target),
            reason: Reason(without_secrets(reason, &self.secrets)),
            is_lasting,
            is_absent: false,
        };
        let (to_caller, answer) = sync_channel(1);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // The caller waits for as long as this lives.
                let _ = to_caller.send(tokio::time::timeout(timeout, work).await);
            });
        }
        match answer.recv() {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => {
                let is_absent = matches!(error, object_store::Error::NotFound { .. });
                Err(ObjectError { is_absent, ..failed(error.to_string(), is_lasting(&error)) })
            }
            Ok(Err(_)) => Err(failed(format!("no answer within {timeout:?}"), false)),
            Err(_) => Err(failed("its thread has ended".to_owned(), false)),
        }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: a request that hangs must not hold up the one who gives it up.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Makes a file and its place in its folder durable.
fn sync(path: &std::path::Path) -> object_store::Result<()> {
    let synced = || {
        std::fs::File::open(path)?.sync_all()?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    synced().map_err(|error: std::io::Error| object_store::Error::Generic {
        store: "directory",
        source: error.into(),
    })
}

/// Whether an error stays until somebody changes something. Refused credentials do not: they are renewed.
fn is_lasting(error: &object_store::Error) -> bool {
    use object_store::Error;
    matches!(
        error,
        Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

/// The text without values of options, and without the queries of addresses: a query can be a signature.
fn without_secrets(text: String, secrets: &[String]) -> String {
    let mut text = text;
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        text = text.replace(secret.as_str(), "***");
    }
    let words = text.split_inclusive(char::is_whitespace).map(|word| match word.split_once('?') {
        Some((address, query)) if address.contains("://") => {
            let end = query.trim_start_matches(|c: char| !c.is_whitespace());
            format!("{address}?***{end}")
        }
        _ => word.to_owned(),
    });
    words.collect()
}

/// The client of a bucket. The address has been checked when the settings were made.
fn bucket(settings: &ReplicaSettings) -> object_store::Result<Arc<dyn ObjectStore>> {
    #[cfg(any(feature = "replica-s3", feature = "replica-gcs", feature = "replica-azure"))]
    macro_rules! client {
        ($builder:ty, $address:expr) => {{
            let mut builder = <$builder>::from_env().with_url($address);
            let limits =
                [("timeout", settings.request_timeout), ("connect_timeout", settings.request_timeout)];
            for (name, limit) in limits {
                if !settings.options.contains_key(name) {
                    builder = builder.with_config(name.parse()?, format!("{}ms", limit.as_millis()));
                }
            }
            for (name, value) in &settings.options {
                builder = builder.with_config(name.parse()?, value);
            }
            let retry = object_store::RetryConfig {
                max_retries: 2,
                retry_timeout: settings.request_timeout,
                ..object_store::RetryConfig::default()
            };
            Ok(Arc::new(builder.with_retry(retry).build()?))
        }};
    }
    match &settings.target {
        #[cfg(feature = "replica-s3")]
        Target::Bucket(super::settings::Service::S3, address) => {
            client!(object_store::aws::AmazonS3Builder, address)
        }
        #[cfg(feature = "replica-gcs")]
        Target::Bucket(super::settings::Service::Gcs, address) => {
            client!(object_store::gcp::GoogleCloudStorageBuilder, address)
        }
        #[cfg(feature = "replica-azure")]
        Target::Bucket(super::settings::Service::Azure, address) => {
            client!(object_store::azure::MicrosoftAzureBuilder, address)
        }
        other => Err(object_store::Error::NotSupported { source: format!("no client for {other}").into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(directory: &std::path::Path, prefix: &str) -> Objects {
        let settings = ReplicaSettings::directory(directory).prefix(prefix).unwrap();
        Objects::open(&settings, true).unwrap()
    }

    #[test]
    fn an_object_is_created_once_and_keeps_its_first_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let objects = objects(&directory.path().join("new"), "a/b");
        assert_eq!(objects.create("x/1.ndjson", b"one".to_vec()).unwrap(), Created::New);
        assert_eq!(objects.create("x/1.ndjson", b"two".to_vec()).unwrap(), Created::Exists);
        assert_eq!(objects.read("x/1.ndjson").unwrap(), b"one");
        assert_eq!(std::fs::read(directory.path().join("new/a/b/x/1.ndjson")).unwrap(), b"one");
        assert!(objects.read("x/2.ndjson").unwrap_err().attempted.contains("x/2.ndjson"));
    }

    #[test]
    fn a_listing_of_more_than_a_page_is_none_where_a_page_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let objects = objects(directory.path(), "p");
        std::fs::create_dir_all(directory.path().join("p/x")).unwrap();
        for number in 0..=PAGE_NAMES {
            std::fs::write(directory.path().join(format!("p/x/{number:04}")), "").unwrap();
        }
        assert_eq!(objects.list_page("x", None).unwrap(), None);
        assert_eq!(objects.list("x", None).unwrap().len(), PAGE_NAMES + 1);
        assert_eq!(objects.list_page("x", Some("0000")).unwrap().map(|names| names.len()), Some(PAGE_NAMES));
    }

    #[test]
    fn listings_are_relative_sorted_and_begin_where_asked() {
        let directory = tempfile::tempdir().unwrap();
        let objects = objects(directory.path(), "p");
        assert!(objects.list("x", None).unwrap().is_empty());
        for name in ["x/2/b", "x/1/a", "x/1/b", "y/1/a"] {
            objects.create(name, name.into()).unwrap();
        }
        assert_eq!(objects.list("x", None).unwrap(), ["1/a", "1/b", "2/b"]);
        assert_eq!(objects.list("x", Some("2")).unwrap(), ["2/b"]);
        assert_eq!(objects.list_page("x", None).unwrap().unwrap(), ["1/a", "1/b", "2/b"]);
        assert_eq!(objects.folders().unwrap(), ["x", "y"]);
        let names = ["x/2/b".to_owned(), "x/1/a".to_owned()];
        let mut seen = Vec::new();
        objects
            .read_each::<ObjectError>(&names, &mut |index, bytes| {
                seen.push((index, bytes));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [(0, b"x/2/b".to_vec()), (1, b"x/1/a".to_vec())]);
    }

    #[test]
    fn a_source_does_not_make_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let error = Objects::open(&ReplicaSettings::directory(&gone), false).unwrap_err();
        assert!(!error.is_lasting && error.attempted.contains("gone"), "{error:?}");
        assert!(!gone.exists());
    }

    #[test]
    fn calling_from_a_runtime_works() {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let objects = objects(directory.path(), "");
            objects.create("x", b"one".to_vec()).unwrap();
            assert_eq!(objects.read("x").unwrap(), b"one");
        });
    }

    #[test]
    fn secrets_are_taken_out_of_errors() {
        let text = "PUT https://a.example/c/x?sig=abc%3D in 3 s: key hunter2 refused".to_owned();
        assert_eq!(
            without_secrets(text, &["hunter2".into(), "s".into()]),
            "PUT https://a.example/c/x?*** in 3 s: key *** refused"
        );
        assert_eq!(without_secrets("why? because".into(), &[]), "why? because");
    }
}
