//! Reads a data file into checked rows, or reports all its errors.

pub(super) mod columns;
pub(super) mod complaints;
pub(super) mod evidence;
pub(super) mod outliers;
pub(super) mod read;
pub(super) mod sheet;
pub(super) mod targets;
