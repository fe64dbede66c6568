//! Seven statistics of 58 element properties: the 406 descriptors of a composition (the paper's Table 1).
//!
//! Its own because this is the one place where numbers must agree with XenonPy. It departs from XenonPy
//! only where that is an artefact of its arithmetic: the geometric mean is taken in the log domain with
//! normalised weights, so it cannot overflow; where all values are negative it is −exp(Σ w·ln|f|); with a
//! zero or mixed signs the geometric and harmonic means are 0.

use crate::domain::Composition;

use super::table::{PROPERTIES, property_names, property_values};

/// Number of descriptors: 7 statistics × 58 properties.
pub const DESCRIPTORS: usize = STATISTICS.len() * PROPERTIES;

/// A statistic over the elements of a composition, with amounts a and weights w = a / Σa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Σ w·f
    Average,
    /// Σ a·f: the only one that depends on the scale of the amounts.
    Sum,
    /// Σ w·(f − average)²
    Variance,
    /// exp(Σ w·ln f)
    GeometricMean,
    /// 1 / Σ (w/f)
    HarmonicMean,
    /// Largest f.
    Maximum,
    /// Least f.
    Minimum,
}

/// The statistics in the order of XenonPy's blocks.
pub const STATISTICS: [Statistic; 7] = [
    Statistic::Average,
    Statistic::Sum,
    Statistic::Variance,
    Statistic::GeometricMean,
    Statistic::HarmonicMean,
    Statistic::Maximum,
    Statistic::Minimum,
];

impl Statistic {
    /// XenonPy's prefix, such as `gmean`.
    pub fn prefix(self) -> &'static str {
        match self {
            Statistic::Average => "ave",
            Statistic::Sum => "sum",
            Statistic::Variance => "var",
            Statistic::GeometricMean => "gmean",
            Statistic::HarmonicMean => "hmean",
            Statistic::Maximum => "max",
            Statistic::Minimum => "min",
        }
    }
}

/// XenonPy's label of a descriptor, such as `ave:atomic_number`.
pub fn descriptor_label(index: usize) -> String {
    format!("{}:{}", STATISTICS[index / PROPERTIES].prefix(), property_names()[index % PROPERTIES])
}

/// The 406 descriptors of one composition, in XenonPy's order: block by statistic, then by property.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptors(Box<[f64; DESCRIPTORS]>);

impl Descriptors {
    /// All values; [`descriptor_label`] names them.
    pub fn values(&self) -> &[f64; DESCRIPTORS] {
        &self.0
    }
}

/// The descriptors of a composition, with the amounts as they stand (only `sum:` sees their scale).
pub fn descriptors(composition: &Composition) -> Descriptors {
    let total = composition.total();
    let elements: Vec<(f64, &[f64; PROPERTIES])> =
        composition.amounts().iter().map(|(element, amount)| (amount / total, property_values(*element))).collect();
    let mut values = Box::new([0.0; DESCRIPTORS]);
    for property in 0..PROPERTIES {
        let statistics = of_property(&elements, property, total);
        for (block, value) in statistics.into_iter().enumerate() {
            values[block * PROPERTIES + property] = value;
        }
    }
    Descriptors(values)
}

/// The seven statistics of one property over (weight, properties) pairs.
fn of_property(elements: &[(f64, &[f64; PROPERTIES])], property: usize, total: f64) -> [f64; 7] {
    let (mut average, mut logarithm, mut reciprocal) = (0.0, 0.0, 0.0);
    let (mut maximum, mut minimum) = (f64::NEG_INFINITY, f64::INFINITY);
    for (weight, properties) in elements {
        let value = properties[property];
        average += weight * value;
        logarithm += weight * value.abs().ln();
        reciprocal += weight / value;
        maximum = maximum.max(value);
        minimum = minimum.min(value);
    }
    let variance = elements.iter().map(|(weight, properties)| weight * (properties[property] - average).powi(2)).sum();
    // With a zero among the values the logarithm and the reciprocal are infinite, and neither is used.
    let (geometric, harmonic) = if minimum > 0.0 {
        (logarithm.exp(), 1.0 / reciprocal)
    } else if maximum < 0.0 {
        (-logarithm.exp(), 1.0 / reciprocal)
    } else {
        (0.0, 0.0)
    };
    [average, average * total, variance, geometric, harmonic, maximum, minimum]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Basis, Element, parse_formula};
    use proptest::prelude::*;

    fn any_amounts() -> impl Strategy<Value = Vec<(Element, f64)>> {
        prop::collection::btree_map(0usize..94, 0.01f64..100.0, 1..10)
            .prop_map(|parts| parts.into_iter().map(|(index, amount)| (Element::ALL[index], amount)).collect())
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1e-6)
    }

    #[test]
    fn one_element_alone_is_its_own_mean() {
        for element in Element::ALL {
            let alone = descriptors(&Composition::new(Basis::AtomicPercent, [(element, 30.0)]).unwrap());
            for (property, value) in property_values(element).iter().enumerate() {
                for block in [0, 3, 4, 5, 6] {
                    let got = alone.values()[block * PROPERTIES + property];
                    assert!(close(got, *value), "{element} {}: {got}", descriptor_label(block * PROPERTIES + property));
                }
                assert!(alone.values()[2 * PROPERTIES + property].abs() < 1e-9);
            }
        }
    }

    #[test]
    fn always_finite_where_xenonpy_overflows() {
        for formula in ["Pu100000", "H1He2", "Fe1000000W1000000", "Cs70F30"] {
            let values = descriptors(&parse_formula(formula).unwrap());
            assert!(values.values().iter().all(|value| value.is_finite()), "{formula}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_elements_does_not_matter(amounts in any_amounts(), seed in any::<u64>()) {
            let mut shuffled = amounts.clone();
            let len = shuffled.len();
            for at in 0..len {
                shuffled.swap(at, (seed as usize).wrapping_mul(at + 7) % len);
            }
            let first = Composition::new(Basis::AtomicPercent, amounts).unwrap();
            let second = Composition::new(Basis::AtomicPercent, shuffled).unwrap();
            prop_assert_eq!(descriptors(&first), descriptors(&second));
        }

        #[test]
        fn scaling_the_amounts_changes_only_the_sums(amounts in any_amounts(), factor in 0.01f64..100.0) {
            let first = Composition::new(Basis::AtomicPercent, amounts).unwrap();
            let scaled = first.scaled_to(first.total() * factor);
            let (first, scaled) = (descriptors(&first), descriptors(&scaled));
            for (index, (before, after)) in first.values().iter().zip(scaled.values()).enumerate() {
                let wanted = if index / PROPERTIES == 1 { before * factor } else { *before };
                // A variance that should be 0 keeps the rounding of values as large as the property.
                let scale = first.values()[index % PROPERTIES].powi(2).max(1.0);
                prop_assert!(close(*after, wanted) || (after - wanted).abs() < 1e-12 * scale, "{}", descriptor_label(index));
            }
        }
    }
}
