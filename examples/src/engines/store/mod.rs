//! The engines' state: one SQLite file, apart from the ledger, keyed by tenant and env.
//!
//! SQLite blocks, so each transaction runs on tokio's blocking threads: one connection writes, a few
//! read beside it (write-ahead log). A transaction that has begun runs to its end even if the caller's
//! future is dropped, so that state never holds half of an operation.

mod error;
mod schema;
mod scoped;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataset_events::{RequestContext, Scope};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

pub use error::StoreError;
pub(crate) use scoped::ScopedTransaction;
pub use sources::Sources;

/// Connections that read at the same time; more would only wait for the same two cores.
const READERS: usize = 4;
/// How long a statement waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The engines' database. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    sources: Sources,
    /// SQLite has one writer at a time; waiting here instead of in its busy loop is fair and takes no thread.
    writer: Arc<AsyncMutex<Connection>>,
    readers: Arc<Readers>,
}

struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Store {
    /// Opens the database file, and makes it and its folder when they are absent.
    ///
    /// # Errors
    ///
    /// - The folder or the file cannot be made or opened.
    /// - The file is not an SQLite database, or was written by a later version.
    pub fn open(path: impl Into<PathBuf>, sources: Sources) -> Result<Self, StoreError> {
        let path = path.into();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        }
        let failed = |source| StoreError::Open { path: path.clone(), source };
        let mut writer = connect(&path).map_err(failed)?;
        schema::migrate(&mut writer).map_err(|error| match error {
            Ok(found) => StoreError::NewerSchema { path: path.clone(), found, known: schema::VERSION },
            Err(source) => failed(source),
        })?;
        let idle = (0..READERS).map(|_| connect(&path)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let readers = Readers { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS)) };
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                sources,
                writer: Arc::new(AsyncMutex::new(writer)),
                readers: Arc::new(readers),
            }),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.inner.sources.now_us()
    }

    pub(crate) fn new_id(&self, prefix: &str) -> Result<String, StoreError> {
        self.inner.sources.id(prefix).map_err(StoreError::Entropy)
    }

    /// Reads in a transaction of the context's scope: all statements see one state.
    pub(crate) async fn read<T, E>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let scope = ctx.scope().clone();
        let readers = Arc::clone(&self.inner.readers);
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::ShuttingDown { action })?;
        let path = self.inner.path.clone();
        blocking(action, move || {
            let _permit = permit;
            // Empty only after a body panicked with the connection in hand.
            let idle = lock(&readers.idle).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(&path).map_err(|source| StoreError::Open { path, source })?,
            };
            let result = run(&mut connection, TransactionBehavior::Deferred, scope, action, body);
            lock(&readers.idle).push(connection);
            result
        })
        .await
    }

    /// Writes in a transaction of the context's scope: all of `body`, or nothing when it fails.
    pub(crate) async fn write<T, E>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let scope = ctx.scope().clone();
        let mut writer = Arc::clone(&self.inner.writer).lock_owned().await;
        blocking(action, move || run(&mut writer, TransactionBehavior::Immediate, scope, action, body)).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With a write-ahead log this keeps the file whole after power loss; the last transactions may be
    // missing then, which the ledger's durable events would show.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn run<T, E: From<StoreError>>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    scope: Scope,
    action: &'static str,
    body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |source| StoreError::Statement { action, source };
    let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
    let db = ScopedTransaction::new(transaction, scope);
    // An early return drops the transaction, which rolls it back.
    let value = body(&db)?;
    db.commit().map_err(failed)?;
    Ok(value)
}

async fn blocking<T, E>(
    action: &'static str,
    body: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(body).await {
        Ok(result) => result,
        // A panic in an engine stays a panic of the call that caused it.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::ShuttingDown { action }.into()),
        },
    }
}
