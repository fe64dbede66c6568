//! Regions of the data to hold out, to measure how errors grow outside the training range.
//!
//! Folds of groups show the errors for a new alloy of the same kind. A region is a corner of the inputs: the alloys
//! whose composition is farthest from the others, or the highest and the lowest values of a process parameter. A model
//! that was trained without it has to extrapolate into it.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::dataset::Dataset;
use crate::data::recipe::Recipe;
use crate::data::splits::Split;
use crate::domain::{ParameterKind, ProcessValue};

/// The part of the rows in a region.
const PART: f64 = 0.2;
/// A region must leave at least this part of the rows for training.
const LEAST_LEFT: f64 = 0.5;

/// A region that is held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// What is special about its rows, such as `composition` or `high tempering_temperature`.
    pub name: String,
    /// Its rows (`test`), and all others (`train`).
    pub split: Split,
}

/// The regions that a training holds out for calibration; none for classes, or without calibration.
pub fn calibration_regions(recipe: &Recipe, data: &Dataset, rows: &[usize]) -> Vec<Region> {
    if recipe.class.is_some() || recipe.calibration.folds == 0 { Vec::new() } else { draw_regions(data, rows) }
}

/// Number of steps of a training on all rows.
pub fn training_steps(recipe: &Recipe, data: &Dataset) -> usize {
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    recipe.steps(data.target_sets(), calibration_regions(recipe, data, &rows).len())
}

/// The regions of some rows: the farthest fifth of the groups by composition, and the highest and lowest fifth of the
/// rows by the process parameter that varies most within groups. Rows of equal value stay together. A region that would
/// leave fewer than half of the rows is left out.
pub fn draw_regions(data: &Dataset, rows: &[usize]) -> Vec<Region> {
    let mut regions = vec![region(rows, "composition".to_owned(), &far_groups(data, rows))];
    if let Some((name, values)) = condition(data, rows) {
        let mut sorted: Vec<f64> = values.values().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let few = ((sorted.len() as f64 * PART).ceil() as usize).max(1);
        let (low, high) = (sorted[few - 1], sorted[sorted.len() - few]);
        let of =
            |wanted: &dyn Fn(f64) -> bool| values.iter().filter(|(_, v)| wanted(**v)).map(|(row, _)| *row).collect();
        regions.push(region(rows, format!("high {name}"), &of(&|value| value >= high)));
        regions.push(region(rows, format!("low {name}"), &of(&|value| value <= low)));
    }
    let most = ((1.0 - LEAST_LEFT) * rows.len() as f64) as usize;
    regions.retain(|region| (1..=most).contains(&region.split.test.len()));
    regions
}

fn region(rows: &[usize], name: String, held_out: &BTreeSet<usize>) -> Region {
    let (test, train) = rows.iter().partition(|row| held_out.contains(row));
    Region { name, split: Split { train, test } }
}

/// The rows of the groups that are farthest from the mean composition: at least a fifth of the rows.
fn far_groups(data: &Dataset, rows: &[usize]) -> BTreeSet<usize> {
    let balance = data.base.composition.balance;
    let amounts = |row: &usize| data.samples[*row].composition().amounts();
    let elements: BTreeSet<_> = rows.iter().flat_map(|row| amounts(row).iter().map(|(element, _)| *element)).collect();
    let mut distances = vec![0.0; rows.len()];
    for element in elements.into_iter().filter(|element| Some(*element) != balance) {
        let values: Vec<f64> = rows.iter().map(|row| data.samples[*row].composition().amount(element)).collect();
        let (mean, variance) = moments(&values);
        if variance > 0.0 {
            distances.iter_mut().zip(&values).for_each(|(sum, value)| *sum += (value - mean).powi(2) / variance);
        }
    }
    let mut groups: BTreeMap<&str, (f64, Vec<usize>)> = BTreeMap::new();
    for (row, distance) in rows.iter().zip(distances) {
        let (farthest, own) = groups.entry(&data.groups[*row]).or_default();
        *farthest = farthest.max(distance);
        own.push(*row);
    }
    let mut groups: Vec<(f64, Vec<usize>)> = groups.into_values().collect();
    groups.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut far = BTreeSet::new();
    for (_, own) in groups {
        if far.len() as f64 >= PART * rows.len() as f64 {
            break;
        }
        far.extend(own);
    }
    far
}

