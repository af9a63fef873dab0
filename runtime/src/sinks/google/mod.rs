//! What the sinks and sources of Google's stores share: credentials, and a runtime of their own.
//!
//! The sinks load their credentials when they are opened and fetch tokens as they need them. A token that is
//! missing or refused makes an append fail with a text that says so; no token is part of any text.

mod blocking;
mod credentials;
mod redact;
mod token_watch;

pub(crate) use self::blocking::{Blocking, NotRun};
pub use self::credentials::GoogleCredentials;
pub(crate) use self::credentials::WatchedCredentials;
pub(crate) use self::redact::redact;
pub(crate) use self::token_watch::{TokenFailure, TokenWatch};
