//! What stands in files about a model: sizes, the manifest, the calibration. Nothing but serde and plain numbers.

pub(super) mod calibration;
pub(super) mod manifest;
pub(super) mod members;
pub(super) mod network;
