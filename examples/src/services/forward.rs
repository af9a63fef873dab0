//! Requests that the gateway hands on to the engines service, and the answers that it hands back.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use dataset_events_service::{ApiError, Ctx, RemoteError, codes};

use super::error::ServiceCallError;
use super::gateway::Gateway;

/// What of a request's head is the engines' business. Identity and context go by the carrier.
const FORWARDED: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ACCEPT];
/// What of an answer's head is the client's business.
const RETURNED: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_DISPOSITION,
    header::X_CONTENT_TYPE_OPTIONS,
];
/// The most of a failure's body that is read.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// Hands a request on and its answer back, bodies as streams.
///
/// A refusal comes back with the engines' code; a failure of the engines service is 502 or 503.
pub(super) async fn forward(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    // A URL is made of the path: dots and backslashes would lead to another route than the one that was
    // admitted, limited and recorded here.
    if !gateway.engines.keeps(parts.uri.path()) {
        return Err(ApiError::new(codes::INVALID_PATH, "the path has `..`, `\\`, or what a URL cannot hold"));
    }
    let outgoing = gateway
        .engines
        .request(parts.method, path)
        .headers(picked(&parts.headers, &FORWARDED))
        .body(reqwest::Body::wrap_stream(body.into_data_stream()));
    let mut answer = gateway.engines.send(outgoing, &ctx).await?;
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        let text = limited(&mut answer).await?;
        if let Some(error) = RemoteError::from_answer(status, &text) {
            return Err(error.to_api_error());
        }
    }
    let headers = picked(answer.headers(), &RETURNED);
    Ok((status, headers, Body::from_stream(answer.bytes_stream())).into_response())
}

fn picked(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let found = names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    found.collect()
}

/// A body of bounded length; the rest of a longer one is not read.
async fn limited(answer: &mut reqwest::Response) -> Result<Vec<u8>, ServiceCallError> {
    let mut text = Vec::new();
    while text.len() < MAX_ENVELOPE_BYTES
        && let Some(chunk) = answer.chunk().await.map_err(ServiceCallError::from)?
    {
        text.extend_from_slice(&chunk);
    }
    text.truncate(MAX_ENVELOPE_BYTES);
    Ok(text)
}
