//! The nexus: the one way to the engines' data, which is apart from the ledger and keyed by tenant and env.
//!
//! Each access is a call of its own, inside the engine's call, and its event names the backend: an SQLite
//! file, or SQLite in memory. SQLite blocks, so each transaction runs on tokio's blocking threads: one
//! connection writes, a few read beside it (write-ahead log). A transaction that has begun runs to its end
//! even if the caller's future is dropped, so that state never holds half of an operation. One that is committed
//! is on the disk.
//!
//! The bytes of media objects are the exception: they are files beside the database, which the media engine uses
//! itself, and its own events name what keeps them.
//!
//! An engine that refuses inside a transaction rolls it back, and the access ends with the engine's code:
//! `denied kill_switch.blocked` under `kill_switch.check`. When the data itself fails, the access ends with
//! a code of the nexus and the engine's call with the engine's own: `nexus.statement_failed` under
//! `chat.internal`.

mod backend;
mod error;
mod schema;
mod scoped;
mod sources;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataset_events::{Code, ErrorCode, RequestContext, Scope, dataset_event};
use rusqlite::{Connection, TransactionBehavior};

pub use backend::Backend;
use backend::Connections;
pub use error::NexusError;
pub(crate) use scoped::ScopedTransaction;
pub use sources::Sources;

/// The way to the engines' data. Clones share it.
#[derive(Clone)]
pub struct Nexus {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` in memory.
    path: Option<PathBuf>,
    sources: Sources,
    connections: Connections,
}

/// What the body of an access may fail with: an engine's error, made from that of the nexus with `#[from]`.
pub(crate) trait EngineError: ErrorCode + Error + From<NexusError> + Send + 'static {}

impl<E: ErrorCode + Error + From<NexusError> + Send + 'static> EngineError for E {}

impl Nexus {
    /// Opens the database file, and makes it and its folder when they are absent.
    ///
    /// # Errors
    ///
    /// - The folder or the file cannot be made or opened.
    /// - The file is not an SQLite database, or was written by a later version.
    pub fn open(path: impl Into<PathBuf>, sources: Sources) -> Result<Self, NexusError> {
        let path = path.into();
        let connections = Connections::file(&path)?;
        Ok(Self { inner: Arc::new(Inner { path: Some(path), sources, connections }) })
    }

    /// Makes an empty database in memory, for tests and demonstrations.
    ///
    /// # Errors
    ///
    /// SQLite cannot make it.
    pub fn in_memory(sources: Sources) -> Result<Self, NexusError> {
        let connections = Connections::memory()?;
        Ok(Self { inner: Arc::new(Inner { path: None, sources, connections }) })
    }

    /// What keeps the data.
    pub fn backend(&self) -> Backend {
        if self.inner.path.is_some() { Backend::Sqlite } else { Backend::Memory }
    }

    /// The database file; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.inner.sources.now_us()
    }

    pub(crate) fn new_id(&self, prefix: &str) -> Result<String, NexusError> {
        self.inner.sources.id(prefix).map_err(NexusError::Entropy)
    }

    /// Reads in a transaction of the context's scope: all statements see one state.
    ///
    /// # Errors
    ///
    /// What `body` fails with, or an error made from one of [`NexusError`].
    pub(crate) async fn read<T: Send + 'static, E: EngineError>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.recorded_read(ctx, action, body).await?
    }

    /// Writes in a transaction of the context's scope: all of `body`, or nothing when it fails.
    ///
    /// # Errors
    ///
    /// What `body` fails with, or an error made from one of [`NexusError`].
    pub(crate) async fn write<T: Send + 'static, E: EngineError>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.recorded_write(ctx, action, body).await?
    }

    // The outer result is of the nexus, so that the registry knows its codes; the inner is of the body.
    #[dataset_event(
        surface = "nexus.read",
        access = "read",
        input(action, backend = self.backend()),
        fails = |ret| refusal(ret),
    )]
    async fn recorded_read<T: Send + 'static, E: EngineError>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, NexusError> {
        let scope = ctx.scope().clone();
        let connections = &self.inner.connections;
        let Some(readers) = connections.readers.clone() else {
            let mut only = Arc::clone(&connections.writer).lock_owned().await;
            let work = move || run(&mut only, TransactionBehavior::Deferred, scope, action, body);
            return blocking(action, work).await;
        };
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|_| NexusError::ShuttingDown { action })?;
        blocking(action, move || {
            let _permit = permit;
            readers.with(|connection| run(connection, TransactionBehavior::Deferred, scope, action, body))
        })
        .await
    }

    #[dataset_event(
        surface = "nexus.write",
        access = "write",
        guarantee = "intent",
        input(action, backend = self.backend()),
        fails = |ret| refusal(ret),
    )]
    async fn recorded_write<T: Send + 'static, E: EngineError>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, NexusError> {
        let scope = ctx.scope().clone();
        let mut writer = Arc::clone(&self.inner.connections.writer).lock_owned().await;
        blocking(action, move || run(&mut writer, TransactionBehavior::Immediate, scope, action, body)).await
    }
}

impl fmt::Debug for Nexus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nexus").field("backend", &self.backend()).field("path", &self.path()).finish()
    }
}

/// The code of an access whose body failed: that of the nexus when the data failed, else the engine's.
fn refusal<T, E: EngineError>(body: &Result<T, E>) -> Option<Code> {
    let error = body.as_ref().err()?;
    let of_the_data = error.source().and_then(|source| source.downcast_ref::<NexusError>());
    Some(of_the_data.map_or_else(|| error.code(), ErrorCode::code))
}

/// The outer error is of the transaction, the inner of the body.
fn run<T, E>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    scope: Scope,
    action: &'static str,
    body: impl FnOnce(&ScopedTransaction<'_>) -> Result<T, E>,
) -> Result<Result<T, E>, NexusError> {
    let failed = |source| NexusError::statement(action, source);
    let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
    let db = ScopedTransaction::new(transaction, scope);
    let value = match body(&db) {
        Ok(value) => value,
        // The transaction is dropped, which rolls it back.
        Err(error) => return Ok(Err(error)),
    };
    db.commit().map_err(failed)?;
    Ok(Ok(value))
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, NexusError> + Send + 'static,
) -> Result<T, NexusError> {
    super::blocking::blocking(work).await.unwrap_or(Err(NexusError::ShuttingDown { action }))
}
