//! What the engines' events say, folded: temperature, budget, KPIs, controls, activity, ledgers.
//!
//! Each model is a [`ReadModel`](dataset_events::read_models::ReadModel): it is fed by the events of one scope and
//! by nothing else, and no model asks an engine. Where an engine orders its own writes by a version or a place, the
//! greatest one wins, so that the state is that of the engine whichever ledger an event lies in. Shapes of the
//! answers: `docs/bossman.md`.
//!
//! Only calls that returned count. A write that was cancelled, that panicked or that its process died in may have
//! changed the engine's state or not; nobody knows, and the models count it as `uncertain`.

mod board;
mod budget;
mod calls;
mod cause;
mod chat;
mod controls;
mod kpi;
mod ledgers;
mod media;
mod newest;
mod reading;
mod temperature;
mod vector;
mod window;

pub use board::{Board, BoardState};
pub use budget::{BudgetModel, BudgetState, BudgetView, MonthTotal, NameTotal, Spending, WindowSpending};
pub use calls::{CallCounts, Calls, CallsState, CodeCount, Counts, Failure, HourCount, SurfaceCount};
pub use cause::Cause;
pub use chat::{ChatAction, ChatActivity, ChatCounts, ChatModel, ChatState};
pub use controls::{
    ControlChange, ControlsModel, ControlsState, ControlsView, FieldChange, LockView, MAX_CHANGES, SwitchView,
};
pub use kpi::{KpiModel, KpiPoint, KpiState, KpiView, KpisState, KpisView, MAX_HISTORY};
pub use ledgers::{LedgerState, LedgersModel, LedgersState};
pub use media::{MediaAction, MediaActivity, MediaCounts, MediaModel, MediaState};
pub use newest::{Newest, Ranked};
pub use temperature::{MAX_RECENT, TemperatureCounts, TemperatureModel, TemperatureState, TemperatureView};
pub use vector::{DocumentState, VectorActivity, VectorCounts, VectorModel, VectorState};
pub use window::{MAX_WINDOW_US, Span, Window};
