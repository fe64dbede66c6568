//! The unscaled inputs of a model for one sample: the feature row and the pixels.
//!
//! The `features` section of a bundle describes which numbers they contain, and in which order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Basis, Composition, ProcessValue, Sample, Schema};

use super::image::{PIXELS, pixels};
use super::statistics::descriptors;

/// Which inputs a model uses in addition to the amounts of the schema's elements and the process parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Adds four structure features: mixing entropy (in units of R), number of elements, largest and second-largest
    /// atomic fraction.
    #[serde(default)]
    pub structure: bool,
    /// The composition as an image of element properties; no image if not given.
    #[serde(default)]
    pub image: Option<ImageSpec>,
}

/// The composition that the image shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Basis of the amounts: `"weight_percent"` or `"atomic_percent"`.
    #[schemars(with = "String")]
    pub basis: Basis,
    /// Whether the balance element is included. The paper leaves iron out of its steels.
    pub balance: bool,
}

/// The features of one sample, unscaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Amounts of the schema's elements, structure features, process parameters (categories one-hot).
    pub row: Vec<f64>,
    /// The image, row by row; `None` for a model without image channel.
    pub pixels: Option<Box<[f64; PIXELS]>>,
    /// If not all amounts of the sample are known: what it may be, for a model to be asked instead.
    pub draws: Option<Box<Draws>>,
}

impl Features {
    /// Number of points that a model is asked: one, or the number of draws.
    pub fn points(&self) -> usize {
        self.draws.as_ref().map_or(1, |draws| draws.compositions.len())
    }
}

/// Compositions that together stand for one of which not all amounts are known, with the sample's process parameters.
/// Their features are computed only when a pass needs them, because they take ten times the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    compositions: Vec<Composition>,
    processing: Vec<ProcessValue>,
}

impl Draws {
    /// The features of each draw. `schema` and `spec` must be those of the sample's features.
    pub fn features<'a>(&'a self, schema: &'a Schema, spec: &'a FeatureSpec) -> impl Iterator<Item = Features> + 'a {
        self.compositions.iter().map(|composition| of_parts(composition, &self.processing, schema, spec))
    }
}

/// Length of the feature row.
pub fn row_width(schema: &Schema, spec: &FeatureSpec) -> usize {
    let structure = if spec.structure { 4 } else { 0 };
    let processing: usize = schema.processing.iter().map(|parameter| parameter.width()).sum();
    schema.composition.elements.len() + structure + processing
}

/// Computes the features of a sample. The sample must have been parsed with the same schema.
pub fn featurize(sample: &Sample, schema: &Schema, spec: &FeatureSpec) -> Features {
    let (compositions, processing) = (sample.draws(), sample.processing());
    let draws = (!compositions.is_empty())
        .then(|| Box::new(Draws { compositions: compositions.to_vec(), processing: processing.to_vec() }));
    Features { draws, ..of_parts(sample.composition(), processing, schema, spec) }
}

fn of_parts(composition: &Composition, processing: &[ProcessValue], schema: &Schema, spec: &FeatureSpec) -> Features {
    let mut row = Vec::with_capacity(row_width(schema, spec));
    row.extend(schema.composition.elements.iter().map(|range| composition.amount(range.element)));
    if spec.structure {
        row.extend(structure(composition));
    }
    for (value, parameter) in processing.iter().zip(&schema.processing) {
        match value {
            ProcessValue::Number(number) => row.push(*number),
            ProcessValue::Level(level) => {
                row.extend((0..parameter.width()).map(|column| f64::from(u8::from(column == *level))));
            }
        }
    }
    Features { row, pixels: spec.image.map(|image| pixels_of(composition, schema, image)), draws: None }
}

fn pixels_of(composition: &Composition, schema: &Schema, spec: ImageSpec) -> Box<[f64; PIXELS]> {
    let balance = schema.composition.balance.filter(|_| !spec.balance);
    let shown = match balance {
        None => Some(composition.to_basis(spec.basis)),
        Some(balance) => composition.to_basis(spec.basis).without(balance),
    };
    // A pure balance element that is excluded from the image gives a black image.
    shown.map_or_else(|| Box::new([0.0; PIXELS]), |composition| pixels(&descriptors(&composition)))
}

fn structure(composition: &Composition) -> [f64; 4] {
    let atomic = composition.to_basis(Basis::AtomicPercent).scaled_to(1.0);
    let (mut entropy, mut largest, mut second) = (0.0, 0.0f64, 0.0f64);
    for (_, fraction) in atomic.amounts() {
        entropy -= fraction * fraction.ln();
        second = second.max(fraction.min(largest));
        largest = largest.max(*fraction);
    }
    [entropy, atomic.amounts().len() as f64, largest, second]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_formula;

    #[test]
    fn structure_of_an_equimolar_alloy() {
        let [entropy, count, largest, second] = structure(&parse_formula("CoCrFeMnNi").unwrap());
        assert!((entropy - 5f64.ln()).abs() < 1e-12);
        assert_eq!(count, 5.0);
        assert!((largest - 0.2).abs() < 1e-12 && (second - 0.2).abs() < 1e-12);
    }

    #[test]
    fn structure_of_a_binary() {
        let [_, _, largest, second] = structure(&parse_formula("Cu64Zr36").unwrap());
        assert!((largest - 0.64).abs() < 1e-12 && (second - 0.36).abs() < 1e-12);
    }
}
