//! How the amounts of elements vary together over the training rows: a normal distribution of their logarithms.
//!
//! An amount that was not measured is estimated from the others with it, by its conditional mean, and drawn around that
//! mean, because what depends on it is uncertain. The distribution belongs to the schema of a model; it holds means and
//! covariances, no rows. It is fitted in `data`.

use serde::{Deserialize, Serialize};

use super::Element;
use super::cholesky::Cholesky;

/// Largest number of draws. Beyond 15 unknown amounts, some vary together in the draws.
const MOST_DRAWS: usize = 16;

/// The joint distribution of the amounts of several elements, on the basis of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmountDistribution {
    /// The elements, in order of atomic number.
    pub elements: Vec<ElementAmounts>,
    /// Covariances of the logarithms: the lower triangle, row by row.
    pub covariance: Vec<f64>,
}

/// The amounts of one element over the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementAmounts {
    /// The element.
    pub element: Element,
    /// Least amount that was measured.
    pub least: f64,
    /// Largest amount that was measured.
    pub most: f64,
    /// Added to an amount before its logarithm is taken: 0, or half of the least positive amount if it is 0 in some
    /// rows.
    pub offset: f64,
    /// Mean of the logarithms.
    pub mean: f64,
}

impl ElementAmounts {
    /// The logarithm of an amount. Amounts outside the training range count as its ends: beyond it, nothing is known
    /// of how amounts vary together.
    pub fn log(&self, amount: f64) -> f64 {
        (amount.max(self.least).min(self.most) + self.offset).ln()
    }

    /// The amount of a logarithm, within the training range.
    fn amount(&self, log: f64) -> f64 {
        (log.exp() - self.offset).max(self.least).min(self.most)
    }

    fn is_sound(&self) -> bool {
        let Self { least, most, offset, mean, .. } = *self;
        [most, offset, mean].iter().all(|number| number.is_finite())
            && least >= 0.0
            && least <= most
            && offset >= 0.0
            && least + offset > 0.0
    }
}

/// What is known of unknown amounts, given the others: a normal distribution of their logarithms.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// Places of the unknown amounts among the distribution's elements.
    pub unknown: Vec<usize>,
    /// Their means.
    pub mean: Vec<f64>,
    /// Their covariances, row by row.
    pub covariance: Vec<f64>,
}

/// Amounts that were not measured, as they are estimated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimated {
    /// The most plausible amount of each element (three significant digits).
    pub(super) amounts: Vec<(Element, f64)>,
    /// Amounts of the same elements that together stand for what they may be.
    pub(super) draws: Vec<Vec<f64>>,
}

impl AmountDistribution {
    /// Whether amounts of this element can be estimated.
    pub fn knows(&self, element: Element) -> bool {
        self.elements.iter().any(|own| own.element == element)
    }

    /// Whether the numbers are consistent. A loaded bundle relies on it.
    pub fn is_sound(&self) -> bool {
        let size = self.elements.len();
        self.elements.iter().all(ElementAmounts::is_sound)
            && self.elements.windows(2).all(|pair| pair[0].element < pair[1].element)
            && self.covariance.len() == size * (size + 1) / 2
            && Cholesky::of(size, |row, column| self.entry(row, column)).is_some()
    }

    fn entry(&self, row: usize, column: usize) -> f64 {
        let (row, column) = (row.max(column), row.min(column));
        self.covariance.get(row * (row + 1) / 2 + column).copied().unwrap_or(f64::NAN)
    }

    /// The distribution of the unknown logarithms, given those that are `Some`. `None` if the covariances are not
    /// positive definite.
    pub fn given(&self, logs: &[Option<f64>]) -> Option<Conditional> {
        let part = |known: bool| (0..self.elements.len()).filter(move |at| logs[*at].is_some() == known);
        let (known, unknown): (Vec<usize>, Vec<usize>) = (part(true).collect(), part(false).collect());
        let factor = Cholesky::of(known.len(), |row, column| self.entry(known[row], known[column]))?;
        let centred = known.iter().map(|at| logs[*at].unwrap_or_default() - self.elements[*at].mean);
        let centred = factor.forward(centred.collect());
        // Of each unknown amount: L⁻¹ times its covariances with the known ones.
        let explained: Vec<Vec<f64>> = unknown
            .iter()
            .map(|at| factor.forward(known.iter().map(|other| self.entry(*at, *other)).collect()))
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mean = unknown.iter().zip(&explained).map(|(at, own)| self.elements[*at].mean + dot(own, &centred));
        let mut covariance = Vec::with_capacity(unknown.len() * unknown.len());
        for (row, a) in unknown.iter().zip(&explained) {
            covariance.extend(unknown.iter().zip(&explained).map(|(column, b)| self.entry(*row, *column) - dot(a, b)));
        }
        Some(Conditional { mean: mean.collect(), covariance, unknown })
    }

