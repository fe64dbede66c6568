//! The scale on which a property is learned: linear or logarithmic.
//!
//! Lives of 3 h and 30,000 h differ by a factor, not by a number of hours. On a linear scale the short ones would be
//! lost in noise and predictions could be negative.

use serde::{Deserialize, Serialize};

/// Largest exponent used when a logarithm is converted back, so that an extreme prediction stays finite.
const LARGEST_EXPONENT: f64 = 600.0;

/// The scale on which a property is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The property in its unit.
    #[default]
    Linear,
    /// The natural logarithm of the property. The property is always positive and its errors are factors.
    Log,
}

impl Scale {
    /// Whether the scale is linear.
    pub fn is_linear(&self) -> bool {
        *self == Self::Linear
    }

    /// Converts a value from its unit to this scale. For a logarithm, values of 0 or less become the least positive
    /// number.
    pub fn learned(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).ln(),
        }
    }

    /// Converts a value from this scale to its unit. Finite unless `learned` is NaN; positive for a logarithm.
    pub fn in_unit(self, learned: f64) -> f64 {
        match self {
            Self::Linear => learned,
            Self::Log => learned.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Target;

    #[test]
    fn logarithms_there_and_back() {
        for value in [1e-9, 0.3, 1.0, 2_000.0, 1e12] {
            assert!((Scale::Log.in_unit(Scale::Log.learned(value)) / value - 1.0).abs() < 1e-12);
            assert_eq!(Scale::Linear.in_unit(Scale::Linear.learned(value)), value);
        }
        for wild in [1e9, -1e9, f64::INFINITY] {
            assert!(Scale::Log.in_unit(wild).is_finite() && Scale::Log.in_unit(wild) > 0.0);
        }
        assert!(Scale::Log.learned(-3.0).is_finite());
    }

    #[test]
    fn an_interval_of_factors_is_positive_and_holds_its_value() {
        let target = |scale| Target { name: "life".into(), unit: "h".into(), scale };
        let [low, high] = target(Scale::Log).around(100.0, 10f64.ln());
        assert!((low - 10.0).abs() < 1e-9 && (high - 1000.0).abs() < 1e-6);
        for half_width in [0.0, 3.0, 1e4] {
            let [low, high] = target(Scale::Log).around(0.7, half_width);
            assert!(0.0 < low && low <= 0.7 && 0.7 <= high && high.is_finite());
        }
        assert_eq!(target(Scale::Linear).around(5.0, 7.0), [-2.0, 12.0]);
    }
}
