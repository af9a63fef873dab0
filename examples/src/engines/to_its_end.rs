//! Steps that go on to their end, whoever still waits for them.

use dataset_events::RequestContext;

use super::NexusError;

/// Runs a `durable` step as a task of its own, which owns the annotated call.
///
/// A transaction that has begun is committed even if its caller leaves. Were the call a part of the caller's
/// future, it would be dropped with it, and its event would say `cancelled` of a step that was taken. In the task
/// it ends with the step, as the step did. Nothing begins when the future is never polled.
///
/// A step reaches the database and no other service: it has no need of what a request carries on to one.
///
/// # Errors
///
/// What the step fails with; [`NexusError::ShuttingDown`] when the runtime ends before the step does, whose event is
/// then `cancelled`, or `interrupted` if the ledger was closed before.
pub(super) async fn to_its_end<T, E, F>(
    ctx: &RequestContext,
    action: &'static str,
    step: impl FnOnce(RequestContext) -> F,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<NexusError> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    match tokio::spawn(step(ctx.for_task())).await {
        Ok(result) => result,
        // A panic in an engine stays a panic of the call that caused it.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(NexusError::ShuttingDown { action }.into()),
        },
    }
}
