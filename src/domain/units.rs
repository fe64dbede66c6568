//! The two bases in which a composition is stated, and what an amount of each means.

use serde::{Deserialize, Serialize};

/// What the amounts of a composition count. Always stated, never guessed from the numbers.
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

    /// The unit as it stands behind a number.
    pub fn unit(self) -> &'static str {
        match self {
            Basis::WeightPercent => "wt%",
            Basis::AtomicPercent => "at%",
        }
    }
}

/// Absolute zero in °C: no temperature lies below it.
pub const ABSOLUTE_ZERO_CELSIUS: f64 = -273.15;
