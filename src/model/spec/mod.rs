//! The parts of a model that are stored as JSON: sizes, manifest, calibration. Only serde and plain numbers.

pub(super) mod calibration;
pub(super) mod errors;
pub(super) mod kinds;
pub(super) mod levels;
pub(super) mod limits;
pub(super) mod manifest;
pub(super) mod members;
pub(super) mod network;
pub(super) mod training_inputs;
