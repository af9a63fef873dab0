//! The controls in the engines service, asked over HTTP.

use axum::http::Method;
use dataset_events::RequestContext;
use dataset_events_service::RemoteError;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::gate::PASS;
use super::engines_client::EnginesClient;
use crate::engines::Controls;
use crate::engines::budget::{Receipt, Usage};
use crate::engines::gate::{Action, GateError, Passed};

/// Asks the gate of the engines service.
///
/// A request is sent once: a charge that may have been made is not made again, and the caller is told that
/// the controls could not be reached.
#[derive(Debug, Clone)]
pub(super) struct RemoteControls {
    engines: EnginesClient,
}

impl RemoteControls {
    pub(super) fn new(engines: EnginesClient) -> Self {
        Self { engines }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        ctx: &RequestContext,
        action: &'static str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<A, GateError> {
        let request = self.engines.request(Method::POST, path).json(body);
        let unreachable = |source| GateError::Unreachable { action, source };
        let answer = self.engines.send(request, ctx).await.map_err(|error| unreachable(error.into()))?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(|error| unreachable(error.into()))?;
        match RemoteError::from_answer(status, &text) {
            // Its own words about this service's token, or a failure: nothing that a control has said.
            Some(error) if status.is_server_error() || error.code.starts_with("auth.") => {
                Err(unreachable(error.into()))
            }
            Some(error) => Err(GateError::refused(&error.code, error.message)),
            None => serde_json::from_slice(&text)
                .map_err(|error| GateError::InvalidAnswer { action, source: error.into() }),
        }
    }
}

impl Controls for RemoteControls {
    fn pass<'a>(
        &'a self,
        ctx: &'a RequestContext,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Passed, GateError>> {
        Box::pin(self.ask(ctx, "ask the gate", PASS, action))
    }

    fn record_usage<'a>(
        &'a self,
        ctx: &'a RequestContext,
        usage: &'a Usage,
    ) -> BoxFuture<'a, Result<Receipt, GateError>> {
        Box::pin(self.ask(ctx, "record a usage", "/v1/budget/usage", usage))
    }
}
