//! Fingerprints of training rows. They show whether a version was trained on a row, without storing the row.
//!
//! Versions depend on the text below: if it changes, all rows of older bundles look new.

use std::fmt::Write;

use crate::data::label::Label;
use crate::domain::{Composition, Outputs, ParameterKind, ProcessValue, Sample, Schema};
use crate::model::sha256_hex;

/// Hexadecimal digits kept of the SHA-256. They are 64 bits, enough to make collisions among a million rows very
/// unlikely.
const DIGITS: usize = 16;

/// The fingerprint of a row, in hexadecimal. It depends on the stated values, not on the order of columns, nor on
/// values assumed for missing ones. `schema` must be the one used to check the sample; its ranges, medians and defaults
/// do not matter.
pub fn row_digest(sample: &Sample, label: &Label, schema: &Schema) -> String {
    sha256_hex(canonical(sample, label, schema).as_bytes()).chars().take(DIGITS).collect()
}

/// The amounts of a composition as text. Equal amounts give equal texts.
pub(in crate::data) fn composition_text(composition: &Composition) -> String {
    let mut text = composition.basis().unit().to_owned();
    for (element, amount) in composition.amounts() {
        // Amounts are results of a division by their sum; more digits would be rounding errors.
        let _ = write!(text, " {element}={amount:.6}");
    }
    text
}

fn canonical(sample: &Sample, label: &Label, schema: &Schema) -> String {
    // Estimates depend on other rows.
    let mut text = composition_text(sample.measured());
    for element in sample.unmeasured() {
        let _ = write!(text, " {element}=");
    }
    let assumed = |name: &str| sample.assumed().iter().any(|(assumed, _)| assumed == name);
    let value = |(parameter, value): (&crate::domain::Parameter, &ProcessValue)| match (&parameter.kind, value) {
        // The assumed value depends on other rows.
        _ if assumed(&parameter.name) => format!("{}=", parameter.name),
        (ParameterKind::Categorical { levels, .. }, ProcessValue::Level(level)) => {
            format!("{}={}", parameter.name, levels.get(*level).map_or("", String::as_str))
        }
        (_, ProcessValue::Number(number)) => format!("{}={}", parameter.name, unsigned_zero(*number)),
        (_, ProcessValue::Level(level)) => format!("{}={level}", parameter.name),
    };
    append(&mut text, schema.processing.iter().zip(sample.processing()).map(value).collect());
    let labels = match (label, &schema.outputs) {
        (Label::Values(values), Outputs::Regression { targets }) => targets
            .iter()
            .zip(values)
            .map(|(target, value)| match value {
                Some(value) => format!("{}={}", target.name, unsigned_zero(*value)),
                None => format!("{}=", target.name),
            })
            .collect(),
        (Label::Class(class), Outputs::Classification { classes }) => {
            classes.get(*class).cloned().into_iter().collect()
        }
        (Label::Values(_) | Label::Class(_) | Label::AnyOf { .. }, _) => Vec::new(),
    };
    append(&mut text, labels);
    text
}

fn append(text: &mut String, mut parts: Vec<String>) {
    parts.sort_unstable();
    text.push('\n');
    text.push_str(&parts.join("\n"));
}

/// Replaces −0 by 0.
fn unsigned_zero(value: f64) -> f64 {
    value + 0.0
}

#[cfg(test)]
mod tests {
    use crate::data::dataset::Dataset;
    use crate::data::fixture::{HEADER, RECIPE};
    use crate::data::recipe::Recipe;

    fn digests(recipe: &str, header: &str, row: &str) -> Vec<String> {
        let recipe = Recipe::parse(recipe).unwrap();
        let text = format!("{header}\n{}", format!("{row}\n").repeat(10));
        let data = Dataset::read(text.as_bytes(), &recipe).unwrap();
        data.digests(&recipe.blank_schema(), &[0, 9])
    }

    #[test]
    fn a_row_is_known_by_what_it_states() {
        let digest = digests(RECIPE, HEADER, "h1,0.4,10,a,200,650");
        assert!(digest[0].len() == 16 && digest[0] == digest[1]);
        assert_eq!(digest, digests(RECIPE, HEADER, "another,0.40,10.0,a,2e2,650"), "the group is not part of it");
        let swapped = RECIPE.replace(
            r#"{ name = "time" }, { name = "melt", levels = ["a", "b"] }"#,
            r#"{ name = "melt", levels = ["b", "a"] }, { name = "time" }"#,
        );
        assert_eq!(digest, digests(&swapped, "heat,strength,melt,C,hardness,time", "h1,650,a,0.4,200,10"));
        for other in ["h1,0.41,10,a,200,650", "h1,0.4,11,a,200,650", "h1,0.4,10,b,200,650", "h1,0.4,10,a,200,651"] {
            assert_ne!(digest, digests(RECIPE, HEADER, other), "{other}");
        }
    }
}
