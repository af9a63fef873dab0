//! What proves to the next service who asks.

use std::fmt;

use dataset_events::RequestContext;
use http::HeaderValue;
use thiserror::Error;
use tower::BoxError;

use crate::carried::Carried;
use crate::identity::{BoxFuture, ServiceTokens};

/// The value of an `authorization` header. It is never printed.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

/// A text is no bearer token. The text is not kept: it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("make a bearer token: the text is empty or has a byte that no token has")]
#[non_exhaustive]
pub struct InvalidToken;

impl BearerToken {
    /// The token of this text, without `Bearer`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`]: the text is empty, or has a byte outside of `[A-Za-z0-9._~+/=-]`.
    pub fn new(token: &str) -> Result<Self, InvalidToken> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(InvalidToken);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn into_header(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

/// What a token is asked for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// The context of the request.
    pub ctx: &'a RequestContext,
    /// The service that the token is for.
    pub audience: &'a str,
    /// What the request that is being served carries, when it is of the same tenant, env and trace.
    pub carried: Option<&'a Carried>,
}

/// Gives tokens for requests to another service. Must not block the thread.
pub trait TokenSource: Send + Sync + 'static {
    /// The token of one request; `None` for a service that asks for none.
    ///
    /// # Errors
    ///
    /// Why there is no token; the request is not sent then.
    fn token<'a>(&'a self, request: TokenRequest<'a>)
    -> BoxFuture<'a, Result<Option<BearerToken>, BoxError>>;
}

/// Forwards the token that the caller sent, to act in the scope of the caller's request and in no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForwardToken;

/// There is no token to forward: the request was not authenticated by one, none is served here, or it is
/// of another scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no request of this tenant, env and trace is served here that brought a token to forward")]
#[non_exhaustive]
pub struct NoToken;

impl TokenSource for ForwardToken {
    fn token<'a>(
        &'a self,
        request: TokenRequest<'a>,
    ) -> BoxFuture<'a, Result<Option<BearerToken>, BoxError>> {
        let token = request.carried.and_then(Carried::token).cloned();
        Box::pin(async move { token.map(|token| Some(BearerToken(token))).ok_or_else(|| NoToken.into()) })
    }
}

/// Mints a token of 60 s for each request: tenant, env and user of its context, for the audience.
impl TokenSource for ServiceTokens {
    fn token<'a>(
        &'a self,
        request: TokenRequest<'a>,
    ) -> BoxFuture<'a, Result<Option<BearerToken>, BoxError>> {
        let minted = self.mint(request.ctx, request.audience);
        Box::pin(async move { Ok(Some(BearerToken::new(&minted?)?)) })
    }
}
