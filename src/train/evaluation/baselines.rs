//! Baselines on the same rows: ridge regression and a random forest.
//!
//! A network is only worth serving if it is better than these on the same splits. Both use the model's feature row
//! (amounts, process parameters, one-hot levels), never the image. Classes are predicted by regression on one-hot
//! columns, converted to probabilities.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rand::Rng;
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::data::{Dataset, Label, Protocol, Recipe, Split, draw_folds};
use crate::domain::{Outputs, Schema};
use crate::featurize::{ColumnStatistics, FeatureSpec, Scaler, StandardScaler, featurize};
use crate::model::{rng, to_probabilities};
use crate::train::error::FitError;

/// Penalties that ridge regression chooses from, for standardised columns and targets.
const ALPHAS: [f64; 6] = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
/// Number of inner folds for this choice.
const INNER_FOLDS: usize = 3;
/// Number of trees in a forest.
const TREES: usize = 100;
/// Number of trees grown between two checks for cancellation.
const TREES_AT_ONCE: usize = 10;
/// Feature columns are clipped to ± this many standard deviations of the training rows, as for a network.
const CLIP: f64 = 6.0;

/// Least probability of a class before the probabilities are scaled to sum to 1.
const FLOOR: f64 = 1e-3;

/// The predictions of both for the test rows of a split: targets in their units, or class probabilities.
pub(in crate::train) struct BaselineAnswers {
    pub(in crate::train) ridge: Vec<Vec<f64>>,
    pub(in crate::train) random_forest: Vec<Vec<f64>>,
}

