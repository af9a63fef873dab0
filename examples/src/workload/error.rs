//! What ends the main job early.

use dataset_events::{ErrorCode, InvalidId};
use dataset_events_examples::engines::budget::BudgetError;
use dataset_events_examples::engines::chat::ChatError;
use dataset_events_examples::engines::kill_switch::KillSwitchError;
use dataset_events_examples::engines::media::MediaError;
use dataset_events_examples::engines::vector::{InvalidDocumentId, VectorError};
use thiserror::Error;

/// The engines themselves failed; a refusal is no such failure.
#[derive(Debug, Error)]
pub(crate) enum WorkloadError {
    #[error("the chat engine failed")]
    Chat(#[from] ChatError),
    #[error("the budget engine failed")]
    Budget(#[from] BudgetError),
    #[error("the kill switch failed")]
    KillSwitch(#[from] KillSwitchError),
    #[error("the media engine failed")]
    Media(#[from] MediaError),
    #[error("the vector engine failed")]
    Vector(#[from] VectorError),
    #[error("make a document's id")]
    DocumentId(#[from] InvalidDocumentId),
    #[error("make a request context")]
    Context(#[from] InvalidId),
    #[error("no random bytes for a trace id")]
    Entropy(#[from] getrandom::Error),
    #[error("a scope's task ended without a result")]
    Task(#[source] tokio::task::JoinError),
    #[error("an upload that broke off was taken in, but the engine is expected to panic on it")]
    NoPanic,
}

/// Tells an answer from a failure: what the caller is to blame for (4xx) is an answer and stays a
/// result; what the engines are to blame for (5xx) ends the job.
pub(crate) fn answered<T, E>(result: Result<T, E>) -> Result<Result<T, E>, WorkloadError>
where
    E: ErrorCode + Into<WorkloadError>,
{
    match result {
        Err(error) if error.code().http_status() >= 500 => Err(error.into()),
        answer => Ok(answer),
    }
}