/// The numeric process parameter that varies most within groups, relative to all its variance, and its values by row.
fn condition(data: &Dataset, rows: &[usize]) -> Option<(String, BTreeMap<usize, f64>)> {
    let mut best: Option<(f64, String, BTreeMap<usize, f64>)> = None;
    for (index, parameter) in data.base.processing.iter().enumerate() {
        let ParameterKind::Numeric { .. } = parameter.kind else { continue };
        let number = |row: &usize| match data.samples[*row].processing().get(index) {
            Some(ProcessValue::Number(number)) => Some((*row, *number)),
            _ => None,
        };
        let values: BTreeMap<usize, f64> = rows.iter().filter_map(number).collect();
        let (_, variance) = moments(&values.values().copied().collect::<Vec<_>>());
        let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        values.iter().for_each(|(row, value)| groups.entry(&data.groups[*row]).or_default().push(*value));
        let within =
            groups.values().map(|own| moments(own).1 * own.len() as f64).sum::<f64>() / values.len().max(1) as f64;
        let share = if variance > 0.0 { within / variance } else { 0.0 };
        if share > best.as_ref().map_or(0.0, |best| best.0) {
            best = Some((share, parameter.name.clone(), values));
        }
    }
    best.map(|(_, name, values)| (name, values))
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
        name = "steel"
        title = "Steel"
        group = "heat"
        composition = { basis = "weight_percent", balance = "Fe", elements = ["C", "Cr"] }
        processing = [
            { name = "tempering_temperature", unit = "°C" },
            { name = "reduction_ratio" },
        ]
        targets = [{ name = "hardness", unit = "HV" }]
        [network]
        attention = "none"
        heads = 1
        norm = "pre"
        activation = "silu"
        row = [4]
        head = [4]
        dropout = 0.0
        [training]
        members = 1
        steps = 1
        learning_rate = 1e-3
        warmup = 0
        weight_decay = 0.0
        clip_norm = 1.0
        ema = 0.9
    "#;

    /// Ten heats at five tempering temperatures; the last heat has the most chromium. Reduction ratios belong to heats.
    fn regions() -> (Dataset, Vec<Region>) {
        let mut text = "C,Cr,tempering_temperature,reduction_ratio,hardness,heat\n".to_owned();
        for heat in 0..10 {
            for temperature in [500, 550, 600, 650, 700] {
                let chromium = if heat == 9 { 5.0 } else { 1.0 + 0.01 * f64::from(heat) };
                text += &format!("0.4,{chromium},{temperature},{},300,{heat}\n", 5 + heat);
            }
        }
        let data = Dataset::read(text.as_bytes(), &Recipe::parse(RECIPE).unwrap()).unwrap();
        let regions = draw_regions(&data, &(0..50).collect::<Vec<_>>());
        (data, regions)
    }

    #[test]
    fn corners_of_the_inputs_are_held_out() {
        let (data, regions) = regions();
        let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
        assert_eq!(names, ["composition", "high tempering_temperature", "low tempering_temperature"]);
        let groups = |region: &Region| -> BTreeSet<String> {
            region.split.test.iter().map(|row| data.groups[*row].clone()).collect()
        };
        assert!(groups(&regions[0]).contains("9") && regions[0].split.test.len() == 10, "{:?}", groups(&regions[0]));
        assert!(regions[1].split.test.iter().all(|row| row % 5 == 4) && regions[1].split.test.len() == 10);
        assert!(regions[2].split.test.iter().all(|row| row % 5 == 0));
        assert!(regions.iter().all(|region| region.split.train.len() + region.split.test.len() == 50));
    }

    #[test]
    fn no_region_takes_most_of_the_rows() {
        let (data, _) = regions();
        // All rows of one temperature: the parameter does not vary, and two heats are one region of composition.
        let rows: Vec<usize> = (0..50).step_by(5).collect();
        let regions = draw_regions(&data, &rows);
        assert!(regions.iter().all(|region| region.split.test.len() * 2 <= rows.len()), "{regions:?}");
        assert!(draw_regions(&data, &[0]).is_empty());
    }
}
