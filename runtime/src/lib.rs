//! Audit by construction for multi-tenant backends.
//!
//! One attribute on a function; one tamper-evident ledger; every dashboard computed from it.

// Generated code names this crate from the root; so does the crate's own use of the attribute.
extern crate self as dataset_events;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod call;
mod capture;
mod clock;
#[cfg(feature = "config")]
pub mod config;
mod context;
mod current;
mod draft;
mod error_code;
mod event;
mod event_counts;
mod id_source;
mod ids;
mod index;
mod journal;
mod ledger;
mod ledger_set;
mod log;
mod manual;
#[cfg(feature = "metrics")]
mod metrics;
mod operator;
mod pending;
mod query;
pub mod read_models;
mod reader;
mod retention;
mod schema;
mod scope;
mod seen;
pub mod sinks;
pub mod sources;
mod surface;
pub mod testing;
mod trace_parent;

pub use context::{AsEnv, AsTenant, ContextBuilder, HasRequestContext, RequestContext};
pub use current::{Current, current};
pub use dataset_events_macros::{ErrorCode, dataset_event};
pub use error_code::{Code, ErrorCode, LedgerUnavailable, UnavailableReason};
pub use event::{
    Actor, ActorType, Change, Client, DatasetEvent, EventError, EventPlace, InterruptCause, InvalidPlace,
    LineHash, Marker, Omitted, Outcome, OutcomeDetail, SCHEMA_VERSION, Sealed, SourceRef, Writer,
};
pub use event_counts::{CutSeries, EventCount, EventCounts, EventCountsOptions};
pub use ids::{
    AuthSubject, Env, EventId, InvalidId, InvalidIdReason, LedgerId, RequestId, Scope, SpanId, TenantId,
    TraceId, UserId,
};
pub use index::{IndexHealth, IndexReport, RebuildError, rebuild_index};
pub use ledger::{
    Drained, Health, InstallError, Ledger, LedgerError, LedgerOptions, LedgerStats, OnUnavailable, OpenError,
};
pub use ledger_set::{
    CoveringCheckpoint, LedgerSet, LedgerSetOptions, LedgerState, LedgerStates, LedgerStatus, LedgerSummary,
    LedgerVerification, NoOwnLedger, SetCount, SetEvents, SetOperator, SetOperatorQuery, SetPage, SetQuery,
    SetScope, SetScopes, Unread,
};
pub use log::LogPosition;
pub use log::checkpoint::{Checkpoint, CheckpointReason};
pub use log::cut::{Cut, DroppedSegment};
pub use log::heads::StreamHead;
pub use log::signer::{Ed25519Signer, KeyError, SignError, Signer};
pub use log::verify::{
    CheckpointHead, CutReport, Finding, InvalidHead, Protected, Unprotected, Verdict, VerifyError,
    VerifyOptions, VerifyReport, verify,
};
pub use manual::{EventBuilder, RecordError};
pub use operator::{OperatorReader, ScopeSummary};
pub use query::{EventQuery, Events, OperatorQuery, Page, ReadError, StoredEvent};
pub use reader::LedgerReader;
pub use retention::{Hold, Kept, Retained, RetentionError, RetentionStatus};
pub use schema::{event_schema, payload_schema};
pub use scope::ScopedReader;
pub use surface::{Access, CaptureForm, CapturedField, Guarantee, Site, surfaces};
pub use trace_parent::TraceParent;
