//! tests of dataset-events.
