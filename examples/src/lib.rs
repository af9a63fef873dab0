//! The example engines of dataset-events: a small multi-tenant backend whose every call is recorded.

pub mod bigquery_views;
pub mod engines;
pub(crate) mod exact;
pub mod job;
pub mod panels;
pub mod read_models;
pub mod services;
