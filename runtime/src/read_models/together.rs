//! Several models in one pass.

use std::borrow::Cow;

use serde::Serialize;

use super::ReadModel;
use crate::event::DatasetEvent;

/// What a model's state depends on.
#[derive(Serialize)]
struct Part<'a> {
    name: &'static str,
    version: u32,
    config: Cow<'a, str>,
}

fn part<M: ReadModel>(model: &M) -> Part<'_> {
    Part { name: M::NAME, version: M::VERSION, config: model.config() }
}

fn apply<M: ReadModel>(model: &M, state: &mut M::State, event: &DatasetEvent) {
    if model.selects(event) {
        model.apply(state, event);
    }
}

macro_rules! together {
    ($($model:ident $at:tt),+) => {
        /// Folds the models of a tuple in one pass: each event is read and parsed once, and all states are of
        /// one moment. A snapshot is used while names, versions and configs of all of them are the same.
        impl<$($model: ReadModel),+> ReadModel for ($($model,)+) {
            type State = ($($model::State,)+);
            const NAME: &'static str = "together";
            const VERSION: u32 = 1;

            fn config(&self) -> Cow<'_, str> {
                let parts = [$(part(&self.$at)),+];
                // Names, numbers and texts are always JSON.
                Cow::Owned(serde_json::to_string(&parts).unwrap_or_default())
            }

            fn selects(&self, event: &DatasetEvent) -> bool {
                $(self.$at.selects(event))||+
            }

            fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
                $(apply(&self.$at, &mut state.$at, event);)+
            }
        }
    };
}

together!(A 0, B 1);
together!(A 0, B 1, C 2);
together!(A 0, B 1, C 2, D 3);
