//! Fits the distribution with which amounts that were not measured are estimated: a normal distribution of logarithms.
//!
//! Rows with the same amounts count once: a heat that was tested at ten temperatures is one heat. Where amounts are
//! missing in the rows themselves, means and covariances come from the EM algorithm: missing logarithms are replaced by
//! what the distribution expects of them, with their uncertainty, and the distribution is fitted again.

use std::collections::BTreeSet;

use crate::domain::{AmountDistribution, Composition, Element, ElementAmounts};

/// Largest number of different compositions; more are thinned out evenly.
const MOST_ROWS: usize = 5000;
/// Rounds of the EM algorithm if amounts are missing.
const ROUNDS: usize = 30;
/// Correlations are multiplied by this. Some ten amounts of some hundred alloys have correlations by chance; it was
/// chosen with `benches/imputation.rs`.
const KEPT_CORRELATION: f64 = 0.95;
/// Least variance of a logarithm, for elements with one amount in all rows.
const LEAST_VARIANCE: f64 = 1e-6;

/// The composition of a row without the amounts that were not measured, and the elements of these.
pub(in crate::data) type Row<'a> = (&'a Composition, &'a [Element]);

/// The distribution of the amounts of some elements over rows. Elements without any positive amount are left out;
/// `None` if none is left.
pub(in crate::data) fn fit_amounts(rows: &[Row], elements: &[Element]) -> Option<AmountDistribution> {
    let amount = |(composition, missing): &Row, element: Element| {
        (!missing.contains(&element)).then(|| composition.amount(element))
    };
    let own =
        elements.iter().filter_map(|element| marginal(*element, rows.iter().filter_map(|row| amount(row, *element))));
    let mut own: Vec<ElementAmounts> = own.collect();
    own.sort_by_key(|own| own.element);
    own.dedup_by_key(|own| own.element);
    let mut seen = BTreeSet::new();
    let mut logs: Vec<Vec<Option<f64>>> = Vec::new();
    for row in rows {
        let amounts: Vec<Option<f64>> = own.iter().map(|own| amount(row, own.element)).collect();
        if seen.insert(amounts.iter().map(|amount| amount.map(f64::to_bits)).collect::<Vec<_>>()) {
            logs.push(own.iter().zip(amounts).map(|(own, amount)| amount.map(|amount| own.log(amount))).collect());
        }
    }
    let step = logs.len().div_ceil(MOST_ROWS).max(1);
    let logs: Vec<Vec<Option<f64>>> = logs.into_iter().step_by(step).collect();
    if own.is_empty() || logs.is_empty() {
        return None;
    }
    let size = own.len();
    // To begin with, what is missing is taken as the mean.
    for (at, own) in own.iter_mut().enumerate() {
        let known: Vec<f64> = logs.iter().filter_map(|row| row[at]).collect();
        own.mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    }
    let filled = |own: &[ElementAmounts], row: &Vec<Option<f64>>| -> Vec<f64> {
        row.iter().zip(own).map(|(log, own)| log.unwrap_or(own.mean)).collect()
    };
    let complete = logs.iter().all(|row| row.iter().all(Option::is_some));
    let rows: Vec<Vec<f64>> = logs.iter().map(|row| filled(&own, row)).collect();
    let mut fitted = moments(&own, &rows, &vec![0.0; size * size]);
    for _ in 0..if complete { 0 } else { ROUNDS } {
        let mut uncertain = vec![0.0; size * size];
        let rows = logs.iter().map(|row| {
            let mut whole = filled(&fitted.elements, row);
            if row.iter().any(Option::is_none)
                && let Some(given) = fitted.given(row)
            {
                let count = given.unknown.len();
                for (a, at) in given.unknown.iter().enumerate() {
                    whole[*at] = given.mean[a];
                    for (b, other) in given.unknown.iter().enumerate() {
                        uncertain[at * size + other] += given.covariance[a * count + b];
                    }
                }
            }
            whole
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        fitted = moments(&fitted.elements, &rows, &uncertain);
    }
    Some(fitted).filter(AmountDistribution::is_sound)
}

/// Range and offset of one element; `None` if it never has a positive amount.
fn marginal(element: Element, amounts: impl Iterator<Item = f64>) -> Option<ElementAmounts> {
    let amounts: Vec<f64> = amounts.collect();
    let positive = amounts.iter().copied().filter(|amount| *amount > 0.0).fold(f64::INFINITY, f64::min);
    let least = amounts.iter().copied().fold(f64::INFINITY, f64::min);
    let most = amounts.iter().copied().fold(0.0, f64::max);
    let offset = if least > 0.0 { 0.0 } else { positive / 2.0 };
    positive.is_finite().then_some(ElementAmounts { element, least, most, offset, mean: 0.0 })
}

/// Means and covariances of rows; `uncertain` is added to their sums of squares.
fn moments(elements: &[ElementAmounts], rows: &[Vec<f64>], uncertain: &[f64]) -> AmountDistribution {
    let count = rows.len() as f64;
    let size = elements.len();
    let mean: Vec<f64> = (0..size).map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / count).collect();
    let mut covariance = Vec::with_capacity(size * (size + 1) / 2);
    for a in 0..size {
        for b in 0..=a {
            let sum: f64 = rows.iter().map(|row| (row[a] - mean[a]) * (row[b] - mean[b])).sum();
            let own = (sum + uncertain[a * size + b]) / count;
            covariance.push(if a == b { own.max(LEAST_VARIANCE) } else { KEPT_CORRELATION * own });
        }
    }
    let elements = elements.iter().zip(mean).map(|(own, mean)| ElementAmounts { mean, ..*own }).collect();
    AmountDistribution { elements, covariance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Basis;

    /// ln S = 2 ln P + 2, with a little noise; manganese goes its own way.
    fn alloys() -> Vec<Composition> {
        let alloy = |row: usize| {
            let log = -4.0 + 0.03 * (row * 7 % 40) as f64;
            let noise = 0.02 * ((row * 13 % 11) as f64 - 5.0);
            let manganese = 0.5 + 0.05 * (row * 5 % 9) as f64;
            let amounts =
                [(Element::P, log.exp()), (Element::S, (2.0 * log + 2.0 + noise).exp()), (Element::Mn, manganese)];
            Composition::new(Basis::WeightPercent, amounts).unwrap()
        };
        (0..40).map(alloy).collect()
    }

    const ELEMENTS: [Element; 3] = [Element::Mn, Element::P, Element::S];

    fn expected_sulphur(fitted: &AmountDistribution, phosphorus: f64) -> f64 {
        let logs = fitted.elements.iter().map(|own| match own.element {
            Element::P => Some(own.log(phosphorus)),
            Element::Mn => Some(own.log(0.6)),
            _ => None,
        });
        fitted.given(&logs.collect::<Vec<_>>()).unwrap().mean[0]
    }

    #[test]
    fn a_relation_is_found_with_and_without_holes() {
        let alloys = alloys();
        let rows: Vec<Row> = alloys.iter().map(|alloy| (alloy, &[][..])).collect();
        let whole = fit_amounts(&rows, &ELEMENTS).unwrap();
        let holes = |(at, alloy): (usize, &Composition)| alloy.without(ELEMENTS[at % 3]).filter(|_| at % 2 == 0);
        let holed: Vec<Option<Composition>> = alloys.iter().enumerate().map(holes).collect();
        let rows: Vec<Row> = alloys
            .iter()
            .zip(&holed)
            .enumerate()
            .map(|(at, (alloy, holed))| match holed {
                Some(holed) => (holed, &ELEMENTS[at % 3..at % 3 + 1]),
                None => (alloy, &[][..]),
            })
            .collect();
        let with_holes = fit_amounts(&rows, &ELEMENTS).unwrap();
        for fitted in [whole, with_holes] {
            for log in [-3.8f64, -3.4, -3.0] {
                let error = expected_sulphur(&fitted, log.exp()) - (2.0 * log + 2.0);
                // The slope is that of correlations that were made smaller.
                assert!(error.abs() < 0.12, "{error}");
            }
        }
    }

    #[test]
    fn repeated_rows_and_their_order_do_not_matter() {
        let alloys = alloys();
        let rows: Vec<Row> = alloys.iter().map(|alloy| (alloy, &[][..])).collect();
        let fitted = fit_amounts(&rows, &ELEMENTS).unwrap();
        let repeated: Vec<Row> = rows.iter().flat_map(|row| vec![*row; 1 + row.0.amounts().len()]).collect();
        assert_eq!(fit_amounts(&repeated, &ELEMENTS), Some(fitted.clone()));
        assert_eq!(fit_amounts(&rows, &[Element::S, Element::Mn, Element::P]), Some(fitted));
    }

    #[test]
    fn what_never_varies_or_never_occurs_breaks_nothing() {
        let same = Composition::new(Basis::WeightPercent, [(Element::P, 0.01)]).unwrap();
        let rows: Vec<Row> = vec![(&same, &[]); 5];
        let fitted = fit_amounts(&rows, &ELEMENTS).unwrap();
        assert!(fitted.knows(Element::P) && !fitted.knows(Element::S));
        assert_eq!(fit_amounts(&rows, &[Element::S]), None);
        assert_eq!(fit_amounts(&[(&same, &[Element::P])], &[Element::P]), None);
    }
}
