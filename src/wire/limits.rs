//! The limits of a specification, as they stand in a JSON body, in a query or on the command line.

use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};

use crate::domain::{RawLimits, Violation};
use crate::tables::Mapping;

/// Limits of one property; at least one of the two.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsInput {
    #[serde(default, deserialize_with = "given")]
    pub(super) min: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max: Option<f64>,
}

/// A number: a limit that is null is more likely a mistake than no limit.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

/// The schema of the limits of one property.
pub(super) fn limits_schema() -> ObjectBuilder {
    let limit = |text| ObjectBuilder::new().schema_type(Type::Number).description(Some(text));
    ObjectBuilder::new()
        .description(Some("Limits of one property, in its unit; at least one of the two"))
        .property("min", limit("Least value").examples([serde_json::json!(600.0)]))
        .property("max", limit("Largest value"))
        .min_properties(Some(1))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

/// Reads limits as pairs, `fatigue_strength=600` or `fatigue_strength:600`: the least values and the largest ones. Errors
/// are added to `violations`.
pub fn paired_limits(min: &[String], max: &[String], violations: &mut Vec<Violation>) -> Vec<RawLimits<'static>> {
    let mut limits: Vec<RawLimits> = Vec::new();
    for (field, texts) in [("min", min), ("max", max)] {
        for text in texts {
            let pair = Mapping::pair(text).ok();
            let Some((property, value)) = pair.and_then(|(property, value)| {
                Some((property, value.parse::<f64>().ok().filter(|own| own.is_finite())?))
            }) else {
                let detail = format!("\"{text}\" is no limit: write PROPERTY=NUMBER, such as \"fatigue_strength=600\"");
                violations.push(Violation::new(format!("/{field}"), detail));
                continue;
            };
            let known = limits.iter().position(|known| known.property == property.as_str());
            let place = known.unwrap_or_else(|| {
                limits.push(RawLimits { property: property.into(), min: None, max: None });
                limits.len() - 1
            });
            let limit = if field == "min" { &mut limits[place].min } else { &mut limits[place].max };
            if limit.replace(value).is_some() {
                let detail = format!("{} is limited twice", limits[place].property);
                violations.push(Violation::new(format!("/{field}"), detail));
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_limits() {
        let mut violations = Vec::new();
        let text = |own: &[&str]| own.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let min = text(&["fatigue_strength=600", "hardness:200"]);
        let limits = paired_limits(&min, &text(&["hardness=360"]), &mut violations);
        assert!(violations.is_empty());
        let wanted = RawLimits { property: "hardness".into(), min: Some(200.0), max: Some(360.0) };
        assert_eq!((limits.len(), &limits[1]), (2, &wanted));
        paired_limits(&text(&["hardness", "hardness=soft", "a=1", "a=2", "b=inf"]), &[], &mut violations);
        assert_eq!(violations.len(), 4, "{violations:?}");
    }
}