    /// Estimates the amounts of `unknown` elements, given the amounts of all others that the distribution knows.
    /// `unknown` must be sorted and known to the distribution.
    pub(super) fn estimate(&self, amount: impl Fn(Element) -> f64, unknown: &[Element]) -> Estimated {
        let is_unknown = |own: &ElementAmounts| unknown.contains(&own.element);
        let logs: Vec<Option<f64>> =
            self.elements.iter().map(|own| (!is_unknown(own)).then(|| own.log(amount(own.element)))).collect();
        let own: Vec<&ElementAmounts> = self.elements.iter().filter(|own| is_unknown(own)).collect();
        let size = own.len();
        let factored = self.given(&logs).and_then(|given| {
            let factor = Cholesky::of(size, |row, column| given.covariance[row * size + column])?;
            Some((given.mean, factor))
        });
        // A loaded bundle's covariances can be factored; otherwise the means are all there is.
        let (mean, factor) = match factored {
            Some((mean, factor)) => (mean, Some(factor)),
            None => (own.iter().map(|own| own.mean).collect(), None),
        };
        let amounts = own
            .iter()
            .zip(&mean)
            .map(|(own, mean)| (own.element, three_digits(own.amount(*mean)).max(own.least).min(own.most)));
        let draw = |point: usize| {
            let signs: Vec<f64> = (0..size).map(|dimension| sign(point, dimension)).collect();
            let moved = factor.as_ref().map_or_else(|| vec![0.0; size], |factor| factor.times(&signs));
            own.iter().zip(&mean).zip(moved).map(|((own, mean), moved)| own.amount(mean + moved)).collect()
        };
        Estimated { amounts: amounts.collect(), draws: (0..draws(size)).map(draw).collect() }
    }
}

/// Number of draws for `unknown` amounts: a power of two above it.
///
/// The draws are the points of a two-level orthogonal design, one standard deviation from the mean in each direction.
/// So few points reproduce mean and covariance exactly: for what depends linearly on the logarithms, mean and spread
/// over the draws are exact, where as many random draws would miss them by a quarter.
fn draws(unknown: usize) -> usize {
    (unknown + 1).next_power_of_two().min(MOST_DRAWS)
}

/// The sign of a dimension in a point of the design: an entry of a Hadamard matrix without its first column.
fn sign(point: usize, dimension: usize) -> f64 {
    let column = dimension % (MOST_DRAWS - 1) + 1;
    if (point & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Rounds to three significant digits, as many as analyses have.
fn three_digits(amount: f64) -> f64 {
    format!("{amount:.2e}").parse().unwrap_or(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ln P = ln S + 0.5 · (deviation of Mn from its mean) + noise.
    fn distribution() -> AmountDistribution {
        let own = |element, mean: f64| ElementAmounts { element, least: 0.001, most: 2.0, offset: 0.0, mean };
        AmountDistribution {
            elements: vec![own(Element::P, 0.02f64.ln()), own(Element::S, 0.02f64.ln()), own(Element::Mn, 0.8f64.ln())],
            // Var S = .25, Var Mn = .04, Var P = .25 + .25 · .04 + .01.
            covariance: vec![0.27, 0.25, 0.25, 0.02, 0.0, 0.04],
        }
    }

    #[test]
    fn a_linear_relation_of_logarithms_is_recovered() {
        let distribution = distribution();
        assert!(distribution.is_sound());
        let known = |element| if element == Element::S { 0.01 } else { 0.4 };
        let estimated = distribution.estimate(known, &[Element::P]);
        let wanted = 0.01 * 0.5f64.sqrt();
        assert!((estimated.amounts[0].1 / wanted - 1.0).abs() < 5e-3, "{estimated:?}");
        let logs: Vec<f64> = estimated.draws.iter().map(|draw| draw[0].ln()).collect();
        assert_eq!(logs.len(), 2);
        assert!((logs[0] - wanted.ln() - 0.1).abs() < 1e-9 && (logs[1] - wanted.ln() + 0.1).abs() < 1e-9);
    }

    #[test]
    fn draws_have_the_mean_and_the_covariance_of_what_is_unknown() {
        let distribution = distribution();
        let unknown = [Element::P, Element::S, Element::Mn];
        let draws = distribution.estimate(|_| 0.0, &unknown).draws;
        assert_eq!(draws.len(), 4);
        let logs: Vec<Vec<f64>> = draws.iter().map(|draw| draw.iter().map(|amount| amount.ln()).collect()).collect();
        for row in 0..3 {
            let mean = distribution.elements[row].mean;
            assert!((logs.iter().map(|log| log[row]).sum::<f64>() / 4.0 - mean).abs() < 1e-9);
            for column in 0..3 {
                let both = |log: &Vec<f64>| (log[row] - mean) * (log[column] - distribution.elements[column].mean);
                let covariance = logs.iter().map(both).sum::<f64>() / 4.0;
                assert!((covariance - distribution.entry(row, column)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn estimates_stay_within_the_training_range() {
        let mut distribution = distribution();
        distribution.elements[0].most = 0.02;
        for sulphur in [0.0, 1e-9, 0.02, 50.0] {
            let known = |element| if element == Element::S { sulphur } else { 0.8 };
            let estimated = distribution.estimate(known, &[Element::P]);
            let all = estimated.draws.iter().flatten().chain([&estimated.amounts[0].1]);
            assert!(all.copied().all(|amount| (0.001..=0.02).contains(&amount)), "{estimated:?}");
        }
    }

    #[test]
    fn numbers_that_do_not_belong_together_are_found() {
        let sound = distribution();
        let mut short = sound.clone();
        short.covariance.pop();
        let mut indefinite = sound.clone();
        indefinite.covariance[1] = 5.0;
        let mut unsorted = sound.clone();
        unsorted.elements.swap(0, 1);
        let mut never = sound;
        (never.elements[0].least, never.elements[0].offset) = (0.0, 0.0);
        for broken in [short, indefinite, unsorted, never] {
            assert!(!broken.is_sound(), "{broken:?}");
            // It must not panic all the same.
            broken.estimate(|_| 0.1, &[Element::P]);
        }
    }
}
