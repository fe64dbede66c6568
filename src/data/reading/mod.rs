//! From a lab's file to checked rows, or to all that is wrong with it.

pub(super) mod columns;
pub(super) mod complaints;
pub(super) mod outliers;
pub(super) mod read;
pub(super) mod sheet;
pub(super) mod targets;
