//! What the main job does: eight scopes at work at the same time, and what goes wrong on the way.
//!
//! Each failure has its real cause: an operator pulls a switch, two of them lock a strategy, a budget runs out, a
//! KPI leaves its corridor, a client asks for another tenant's thread, leaves a reply half-way, or uploads an
//! image that broke off.

mod controls;
mod error;
mod library;
mod session;
mod trouble;

use std::pin::Pin;
use std::sync::Arc;

use crate::services::Issuer;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::client::Client;
use super::documents::Documents;
pub(crate) use error::WorkloadError;
use session::Session;

/// The tenants of the main job.
pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
/// The envs of each tenant.
pub(crate) const ENVS: [&str; 2] = ["prod", "staging"];

/// How many scopes are at work.
pub(crate) const SCOPES: usize = TENANTS.len() * ENVS.len();

/// Runs all scopes to their end; or until `stop` ends, and then answers its value. No request is in flight
/// after that.
pub(crate) async fn run<S>(
    client: &Client,
    issuer: &Issuer,
    documents: Arc<Documents>,
    progress: &ProgressBar,
    mut stop: Pin<&mut impl Future<Output = S>>,
) -> Result<Option<S>, WorkloadError> {
    let mut sessions = Vec::with_capacity(SCOPES);
    for tenant in TENANTS {
        for env in ENVS {
            let documents = Arc::clone(&documents);
            sessions.push(Session::new(client.clone(), issuer, tenant, env, documents, progress.clone())?);
        }
    }
    let mut running = JoinSet::new();
    for (place, session) in sessions.iter().cloned().enumerate() {
        running.spawn(async move { session.day(place).await.map(|thread_id| (place, thread_id)) });
    }
    let mut threads: Vec<Option<String>> = vec![None; sessions.len()];
    loop {
        let ended = tokio::select! {
            biased;
            stopped = &mut stop => {
                running.shutdown().await;
                return Ok(Some(stopped));
            }
            ended = running.join_next() => ended,
        };
        let Some(ended) = ended else { break };
        let (place, thread_id) = ended.map_err(WorkloadError::Task)??;
        threads[place] = thread_id;
    }
    tokio::select! {
        stopped = stop => Ok(Some(stopped)),
        asked = ask_for_foreign_threads(&sessions, &threads) => asked.map(|()| None),
    }
}

/// Only at the end every scope has a thread that a neighbour can ask for in vain.
async fn ask_for_foreign_threads(
    sessions: &[Session],
    threads: &[Option<String>],
) -> Result<(), WorkloadError> {
    for (place, session) in sessions.iter().enumerate() {
        if let Some(foreign) = &threads[(place + 1) % sessions.len()] {
            session.ask_for_a_foreign_thread(foreign).await?;
        }
    }
    Ok(())
}
