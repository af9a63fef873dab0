//! examples of dataset-events.
