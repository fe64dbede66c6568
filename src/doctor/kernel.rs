//! How alike two rows are, and what all other rows say of each one: a Gaussian process with its leave-one-out answers in
//! closed form.
//!
//! Its own learner, because the check must be quick and needs an answer for every row by rows that are not itself. One
//! inverse of the kernel matrix gives them all (Rasmussen and Williams, section 5.4.2).

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

/// A row as the kernel sees it: scaled amounts and conditions. Its group is not part of the likeness: rows of a group have
/// equal amounts, or should be told apart.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) amounts: Vec<f64>,
    pub(super) conditions: Vec<f64>,
    pub(super) group: usize,
}

/// Over which distances rows are alike, and how much of what is measured is noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lengths {
    pub(super) amounts: f64,
    pub(super) conditions: f64,
    pub(super) noise: f64,
}

/// The noise of a row that is not to be learned from.
const IGNORED: f64 = 1e4;
/// Shares of the kernel: the alloy under the condition, the alloy under other conditions, similar alloys under the
/// condition, similar alloys under other conditions, all rows.
const SHARES: [f64; 5] = [0.35, 0.3, 0.15, 0.2, 0.5];
/// How much further similar alloys and other conditions reach.
const FURTHER: f64 = 4.0;

impl Default for Lengths {
    fn default() -> Self {
        Self { amounts: 4.0, conditions: 1.0, noise: 0.03 }
    }
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn matern(distance: f64) -> f64 {
    let scaled = 5f64.sqrt() * distance;
    (1.0 + scaled + scaled * scaled / 3.0) * (-scaled).exp()
}

/// How alike two rows are.
pub(super) fn alike(one: &Point, other: &Point, lengths: &Lengths) -> f64 {
    let amounts = distance(&one.amounts, &other.amounts) / lengths.amounts;
    let conditions = distance(&one.conditions, &other.conditions) / lengths.conditions;
    let (alloy, similar) = (matern(amounts), matern(amounts / FURTHER));
    let (here, elsewhere) = (matern(conditions), matern(conditions / FURTHER));
    let terms = [alloy * here, alloy * elsewhere, similar * here, similar * elsewhere, 1.0];
    terms.iter().zip(SHARES).map(|(term, share)| term * share).sum()
}

/// What the other rows say of each row.
pub(super) struct LeftOut {
    /// Value minus what the others say, by row.
    pub(super) residual: Vec<f64>,
    /// Standard deviation of the residual, by row.
    pub(super) deviation: Vec<f64>,
    /// The weights of the rows in an answer.
    weights: Vec<f64>,
}

/// The inverse of a kernel matrix.
pub(super) struct Fitted {
    inverse: Mat<f64>,
    noise: Vec<f64>,
    usual: f64,
}

impl Fitted {
    /// Inverts the kernel matrix of these points. Those that are `ignored` teach the others nothing. `None` if the
    /// matrix cannot be inverted.
    pub(super) fn new(points: &[&Point], ignored: &[bool], lengths: &Lengths) -> Option<Self> {
        let count = points.len();
        let mut kernel = Mat::<f64>::zeros(count, count);
        let noise: Vec<f64> = ignored.iter().map(|ignored| if *ignored { IGNORED } else { lengths.noise }).collect();
        for row in 0..count {
            for column in 0..=row {
                let own = alike(points[row], points[column], lengths);
                kernel[(row, column)] = own;
                kernel[(column, row)] = own;
            }
            kernel[(row, row)] += noise[row];
        }
        let inverse = kernel.llt(Side::Lower).ok()?.inverse();
        Some(Self { inverse, noise, usual: lengths.noise })
    }

    /// What the others say of each value. Values must be around 0 with a spread of about 1.
    pub(super) fn left_out(&self, values: &[f64]) -> LeftOut {
        let count = values.len();
        let weight = |row: usize| (0..count).map(|other| self.inverse[(other, row)] * values[other]).sum();
        let weights: Vec<f64> = (0..count).map(weight).collect();
        let own = |row: usize| self.inverse[(row, row)].max(1e-12);
        let residual = (0..count).map(|row| weights[row] / own(row)).collect();
        // An ignored row is judged as if it were measured like the others.
        let variance = |row: usize| (1.0 / own(row) - self.noise[row]).max(0.0) + self.usual;
        let deviation = (0..count).map(|row| variance(row).sqrt()).collect();
        LeftOut { residual, deviation, weights }
    }

    /// What rows outside a set say of each row of the set: the values minus that.
    pub(super) fn left_out_together(&self, left: &LeftOut, set: &[usize]) -> Option<Vec<f64>> {
        let own = Mat::<f64>::from_fn(set.len(), set.len(), |row, column| self.inverse[(set[row], set[column])]);
        let inverse = own.llt(Side::Lower).ok()?.inverse();
        let answer = |row: usize| (0..set.len()).map(|other| inverse[(row, other)] * left.weights[set[other]]).sum();
        Some((0..set.len()).map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(count: usize) -> Vec<Point> {
        let point = |row: usize| Point { amounts: vec![], conditions: vec![row as f64 * 0.2], group: row / 5 };
        (0..count).map(point).collect()
    }

    #[test]
    fn left_out_rows_are_answered_by_the_others() {
        let points = line(30);
        let mut values: Vec<f64> = (0..30).map(|row| (row as f64 * 0.2).sin()).collect();
        values[12] += 3.0;
        let all: Vec<&Point> = points.iter().collect();
        let lengths = Lengths { noise: 0.01, ..Lengths::default() };
        let mut ignored = vec![false; 30];
        ignored[12] = true;
        let fitted = Fitted::new(&all, &ignored, &lengths).unwrap();
        let left = fitted.left_out(&values);
        assert!((left.residual[12] - 3.0).abs() < 0.1, "{}", left.residual[12]);
        assert!(left.residual[20].abs() < 0.1 && left.deviation[12] < 0.3, "{:?}", left.deviation);

        // The closed form is what a fit without the row says.
        let without: Vec<&Point> =
            all.iter().copied().enumerate().filter(|(row, _)| *row != 7).map(|(_, p)| p).collect();
        let known: Vec<f64> = values.iter().copied().enumerate().filter(|(row, _)| *row != 7).map(|(_, v)| v).collect();
        let mut few = ignored.clone();
        few.remove(7);
        let other = Fitted::new(&without, &few, &lengths).unwrap();
        let weights = other.left_out(&known).weights;
        let said: f64 =
            without.iter().zip(&weights).map(|(point, weight)| alike(all[7], point, &lengths) * weight).sum();
        assert!((values[7] - said - left.residual[7]).abs() < 1e-6);
        let alone = fitted.left_out_together(&left, &[7]).unwrap();
        assert!((alone[0] - left.residual[7]).abs() < 1e-9);
    }
}
