//! Where the data lies, and the connections to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::{NexusError, schema};

/// Connections that read at the same time; more would only wait for the same two cores.
pub(super) const READERS: usize = 4;
/// How long a statement waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What keeps the engines' data; each access to it says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backend {
    /// An SQLite file.
    Sqlite,
    /// SQLite in memory, gone with the last clone of the nexus: for tests and demonstrations.
    Memory,
}

impl Backend {
    /// The name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The connections of one backend.
pub(super) struct Connections {
    /// SQLite has one writer at a time; waiting here instead of in its busy loop is fair and takes no thread.
    pub(super) writer: Arc<AsyncMutex<Connection>>,
    /// `None` in memory: a database without a file has one connection, which reads too.
    pub(super) readers: Option<Arc<Readers>>,
}

/// The connections that read a file beside its writer.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    pub(super) permits: Arc<Semaphore>,
}

impl Connections {
    /// Opens a file, and makes it and its folder when they are absent.
    pub(super) fn file(path: &Path) -> Result<Self, NexusError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| NexusError::Folder { path: folder.to_owned(), source })?;
        }
        let failed = |source| NexusError::Open { path: path.to_owned(), source };
        let mut writer = connect(path).map_err(failed)?;
        // A write may be told by a durable event: it must outlive a power cut as the event does.
        writer.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        migrate(&mut writer, path)?;
        let idle = (0..READERS).map(|_| connect(path)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let permits = Arc::new(Semaphore::new(READERS));
        let readers = Readers { path: path.to_owned(), idle: Mutex::new(idle), permits };
        Ok(Self { writer: Arc::new(AsyncMutex::new(writer)), readers: Some(Arc::new(readers)) })
    }

    /// Makes an empty database in memory.
    pub(super) fn memory() -> Result<Self, NexusError> {
        let path = Path::new(":memory:");
        let failed = |source| NexusError::Open { path: path.to_owned(), source };
        let mut only = Connection::open_in_memory().map_err(failed)?;
        only.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        migrate(&mut only, path)?;
        Ok(Self { writer: Arc::new(AsyncMutex::new(only)), readers: None })
    }
}

impl Readers {
    /// Lends a connection to `work`. A body that panics takes its connection with it; the next makes one.
    pub(super) fn with<T, E: From<NexusError>>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                connect(&self.path).map_err(|source| NexusError::Open { path: self.path.clone(), source })?
            }
        };
        let result = work(&mut connection);
        self.idle().push(connection);
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), NexusError> {
    schema::migrate(connection).map_err(|error| match error {
        Ok(found) => NexusError::NewerSchema { path: path.to_owned(), found, known: schema::VERSION },
        Err(source) => NexusError::Open { path: path.to_owned(), source },
    })
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Enough for who only reads; the writer asks for more.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}
