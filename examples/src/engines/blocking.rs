//! Work that blocks, on tokio's threads for it.

/// Runs `body` where it may block; `None` when the runtime is shutting down and took no more work.
///
/// `body` runs to its end even if the caller's future is dropped.
pub(super) async fn blocking<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(body).await {
        Ok(value) => Some(value),
        // A panic in an engine stays a panic of the call that caused it.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}
