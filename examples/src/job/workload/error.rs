//! What ends the main job early.

use thiserror::Error;

use crate::job::client::ClientError;

/// The services failed, or did not do what the job is about; a refusal is no such failure.
#[derive(Debug, Error)]
pub(crate) enum WorkloadError {
    #[error("a request of {tenant}/{env} failed")]
    Client {
        tenant: &'static str,
        env: &'static str,
        #[source]
        source: ClientError,
    },
    #[error("a scope's task ended without a result")]
    Task(#[source] tokio::task::JoinError),
    #[error("make a token for a user of the demo")]
    Token(#[from] crate::services::IssuerError),
    #[error("{request} was answered without the field {field:?} that the job goes on with")]
    Answer { request: &'static str, field: &'static str },
    #[error("an upload that broke off was answered {answer}, but the engine is expected to panic on it")]
    NoPanic { answer: String },
}
