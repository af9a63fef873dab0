//! ui-tests of dataset-events.