/// Fits both on the training rows of a split and predicts its test rows.
///
/// # Errors
/// [`FitError::Cancelled`] soon after `stopped` returns true; [`FitError::Learner`] if a method failed.
pub(in crate::train) fn baselines(
    recipe: &Recipe,
    data: &Dataset,
    split: &Split,
    seed: u64,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<BaselineAnswers, FitError> {
    let schema = data.schema(recipe, &split.train);
    let width = schema.outputs.width();
    let test = Table::new(recipe, data, &schema, &split.test, &[]);
    let blank = vec![vec![0.0; width]; split.test.len()];
    let mut answers = BaselineAnswers { ridge: blank.clone(), random_forest: blank };
    // Outputs that were measured on the same rows are fitted together.
    for outputs in data.output_sets(&split.train, 1) {
        let measured = |row: &usize| match &data.labels[*row] {
            Label::Values(values) => values[outputs[0]].is_some(),
            Label::Class(_) | Label::AnyOf { .. } => true,
        };
        let rows: Vec<usize> = split.train.iter().copied().filter(measured).collect();
        let groups: Vec<String> = rows.iter().map(|row| data.groups[*row].clone()).collect();
        let train = Table::new(recipe, data, &schema, &rows, &outputs);
        let place = |all: &mut [Vec<f64>], own: Vec<Vec<f64>>| {
            for (all, own) in all.iter_mut().zip(own) {
                outputs.iter().zip(own).for_each(|(output, value)| all[*output] = value);
            }
        };
        place(&mut answers.ridge, ridge(&train, &groups, &test, seed)?);
        place(&mut answers.random_forest, forest(&train, &test, seed, stopped)?);
    }
    let rows = answers.ridge.iter_mut().chain(&mut answers.random_forest);
    match &schema.outputs {
        Outputs::Classification { .. } => rows.for_each(|row| to_probabilities(row, FLOOR)),
        Outputs::Regression { targets } => rows.for_each(|row| {
            row.iter_mut().zip(targets).for_each(|(value, target)| *value = target.scale.in_unit(*value));
        }),
    }
    Ok(answers)
}

/// Feature rows and labels as numbers.
#[derive(Clone)]
struct Table {
    features: Vec<Vec<f64>>,
    /// Targets on their scales, or one-hot classes.
    labels: Vec<Vec<f64>>,
}

impl Table {
    /// Some rows with some of their labels, which must all be measured.
    fn new(recipe: &Recipe, data: &Dataset, schema: &Schema, rows: &[usize], outputs: &[usize]) -> Self {
        let spec = FeatureSpec { image: None, ..recipe.features.clone() };
        let features = |row: &usize| featurize(&data.samples[*row].with_defaults(schema), schema, &spec).row;
        let label = |row: &usize| {
            let own = |output: &usize| match &data.labels[*row] {
                Label::Values(values) => recipe.targets[*output].scale.learned(values[*output].unwrap_or_default()),
                Label::Class(_) | Label::AnyOf { .. } => f64::from(u8::from(data.labels[*row].allows(*output))),
            };
            outputs.iter().map(own).collect()
        };
        Self { features: rows.iter().map(features).collect(), labels: rows.iter().map(label).collect() }
    }

    fn part(&self, rows: &[usize]) -> Self {
        let pick = |all: &[Vec<f64>]| rows.iter().map(|row| all[*row].clone()).collect();
        Self { features: pick(&self.features), labels: pick(&self.labels) }
    }

    fn outputs(&self) -> usize {
        self.labels.first().map_or(0, Vec::len)
    }
}

/// Ridge regression. The penalty of each output is chosen on inner folds of the training rows, with whole groups if
/// there are enough of them.
fn ridge(train: &Table, groups: &[String], test: &Table, seed: u64) -> Result<Vec<Vec<f64>>, FitError> {
    let inner = draw_folds(groups, Protocol::Grouped, INNER_FOLDS, seed)
        .or_else(|| draw_folds(groups, Protocol::Random, INNER_FOLDS, seed));
    let mut squares = vec![vec![0.0; train.outputs()]; ALPHAS.len()];
    for split in inner.unwrap_or_default() {
        let (own, held) = (Ridge::prepare(&train.part(&split.train)), train.part(&split.test));
        for (alpha, squares) in ALPHAS.iter().zip(&mut squares) {
            let fitted = own.solve(*alpha)?;
            for (features, labels) in held.features.iter().zip(&held.labels) {
                let answer = own.answer(&fitted, features);
                squares.iter_mut().zip(answer.iter().zip(labels)).for_each(|(sum, (a, b))| *sum += (a - b).powi(2));
            }
        }
    }
    let own = Ridge::prepare(train);
    let solved: Vec<Vec<Vec<f64>>> = ALPHAS.iter().map(|alpha| own.solve(*alpha)).collect::<Result<_, _>>()?;
    let best = |output: usize| {
        let by_error = |a: &usize, b: &usize| squares[*a][output].total_cmp(&squares[*b][output]);
        (0..ALPHAS.len()).min_by(by_error).unwrap_or(0)
    };
    let fitted: Vec<Vec<f64>> = (0..train.outputs()).map(|output| solved[best(output)][output].clone()).collect();
    Ok(test.features.iter().map(|features| own.answer(&fitted, features)).collect())
}

/// The normal equations of ridge regression, for standardised columns and labels.
struct Ridge {
    columns: Scaler,
    labels: StandardScaler,
    /// XᵀX, and Xᵀy for each output.
    gram: Vec<Vec<f64>>,
    moments: Vec<Vec<f64>>,
}

impl Ridge {
    fn prepare(train: &Table) -> Self {
        let width = train.features.first().map_or(0, Vec::len);
        let statistics = |width, rows: &[Vec<f64>]| ColumnStatistics::over(width, rows.iter().map(Vec::as_slice));
        let columns = Scaler::standard(&statistics(width, &train.features), CLIP);
        let labels = StandardScaler::fit(&statistics(train.outputs(), &train.labels));
        let mut ridge = Self {
            columns,
            labels,
            gram: vec![vec![0.0; width]; width],
            moments: vec![vec![0.0; width]; train.outputs()],
        };
        for (features, labels) in train.features.iter().zip(&train.labels) {
            let x = ridge.scaled(features);
            for (row, x_row) in ridge.gram.iter_mut().zip(&x) {
                row.iter_mut().zip(&x).for_each(|(sum, x)| *sum += x_row * x);
            }
            for (output, moments) in ridge.moments.iter_mut().enumerate() {
                let y = ridge.labels.scale(output, labels[output]);
                moments.iter_mut().zip(&x).for_each(|(sum, x)| *sum += x * y);
            }
        }
        ridge
    }

    fn scaled(&self, features: &[f64]) -> Vec<f64> {
        let mut scaled = Vec::with_capacity(features.len());
        self.columns.extend(features, &mut scaled);
        scaled.into_iter().map(f64::from).collect()
    }

    /// Weights of each output, from (XᵀX + αI) w = Xᵀy.
    fn solve(&self, alpha: f64) -> Result<Vec<Vec<f64>>, FitError> {
        let (width, outputs) = (self.gram.len(), self.moments.len());
        let penalised = Mat::from_fn(width, width, |i, j| self.gram[i][j] + if i == j { alpha } else { 0.0 });
        let root =
            penalised.llt(Side::Lower).map_err(|_| FitError::Learner("ridge regression is not solvable".to_owned()))?;
        let weights = root.solve(Mat::from_fn(width, outputs, |i, output| self.moments[output][i]));
        Ok((0..outputs).map(|output| (0..width).map(|i| weights[(i, output)]).collect()).collect())
    }

    fn answer(&self, weights: &[Vec<f64>], features: &[f64]) -> Vec<f64> {
        let x = self.scaled(features);
        let output =
            |(output, w): (usize, &Vec<f64>)| self.labels.unscale(output, w.iter().zip(&x).map(|(w, x)| w * x).sum());
        weights.iter().enumerate().map(output).collect()
    }
}

/// A random forest for each output. Each split tries half of the columns; on the data of the shipped models this is
/// better than a third or all of them.
fn forest(
    train: &Table,
    test: &Table,
    seed: u64,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Vec<f64>>, FitError> {
    let failed = |error: Failed| FitError::Learner(error.to_string());
    // If a split drew only constant columns, the tree would end there.
    let varies = |column: &usize| train.features.iter().any(|row| row[*column] != train.features[0][*column]);
    let columns: Vec<usize> = (0..train.features.first().map_or(0, Vec::len)).filter(varies).collect();
    let pick = |row: &Vec<f64>| columns.iter().map(|column| row[*column]).collect();
    let matrix = |table: &Table| DenseMatrix::from_2d_vec(&table.features.iter().map(pick).collect()).map_err(failed);
    if columns.is_empty() {
        let mean = |output: usize| train.labels.iter().map(|row| row[output]).sum::<f64>() / train.labels.len() as f64;
        let means: Vec<f64> = (0..train.outputs()).map(mean).collect();
        return Ok(vec![means; test.features.len()]);
    }
    let (own, asked) = (matrix(train)?, matrix(test)?);
    let mut rng = rng(seed, "random forest");
    let mut answers = vec![vec![0.0; train.outputs()]; test.features.len()];
    for output in 0..train.outputs() {
        let wanted: Vec<f64> = train.labels.iter().map(|row| row[output]).collect();
        for _ in 0..TREES / TREES_AT_ONCE {
            if stopped() {
                return Err(FitError::Cancelled);
            }
            let parameters = RandomForestRegressorParameters::default()
                .with_n_trees(TREES_AT_ONCE)
                .with_m(columns.len().div_ceil(2))
                .with_seed(rng.next_u64());
            let grown = RandomForestRegressor::fit(&own, &wanted, parameters).map_err(failed)?;
            let part: Vec<f64> = grown.predict(&asked).map_err(failed)?;
            let share = TREES_AT_ONCE as f64 / TREES as f64;
            answers.iter_mut().zip(part).for_each(|(row, value)| row[output] += value * share);
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::regression_scores;

    /// y₀ is linear, y₁ is a step.
    fn table(from: usize, rows: usize) -> Table {
        let features = |row: usize| vec![(row * 37 % 101) as f64, (row * 53 % 97) as f64, 5.0];
        let label = |x: &Vec<f64>| vec![3.0 * x[0] - 2.0 * x[1] + 40.0, f64::from(u8::from(x[0] > 50.0))];
        let features: Vec<_> = (from..from + rows).map(features).collect();
        Table { labels: features.iter().map(label).collect(), features }
    }

    fn groups(rows: usize) -> Vec<String> {
        (0..rows).map(|row| (row / 3).to_string()).collect()
    }

    #[test]
    fn ridge_finds_a_line_and_a_forest_a_step() {
        let (train, test) = (table(0, 90), table(90, 60));
        let linear = ridge(&train, &groups(90), &test, 7).unwrap();
        let measured: Vec<Vec<Option<f64>>> =
            test.labels.iter().map(|row| row.iter().copied().map(Some).collect()).collect();
        let by_ridge = regression_scores(&["line", "step"], &measured, &linear);
        let grown = forest(&train, &test, 7, &|| false).unwrap();
        let by_forest = regression_scores(&["line", "step"], &measured, &grown);
        assert!(by_ridge["line"]["r2"] > 0.999 && by_ridge["step"]["r2"] < 0.8, "{by_ridge:?}");
        assert!(by_forest["line"]["r2"] > 0.85 && by_forest["step"]["r2"] > 0.85, "{by_forest:?}");
        assert_eq!(grown, forest(&train, &test, 7, &|| false).unwrap());
        assert!(matches!(forest(&train, &test, 7, &|| true), Err(FitError::Cancelled)));
    }

    #[test]
    fn ridge_takes_more_columns_than_rows_and_a_constant_outcome() {
        let features: Vec<Vec<f64>> =
            (0..6).map(|row| (0..12).map(|column| (row * column % 7) as f64).collect()).collect();
        let train = Table { labels: vec![vec![5.0]; 6], features };
        let answers = ridge(&train, &groups(6), &train, 7).unwrap();
        assert!(answers.iter().all(|row| (row[0] - 5.0).abs() < 1e-9));
    }
}
