//! The routes of the engines as HTTP handlers: a thin layer that reads the request, calls the engine, and
//! answers its value or its error.

pub(super) mod bossman;
pub(super) mod budget;
pub(super) mod chat;
pub(super) mod gate;
pub(super) mod kill_switch;
pub(super) mod kpi;
pub(super) mod media;
pub(super) mod strategy_lock;
pub(super) mod temperature;
pub(super) mod vector;

use dataset_events_service::{ApiError, Json};

/// What a handler with a JSON answer returns.
type Answer<T> = Result<Json<T>, ApiError>;
