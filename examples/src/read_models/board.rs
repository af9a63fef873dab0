//! All models of a scope in one fold: each event is read once, and all answers are of one moment.

use std::borrow::Cow;

use dataset_events::DatasetEvent;
use dataset_events::read_models::ReadModel;
use serde::{Deserialize, Serialize};

use super::{
    BudgetModel, BudgetState, Calls, CallsState, ChatModel, ChatState, ControlsModel, ControlsState,
    KpiModel, KpisState, LedgersModel, LedgersState, MediaModel, MediaState, TemperatureModel,
    TemperatureState, VectorModel, VectorState,
};

/// Folds every model of this module together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Board;

/// The states of all models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardState {
    /// Of [`Calls`].
    pub calls: CallsState,
    /// Of [`LedgersModel`].
    pub ledgers: LedgersState,
    /// Of [`TemperatureModel`].
    pub temperature: TemperatureState,
    /// Of [`BudgetModel`].
    pub budget: BudgetState,
    /// Of [`KpiModel`].
    pub kpi: KpisState,
    /// Of [`ControlsModel`].
    pub controls: ControlsState,
    /// Of [`ChatModel`].
    pub chat: ChatState,
    /// Of [`MediaModel`].
    pub media: MediaState,
    /// Of [`VectorModel`].
    pub vector: VectorState,
}

/// The models by name and version: a snapshot of another set of them is not used.
const PARTS: [(&str, u32); 9] = [
    (Calls::NAME, Calls::VERSION),
    (LedgersModel::NAME, LedgersModel::VERSION),
    (TemperatureModel::NAME, TemperatureModel::VERSION),
    (BudgetModel::NAME, BudgetModel::VERSION),
    (KpiModel::NAME, KpiModel::VERSION),
    (ControlsModel::NAME, ControlsModel::VERSION),
    (ChatModel::NAME, ChatModel::VERSION),
    (MediaModel::NAME, MediaModel::VERSION),
    (VectorModel::NAME, VectorModel::VERSION),
];

fn apply<M: ReadModel>(model: M, state: &mut M::State, event: &DatasetEvent) {
    if model.selects(event) {
        model.apply(state, event);
    }
}

impl ReadModel for Board {
    type State = BoardState;
    const NAME: &'static str = "board";
    const VERSION: u32 = 1;

    fn config(&self) -> Cow<'_, str> {
        let parts = PARTS.map(|(name, version)| format!("{name}@{version}"));
        Cow::Owned(parts.join(" "))
    }

    fn selects(&self, _event: &DatasetEvent) -> bool {
        true
    }

    fn apply(&self, state: &mut BoardState, event: &DatasetEvent) {
        apply(Calls, &mut state.calls, event);
        apply(LedgersModel, &mut state.ledgers, event);
        apply(TemperatureModel, &mut state.temperature, event);
        apply(BudgetModel, &mut state.budget, event);
        apply(KpiModel, &mut state.kpi, event);
        apply(ControlsModel, &mut state.controls, event);
        apply(ChatModel, &mut state.chat, event);
        apply(MediaModel, &mut state.media, event);
        apply(VectorModel, &mut state.vector, event);
    }
}
