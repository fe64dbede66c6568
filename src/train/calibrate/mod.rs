//! Calibration on held-out rows: the sizes of errors, the temperature of class probabilities, and the limits of near
//! and far.

mod error_model;
mod held_out;
mod measure;
mod size_regression;

pub(in crate::train) use held_out::{HeldOut, PartKind};
pub(in crate::train) use measure::{Measured, calibrate};
