//! Holds what is known of every metal in predictions: values within physical limits, and relations between properties.
//!
//! Each property is predicted by itself, so a pair of predictions can break a relation that no metal breaks. Then both
//! are moved to their mean, the least change (in squares) after which the relation holds.

use super::physics::{Relation, relations};
use super::schema::Target;

/// How often all relations are checked. Each round moves values less than the one before.
const ROUNDS: usize = 20;
/// Values that may not be equal differ by at least this part of their mean.
const APART: f64 = 1e-3;

/// What is known of the properties that a model predicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Physics {
    /// The physical limits of each property.
    limits: Vec<(Option<f64>, Option<f64>)>,
    /// Relations with the places of their properties, from lower to upper ones.
    relations: Vec<(Relation, usize, usize)>,
}

impl Physics {
    /// What is known of these properties.
    pub fn of(targets: &[Target]) -> Self {
        let place = |name: &str| targets.iter().position(|target| target.name == name);
        let places = |own: &Relation| {
            let (lower, upper) = (place(own.lower)?, place(own.upper)?);
            (targets[lower].unit == targets[upper].unit).then_some((*own, lower, upper))
        };
        let relations = relations().iter().filter_map(places).collect();
        Self { limits: targets.iter().map(Target::physical_limits).collect(), relations }
    }

    /// Corrects predicted values of the properties, in their units. Returns what was corrected, in words.
    pub fn hold(&self, targets: &[Target], values: &mut [f64]) -> Vec<String> {
        let mut warnings = Vec::new();
        for ((target, (least, most)), value) in targets.iter().zip(&self.limits).zip(values.iter_mut()) {
            let held = value.max(least.unwrap_or(*value)).min(most.unwrap_or(f64::INFINITY));
            if held != *value {
                let (name, unit) = (&target.name, &target.unit);
                warnings.push(format!(
                    "{name} was predicted as {value:.1} {unit}, which cannot be: the limit is {held} {unit}"
                ));
                *value = held;
            }
        }
        if self.is_broken(values) {
            let before = values.to_vec();
            self.move_apart(values);
            for (own, lower, upper) in &self.relations {
                if !own.holds(before[*lower], before[*upper]) {
                    let unit = &targets[*lower].unit;
                    warnings.push(format!(
                        "{} was predicted as {:.1} {unit} and {} as {:.1} {unit}, which no metal does: both were moved to \
                         where it is possible",
                        own.lower, before[*lower], own.upper, before[*upper]
                    ));
                }
            }
        }
        warnings
    }

    fn is_broken(&self, values: &[f64]) -> bool {
        self.relations.iter().any(|(own, lower, upper)| !own.holds(values[*lower], values[*upper]))
    }

    fn move_apart(&self, values: &mut [f64]) {
        for _ in 0..ROUNDS {
            for (own, lower, upper) in &self.relations {
                if !own.holds(values[*lower], values[*upper]) {
                    let mean = (values[*lower] + values[*upper]) / 2.0;
                    let apart = if own.may_be_equal { 0.0 } else { APART / 2.0 * mean.abs() };
                    (values[*lower], values[*upper]) = (mean - apart, mean + apart);
                }
            }
            if !self.is_broken(values) {
                return;
            }
        }
        // What rounding leaves.
        for (own, lower, upper) in &self.relations {
            if !own.holds(values[*lower], values[*upper]) {
                let apart = if own.may_be_equal { 0.0 } else { APART * values[*lower].abs() };
                values[*upper] = values[*lower] + apart;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scale;

    fn targets(named: &[(&str, &str)]) -> Vec<Target> {
        let target =
            |(name, unit): &(&str, &str)| Target { name: (*name).into(), unit: (*unit).into(), scale: Scale::Linear };
        named.iter().map(target).collect()
    }

    fn held(targets: &[Target], values: &mut [f64]) -> Vec<String> {
        Physics::of(targets).hold(targets, values)
    }

    #[test]
    fn what_no_metal_does_is_moved_as_little_as_possible() {
        let steel = targets(&[("yield_strength", "MPa"), ("tensile_strength", "MPa"), ("elongation", "%")]);
        let mut fine = [400.0, 500.0, 20.0];
        assert!(held(&steel, &mut fine).is_empty());
        assert_eq!(fine, [400.0, 500.0, 20.0]);
        let mut values = [510.0, 500.0, -3.0];
        let warnings = held(&steel, &mut values);
        assert_eq!(values, [505.0, 505.0, 0.0]);
        assert!(warnings[0].contains("elongation was predicted as -3.0 %"), "{warnings:?}");
        assert!(warnings[1].contains("yield_strength was predicted as 510.0 MPa and tensile_strength as 500.0 MPa"));
    }

    #[test]
    fn chains_of_relations_hold_together() {
        let steel = targets(&[("fatigue_strength", "MPa"), ("tensile_strength", "MPa"), ("fracture_strength", "MPa")]);
        let mut values = [420.0, 336.0, 300.0];
        assert_eq!(held(&steel, &mut values).len(), 2);
        assert!(values[0] < values[1] && values[1] <= values[2], "{values:?}");
        // Different units are not compared.
        let mixed = targets(&[("yield_strength", "MPa"), ("tensile_strength", "GPa")]);
        let mut values = [400.0, 0.5];
        assert!(held(&mixed, &mut values).is_empty());
    }
}
