//! A specification: limits that the properties of a material must keep, such as a fatigue strength of at least 600 MPa.

use std::borrow::Cow;

use super::{Outputs, Violation};

/// Limits of one property, as stated by a user.
#[derive(Clone, Debug, PartialEq)]
pub struct RawLimits<'a> {
    /// Name of the property.
    pub property: Cow<'a, str>,
    /// Least value, in the property's unit.
    pub min: Option<f64>,
    /// Largest value, in the property's unit.
    pub max: Option<f64>,
}

/// Limits of one property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PropertyLimits {
    /// Index of the property among the outputs.
    pub output: usize,
    /// Least value, in the property's unit; minus infinity without a limit.
    pub min: f64,
    /// Largest value, in the property's unit; infinity without a limit.
    pub max: f64,
}

impl PropertyLimits {
    /// Whether a value keeps the limits.
    pub fn hold(&self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// The limits that a sample must keep, at most one pair for each property; without any if nothing is specified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Specification(Vec<PropertyLimits>);

impl Specification {
    /// Checks limits against the outputs of a model. Errors are added to `violations`, with pointers below
    /// `/specification`.
    pub fn parse(raw: &[RawLimits], outputs: &Outputs, violations: &mut Vec<Violation>) -> Self {
        let targets = match outputs {
            Outputs::Regression { targets } => targets,
            Outputs::Classification { .. } if raw.is_empty() => return Self::default(),
            Outputs::Classification { .. } => {
                let detail = "a classifier predicts no properties that limits could be set for";
                violations.push(Violation::new("/specification", detail));
                return Self::default();
            }
        };
        let mut limits: Vec<PropertyLimits> = Vec::new();
        for RawLimits { property, min, max } in raw {
            let mut complain =
                |detail: String| violations.push(Violation::new(Violation::child("/specification", property), detail));
            let Some(output) = targets.iter().position(|target| target.name == *property) else {
                let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
                complain(format!("is no property of this model; it predicts {}", known.join(", ")));
                continue;
            };
            if limits.iter().any(|known| known.output == output) {
                complain("is given twice".to_owned());
                continue;
            }
            match (min, max) {
                (None, None) => complain("needs a min or a max".to_owned()),
                _ if [min, max].into_iter().flatten().any(|limit| !limit.is_finite()) => {
                    complain("limits must be finite numbers".to_owned());
                }
                (Some(min), Some(max)) if min > max => {
                    complain(format!("min ({min}) is larger than max ({max})"));
                }
                _ => limits.push(PropertyLimits {
                    output,
                    min: min.unwrap_or(f64::NEG_INFINITY),
                    max: max.unwrap_or(f64::INFINITY),
                }),
            }
        }
        Self(limits)
    }

    /// The limits, in the order in which they were given.
    pub fn limits(&self) -> &[PropertyLimits] {
        &self.0
    }

    /// Whether nothing is specified.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Scale, Target};

    fn parse(raw: &[(&str, Option<f64>, Option<f64>)]) -> (Specification, Vec<String>) {
        let target = |name: &str| Target { name: name.to_owned(), unit: "MPa".to_owned(), scale: Scale::Linear };
        let outputs = Outputs::Regression { targets: ["fatigue_strength", "hardness"].map(target).to_vec() };
        let raw: Vec<RawLimits> =
            raw.iter().map(|(name, min, max)| RawLimits { property: (*name).into(), min: *min, max: *max }).collect();
        let mut violations = Vec::new();
        let specification = Specification::parse(&raw, &outputs, &mut violations);
        (specification, violations.into_iter().map(|found| format!("{}: {}", found.pointer, found.detail)).collect())
    }

    #[test]
    fn limits_are_checked_against_the_properties() {
        let (specification, wrong) = parse(&[("hardness", None, Some(360.0)), ("fatigue_strength", Some(600.0), None)]);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(specification.limits().iter().map(|limits| limits.output).collect::<Vec<_>>(), [1, 0]);
        assert!(specification.limits()[0].hold(360.0) && !specification.limits()[0].hold(360.1));
        assert!(!specification.limits()[1].hold(599.9));
    }

    #[test]
    fn every_mistake_is_named() {
        let (specification, wrong) = parse(&[
            ("elongation", Some(1.0), None),
            ("hardness", None, None),
            ("fatigue_strength", Some(2.0), Some(1.0)),
            ("fatigue_strength", Some(f64::NAN), None),
        ]);
        assert!(specification.is_empty());
        let expected = ["is no property", "needs a min or a max", "larger than max", "finite"];
        assert!(wrong.len() == 4 && wrong.iter().zip(expected).all(|(own, part)| own.contains(part)), "{wrong:?}");
        assert!(
            wrong[0].starts_with("/specification/elongation: ") && wrong[0].ends_with("fatigue_strength, hardness")
        );
    }
}
