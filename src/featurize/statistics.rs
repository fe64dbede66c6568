//! Seven statistics of 58 element properties: the 406 descriptors of a composition (the paper's Table 1).
//!
//! The numbers must agree with XenonPy, except for artefacts of its arithmetic. Here the geometric mean is computed in
//! the log domain with normalised weights, so it cannot overflow. If all values are negative, it is −exp(Σ w·ln|f|).
//! With a zero or mixed signs, the geometric and harmonic means are 0.

use crate::domain::Composition;

use super::table::{PROPERTIES, property_logarithms, property_names, property_values};

/// Number of descriptors: 7 statistics × 58 properties.
pub const DESCRIPTORS: usize = STATISTICS.len() * PROPERTIES;

/// A statistic over the elements of a composition, with amounts a and weights w = a / Σa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Σ w·f
    Average,
    /// Σ a·f: the only statistic that depends on the scale of the amounts.
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

/// The 406 descriptors of one composition, in XenonPy's order: by statistic, then by property.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptors([f64; DESCRIPTORS]);

impl Descriptors {
    /// All values, labelled by [`descriptor_label`].
    pub fn values(&self) -> &[f64; DESCRIPTORS] {
        &self.0
    }
}

/// The descriptors of a composition. Amounts are used as given (only `sum:` depends on their scale).
pub fn descriptors(composition: &Composition) -> Descriptors {
    let total = composition.total();
    let mut values = [0.0; DESCRIPTORS];
    let (blocks, _) = values.as_chunks_mut::<PROPERTIES>();
    let [average, sum, variance, geometric, harmonic, maximum, minimum] = blocks else { return Descriptors(values) };
    (*maximum, *minimum) = ([f64::NEG_INFINITY; PROPERTIES], [f64::INFINITY; PROPERTIES]);
    // For each element, loop over all properties: long loops are vectorised.
    for (element, amount) in composition.amounts() {
        let (weight, of_element) = (amount / total, property_values(*element));
        for (property, value) in of_element.iter().enumerate() {
            average[property] += weight * value;
            harmonic[property] += weight / value;
            maximum[property] = if *value > maximum[property] { *value } else { maximum[property] };
            minimum[property] = if *value < minimum[property] { *value } else { minimum[property] };
        }
        for (sum, logarithm) in geometric.iter_mut().zip(property_logarithms(*element)) {
            *sum += weight * logarithm;
        }
    }
    for (element, amount) in composition.amounts() {
        let weight = amount / total;
        for ((sum, average), value) in variance.iter_mut().zip(&*average).zip(property_values(*element)) {
            *sum += weight * (value - average).powi(2);
        }
    }
    for property in 0..PROPERTIES {
        sum[property] = average[property] * total;
        // If a value is zero, the logarithm and the reciprocal are infinite. They are not used then.
        let sign = match () {
            () if minimum[property] > 0.0 => 1.0,
            () if maximum[property] < 0.0 => -1.0,
            () => 0.0,
        };
        let one_sign = sign != 0.0;
        geometric[property] = if one_sign { sign * geometric[property].exp() } else { 0.0 };
        harmonic[property] = if one_sign { 1.0 / harmonic[property] } else { 0.0 };
    }
    Descriptors(values)
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
                // A variance that should be 0 has a rounding error that grows with the size of the values.
                let scale = first.values()[index % PROPERTIES].powi(2).max(1.0);
                prop_assert!(close(*after, wanted) || (after - wanted).abs() < 1e-12 * scale, "{}", descriptor_label(index));
            }
        }
    }
}
