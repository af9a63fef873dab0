//! The engines, as their callers and as an auditor see them.

mod common;
mod isolation;
