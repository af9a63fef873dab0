//! Extractors of axum whose refusals are envelopes, and the request context as an extractor.

use std::ops::Deref;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use dataset_events::{Code, HasRequestContext, RequestContext};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codes;
use crate::envelope::ApiError;

const NO_CONTEXT: Code = Code::new("http.no_context").status(500);

/// The request context that the admission layer made.
///
/// It derefs to [`RequestContext`] and gives the attribute its scope.
#[derive(Debug, Clone)]
pub struct Ctx(pub RequestContext);

impl Deref for Ctx {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl HasRequestContext for Ctx {
    fn request_context(&self) -> &RequestContext {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ctx {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let ctx = parts.extensions.get::<RequestContext>().cloned();
        ctx.map(Self).ok_or_else(|| {
            ApiError::new(NO_CONTEXT, "the route is not behind the admission layer, or it is public")
        })
    }
}

/// A JSON body, or a JSON answer. Refusals: `http.invalid_body`, `http.unsupported_media_type`,
/// `http.body_too_large`, `http.body_broken`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(json_refusal(&rejection)),
        }
    }
}

fn json_refusal(rejection: &JsonRejection) -> ApiError {
    let code = match rejection {
        JsonRejection::MissingJsonContentType(_) => codes::UNSUPPORTED_MEDIA_TYPE,
        JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(broken)) => match broken {
            FailedToBufferBody::LengthLimitError(_) => codes::BODY_TOO_LARGE,
            _ => codes::BODY_BROKEN,
        },
        _ => codes::INVALID_BODY,
    };
    ApiError::with_text(code, rejection.body_text())
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parameters of the path. Refusal: `http.invalid_path`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::with_text(codes::INVALID_PATH, rejection.body_text())),
        }
    }
}

/// The query. Refusal: `http.invalid_query`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::with_text(codes::INVALID_QUERY, rejection.body_text())),
        }
    }
}
