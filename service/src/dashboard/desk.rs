//! The scopes that are looked at: their read models, a bounded number of them, and the threads that read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataset_events::read_models::{SnapshotStore, Window};
use dataset_events::{Scope, SetScope};
use tokio::sync::Semaphore;

use super::error::DashboardError;
use super::models::ScopeModels;
use super::views::{Overview, VerificationState};

/// Readings at the same time, of all scopes.
const JOBS: usize = 8;

/// One scope that is looked at.
pub(super) struct Desk {
    pub(super) models: ScopeModels,
    /// Held by the one reading of the models that is under way.
    gate: Arc<tokio::sync::Mutex<()>>,
    pub(super) verification: Mutex<VerificationState>,
    /// The last overview of each window, to be shown while a newer one takes too long.
    overviews: Mutex<HashMap<Window, (Instant, Arc<Overview>)>>,
}

/// All of them.
pub(super) struct Desks {
    store: Option<SnapshotStore>,
    options: DeskOptions,
    open: Mutex<Open>,
    jobs: Arc<Semaphore>,
    /// One verification at a time: it reads whole logs.
    pub(super) verifying: Arc<Semaphore>,
}

#[derive(Default)]
struct Open {
    desks: HashMap<Scope, (Arc<Desk>, u64)>,
    /// Grows with each use, so that the least used desk is known.
    uses: u64,
}

/// Bounds of what is kept, and of how long is waited.
#[derive(Debug, Clone)]
pub(super) struct DeskOptions {
    pub(super) directory: Option<PathBuf>,
    pub(super) max_scopes: usize,
    pub(super) fresh_for: Duration,
    pub(super) patience: Duration,
    pub(super) max_stale: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Keeps an overview to be shown later.
    pub(super) fn keep(&self, window: Window, overview: &Arc<Overview>) {
        lock(&self.overviews).insert(window, (Instant::now(), Arc::clone(overview)));
    }

    /// The last overview of a window, if it is not older than that.
    pub(super) fn kept(&self, window: Window, max_age: Duration) -> Option<Arc<Overview>> {
        let overviews = lock(&self.overviews);
        let (made_at, overview) = overviews.get(&window)?;
        (made_at.elapsed() <= max_age).then(|| Arc::clone(overview))
    }
}

impl Desks {
    pub(super) fn new(store: Option<SnapshotStore>, options: DeskOptions) -> Self {
        Self {
            store,
            options,
            open: Mutex::default(),
            jobs: Arc::new(Semaphore::new(JOBS)),
            verifying: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn options(&self) -> &DeskOptions {
        &self.options
    }

    /// The desk of a scope. The reader was made for that scope by whoever was allowed to.
    pub(super) fn of(&self, reader: &SetScope) -> Arc<Desk> {
        let (desk, gone) = {
            let mut open = lock(&self.open);
            open.uses += 1;
            let uses = open.uses;
            if let Some((desk, used)) = open.desks.get_mut(reader.scope()) {
                *used = uses;
                return Arc::clone(desk);
            }
            let gone = if open.desks.len() >= self.options.max_scopes.max(1) {
                let least = open.desks.iter().min_by_key(|(_, (_, used))| *used);
                let least = least.map(|(scope, _)| scope.clone());
                least.and_then(|scope| open.desks.remove(&scope))
            } else {
                None
            };
            let desk = Arc::new(Desk {
                models: ScopeModels::new(reader.clone(), self.store.clone(), self.options.fresh_for),
                gate: Arc::default(),
                verification: Mutex::default(),
                overviews: Mutex::default(),
            });
            open.desks.insert(reader.scope().clone(), (Arc::clone(&desk), uses));
            (desk, gone)
        };
        if let (Some((gone, _)), Ok(runtime)) = (gone, tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || gone.models.save());
        }
        desk
    }

    /// Writes snapshots of everything that is not in one.
    pub(super) fn save(&self) {
        let desks: Vec<Arc<Desk>> =
            lock(&self.open).desks.values().map(|(desk, _)| Arc::clone(desk)).collect();
        desks.iter().for_each(|desk| desk.models.save());
    }

    /// Reads the models of a desk on a blocking thread, one reading of a desk at a time.
    ///
    /// What takes longer than a request may wait goes on without it: the next request finds more done.
    pub(super) async fn read_models<T: Send + 'static>(
        &self,
        desk: &Arc<Desk>,
        work: impl FnOnce(&Desk) -> Result<T, DashboardError> + Send + 'static,
    ) -> Result<T, DashboardError> {
        let patience = self.options.patience;
        let waited = async {
            let gate = Arc::clone(&desk.gate).lock_owned().await;
            let desk = Arc::clone(desk);
            self.run(move || {
                let _gate = gate;
                work(&desk)
            })
            .await
        };
        tokio::time::timeout(patience, waited).await.map_err(|_| DashboardError::StillReading)?
    }

    /// Runs a query on a blocking thread.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DashboardError> + Send + 'static,
    ) -> Result<T, DashboardError> {
        let patience = self.options.patience;
        tokio::time::timeout(patience, self.run(work)).await.map_err(|_| DashboardError::StillReading)?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DashboardError> + Send + 'static,
    ) -> Result<T, DashboardError> {
        let permit = Arc::clone(&self.jobs).acquire_owned().await.map_err(|_| DashboardError::Failed)?;
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        // A panic of a panel, or a runtime that is going.
        job.await.map_err(|_| DashboardError::Failed)?
    }
}
