//! Plots of trainings and evaluations, as SVG.

pub(super) mod canvas;
pub(super) mod report;
pub(super) mod splits;
