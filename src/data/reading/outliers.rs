//! Warns about target values far from those of similar rows, such as a shifted decimal point or a wrong unit. The
//! limits are rules of thumb, so this never refuses data.

use crate::data::dataset::Dataset;
use crate::data::recipe::Recipe;
use crate::domain::Sample;
use crate::featurize::{ColumnStatistics, FeatureSpec, Scaler, featurize};

/// Number of similar rows to compare with.
const NEIGHBOURS: usize = 5;
/// Largest number of rows to search for similar ones, spread over the file.
const MOST_COMPARED: usize = 1000;
/// A value is suspicious if it differs from the median of its neighbours by more than this factor, up or down, …
const RATIO: f64 = 5.0;
/// … and the logarithm of this ratio exceeds this many robust standard deviations (1.4826 · median over all rows).
const DEVIATIONS: f64 = 6.0;
/// Largest number of values named for each target.
const NAMED: usize = 10;

/// A warning for each suspicious value.
pub(in crate::data) fn outliers(recipe: &Recipe, data: &Dataset) -> Vec<String> {
    let inputs = inputs(recipe, data);
    let mut warnings = Vec::new();
    for (index, target) in recipe.targets.iter().enumerate() {
        // Ratios have no meaning for values that can be negative.
        let value = |row: usize| data.labels[row].value(index).filter(|value| *value > 0.0);
        let measured =
            (0..data.samples.len()).filter_map(|row| value(row).map(|value| (row, value))).collect::<Vec<_>>();
        let odd = odd(&inputs, &measured);
        for (row, value, around) in odd.iter().take(NAMED) {
            let (line, column) = (data.lines.get(*row).copied().unwrap_or_default(), target.column());
            warnings.push(format!(
                "line {line}: {column} {value} is far outside the others (the rows most like it have {} to {})",
                around[0], around[1]
            ));
        }
        if odd.len() > NAMED {
            warnings.push(format!("{}: {} more values are far outside the others", target.column(), odd.len() - NAMED));
        }
    }
    warnings
}

/// Scaled inputs of all rows.
fn inputs(recipe: &Recipe, data: &Dataset) -> Vec<Vec<f32>> {
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    let schema = data.schema(recipe, &rows);
    let row = |sample: &Sample| featurize(&sample.with_defaults(&schema), &schema, &FeatureSpec::default()).row;
    let features: Vec<Vec<f64>> = data.samples.iter().map(row).collect();
    let width = features.first().map_or(0, Vec::len);
    let scaler = Scaler::standard(&ColumnStatistics::over(width, features.iter().map(Vec::as_slice)), DEVIATIONS);
    let scaled = |row: &Vec<f64>| {
        let mut scaled = Vec::with_capacity(width);
        scaler.extend(row, &mut scaled);
        scaled
    };
    features.iter().map(scaled).collect()
}

/// Suspicious measured rows: row, value, and the range of the neighbours' values.
fn odd(inputs: &[Vec<f32>], measured: &[(usize, f64)]) -> Vec<(usize, f64, [f64; 2])> {
    if measured.len() <= NEIGHBOURS || 2 * measured.len() < inputs.len() {
        return Vec::new();
    }
    let stride = measured.len().div_ceil(MOST_COMPARED);
    let compared: Vec<&(usize, f64)> = measured.iter().step_by(stride).collect();
    let mut near = Vec::with_capacity(measured.len());
    for (row, value) in measured {
        let distance =
            |other: usize| inputs[*row].iter().zip(&inputs[other]).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut others: Vec<(f32, f64)> = compared
            .iter()
            .filter(|(other, _)| other != row)
            .map(|(other, value)| (distance(*other), *value))
            .collect();
        let count = NEIGHBOURS.min(others.len());
        if count < others.len() {
            others.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
        }
        let mut values: Vec<f64> = others[..count].iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let Some(middle) = values.get(count / 2) else { return Vec::new() };
        near.push((*row, *value, [values[0], values[count - 1]], (value / middle).ln()));
    }
    let usual = median(near.iter().map(|(.., ratio)| ratio.abs()).collect());
    near.retain(|(.., ratio)| ratio.abs() > RATIO.ln() && ratio.abs() > DEVIATIONS * 1.4826 * usual);
    near.into_iter().map(|(row, value, around, _)| (row, value, around)).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
