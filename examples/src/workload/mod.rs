//! What the main job does: eight scopes at work at the same time, and what goes wrong on the way.
//!
//! Each failure has its real cause: an operator pulls a switch, a budget runs out, a client asks for
//! another tenant's thread, leaves a reply half-way, or uploads an image that broke off.

mod error;
mod library;
mod session;
mod trouble;

use std::sync::Arc;

use dataset_events::Ledger;
use dataset_events_examples::engines::Engines;
use dataset_events_examples::engines::chat::ThreadId;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use crate::documents::Documents;
pub(crate) use error::WorkloadError;
use session::Session;

/// The tenants of the main job.
pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
/// The envs of each tenant.
pub(crate) const ENVS: [&str; 2] = ["prod", "staging"];

/// How many scopes are at work.
pub(crate) const SCOPES: usize = TENANTS.len() * ENVS.len();

/// Runs all scopes to their end.
pub(crate) async fn run(
    engines: &Engines,
    ledger: &Ledger,
    documents: Arc<Documents>,
    progress: &ProgressBar,
) -> Result<(), WorkloadError> {
    let mut sessions = Vec::with_capacity(SCOPES);
    for tenant in TENANTS {
        for env in ENVS {
            let (engines, ledger) = (engines.clone(), ledger.clone());
            let documents = Arc::clone(&documents);
            let progress = progress.clone();
            sessions.push(Session { engines, ledger, tenant, env, documents, progress });
        }
    }
    let mut running = JoinSet::new();
    for (place, session) in sessions.iter().cloned().enumerate() {
        running.spawn(async move { session.day(place).await.map(|thread_id| (place, thread_id)) });
    }
    let mut threads: Vec<Option<ThreadId>> = vec![None; sessions.len()];
    while let Some(ended) = running.join_next().await {
        let (place, thread_id) = ended.map_err(WorkloadError::Task)??;
        threads[place] = thread_id;
    }
    // Only now every scope has a thread that a neighbour can ask for in vain.
    for (place, session) in sessions.iter().enumerate() {
        if let Some(foreign) = &threads[(place + 1) % sessions.len()] {
            session.ask_for_a_foreign_thread(foreign).await?;
        }
    }
    Ok(())
}
