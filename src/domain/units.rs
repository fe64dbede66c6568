//! The basis of a composition, and absolute zero.

use serde::{Deserialize, Serialize};

/// The basis of amounts. It is always stated, never guessed from the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Mass fraction in % (wt%).
    WeightPercent,
    /// Atomic fraction in % (at%).
    AtomicPercent,
}

impl Basis {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Basis::WeightPercent => "weight_percent",
            Basis::AtomicPercent => "atomic_percent",
        }
    }

    /// The unit to print after a number.
    pub fn unit(self) -> &'static str {
        match self {
            Basis::WeightPercent => "wt%",
            Basis::AtomicPercent => "at%",
        }
    }
}

/// Absolute zero in °C.
pub const ABSOLUTE_ZERO_CELSIUS: f64 = -273.15;
