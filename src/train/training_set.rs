//! Training rows as scaled numbers, the same for all members. The scalers are fitted here, on these rows only.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::data::{Dataset, Label, Recipe, ScalingKind};
use crate::domain::{Outputs, Schema, Target};
use crate::featurize::{ColumnStatistics, Features, PIXELS, Scaler, StandardScaler, featurize, row_width};
use crate::model::{Scaling, TrainingInputs};
use crate::train::input_distance::measure_inputs;

/// The training rows of an ensemble.
#[derive(Clone)]
pub(in crate::train) struct TrainingSet {
    pub(in crate::train) schema: Schema,
    pub(in crate::train) scaling: Scaling,
    /// To measure how far a sample is from these rows; for a regression only.
    pub(in crate::train) inputs: Option<TrainingInputs>,
    pub(in crate::train) count: usize,
    /// Scaled, row by row.
    pub(in crate::train) row: Vec<f32>,
    pub(in crate::train) pixels: Option<Vec<f32>>,
    pub(in crate::train) labels: Targets,
    /// Number of measured rows; evidence follows them.
    pub(in crate::train) measured: usize,
    /// How much each row counts.
    pub(in crate::train) weights: Vec<f64>,
    /// The index of each row among all training rows of the ensemble.
    pub(in crate::train) places: Vec<u32>,
    /// A number for the group of each row.
    pub(in crate::train) groups: Vec<u32>,
}

#[derive(Clone)]
pub(in crate::train) enum Targets {
    /// Standardised on the targets' scales, row by row; NaN if not measured.
    Values { values: Vec<f32>, width: usize },
    /// By row and class, whether the row may be of the class: one class of a measured row, several of evidence.
    Classes { allowed: Vec<bool>, count: usize },
}

impl TrainingSet {
    pub(in crate::train) fn prepare(recipe: &Recipe, data: &Dataset, rows: &[usize]) -> Self {
        let schema = data.schema(recipe, rows);
        let featurized: Vec<Features> = rows
            .iter()
            .map(|row| featurize(&data.samples[*row].with_defaults(&schema), &schema, &recipe.features))
            .collect();
        let width = row_width(&schema, &recipe.features);
        let row_scaler = scaler(recipe.scaling.row, width, featurized.iter().map(|features| features.row.as_slice()));
        let images = || featurized.iter().filter_map(|features| features.pixels.as_ref()).map(|p| p.as_slice());
        let pixel_scaler = recipe.features.image.map(|_| scaler(recipe.scaling.image, PIXELS, images()));
        let mut row = Vec::with_capacity(rows.len() * width);
        featurized.iter().for_each(|features| row_scaler.extend(&features.row, &mut row));
        let pixels = pixel_scaler.as_ref().map(|scaler| {
            let mut pixels = Vec::with_capacity(rows.len() * PIXELS);
            images().for_each(|image| scaler.extend(image, &mut pixels));
            pixels
        });
        let (labels, targets) = labels(data, rows, &schema.outputs);
        let inputs = targets.is_some().then(|| measure_inputs(&featurized, width)).flatten();
        let scaling = Scaling { row: row_scaler, pixels: pixel_scaler, targets };
        let mut numbers = BTreeMap::new();
        let groups = rows.iter().map(|row| {
            let next = numbers.len() as u32;
            *numbers.entry(data.groups[*row].as_str()).or_insert(next)
        });
        let (groups, places) = (groups.collect(), (0..rows.len() as u32).collect());
        let measured = rows.iter().take_while(|row| data.labels[**row].is_measured()).count();
        let weight = |row: &usize| match &data.labels[*row] {
            Label::AnyOf { weight, .. } => *weight,
            Label::Class(_) | Label::Values(_) => 1.0,
        };
        let weights = rows.iter().map(weight).collect();
        Self { schema, scaling, inputs, count: rows.len(), row, pixels, labels, measured, weights, places, groups }
    }

    /// N, the width of the feature row.
    pub(in crate::train) fn width(&self) -> usize {
        self.scaling.row.width()
    }

    /// (rows, N)
    pub(in crate::train) fn row_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.row, (self.count, self.width()), device)
    }

    /// (rows, 504)
    pub(in crate::train) fn pixel_tensor(&self, device: &Device) -> candle_core::Result<Option<Tensor>> {
        self.pixels.as_ref().map(|pixels| Tensor::from_slice(pixels, (self.count, PIXELS), device)).transpose()
    }

    /// Standardised targets of some outputs (NaN if not measured), or smoothed class probabilities, row by row. Evidence
    /// has equal probabilities of all classes that it may be of.
    pub(in crate::train) fn targets(&self, outputs: &[usize], smoothing: f64) -> Vec<f32> {
        match &self.labels {
            Targets::Values { values, width } => {
                values.chunks(*width).flat_map(|row| outputs.iter().map(|output| row[*output])).collect()
            }
            Targets::Classes { allowed, count } => {
                let share = smoothing / *count as f64;
                let row = |own: &[bool]| {
                    let classes = own.iter().filter(|allowed| **allowed).count().max(1);
                    let (smoothing, share) = if classes == 1 { (smoothing, share) } else { (0.0, 0.0) };
                    let probability = (1.0 - smoothing) / classes as f64 + share;
                    own.iter().map(|allowed| if *allowed { probability } else { share } as f32).collect::<Vec<_>>()
                };
                allowed.chunks(*count).flat_map(row).collect()
            }
        }
    }

    /// By evidence row and class, whether the row may be of the class.
    pub(in crate::train) fn evidence(&self) -> &[bool] {
        match &self.labels {
            Targets::Values { .. } => &[],
            Targets::Classes { allowed, count } => &allowed[self.measured * count..],
        }
    }

    /// The rows for a method that cannot weigh them: evidence of weight 2 stands there twice, of weight ½ every other
    /// row of it.
    pub(in crate::train) fn counted(&self) -> Cow<'_, Self> {
        let times = |row: usize| match row.checked_sub(self.measured) {
            None => 1,
            Some(place) => {
                let until = |rows: usize| (self.weights[row] * rows as f64).floor() as usize;
                until(place + 1) - until(place)
            }
        };
        let kept: Vec<usize> = (0..self.count).flat_map(|row| std::iter::repeat_n(row, times(row))).collect();
        if kept.iter().copied().eq(0..self.count) { Cow::Borrowed(self) } else { Cow::Owned(self.pick(&kept)) }
    }

    /// The rows on which at least one of some outputs was measured; all rows if there are none.
    pub(in crate::train) fn of_outputs(&self, outputs: &[usize]) -> Cow<'_, Self> {
        let Targets::Values { values, width } = &self.labels else { return Cow::Borrowed(self) };
        let has_any = |row: &[f32]| outputs.iter().any(|output| !row[*output].is_nan());
        let kept: Vec<usize> = (0..self.count).filter(|row| has_any(&values[row * width..(row + 1) * width])).collect();
        if kept.len() == self.count || kept.is_empty() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(self.pick(&kept))
    }

    /// Some of the rows, measured ones first.
    fn pick(&self, kept: &[usize]) -> Self {
        fn of<T: Copy>(kept: &[usize], all: &[T], width: usize) -> Vec<T> {
            kept.iter().flat_map(|row| all[row * width..(row + 1) * width].iter().copied()).collect()
        }
        Self {
            count: kept.len(),
            row: of(kept, &self.row, self.width()),
            pixels: self.pixels.as_ref().map(|pixels| of(kept, pixels, PIXELS)),
            labels: match &self.labels {
                Targets::Values { values, width } => {
                    Targets::Values { values: of(kept, values, *width), width: *width }
                }
                Targets::Classes { allowed, count } => {
                    Targets::Classes { allowed: of(kept, allowed, *count), count: *count }
                }
            },
            schema: self.schema.clone(),
            scaling: self.scaling.clone(),
            inputs: self.inputs.clone(),
            measured: kept.iter().filter(|row| **row < self.measured).count(),
            weights: of(kept, &self.weights, 1),
            places: of(kept, &self.places, 1),
            groups: of(kept, &self.groups, 1),
        }
    }

    /// Whether the labels are classes.
    pub(in crate::train) fn classes(&self) -> bool {
        matches!(self.labels, Targets::Classes { .. })
    }
}

fn scaler<'a>(kind: ScalingKind, width: usize, rows: impl IntoIterator<Item = &'a [f64]>) -> Scaler {
    let statistics = ColumnStatistics::over(width, rows);
    match kind {
        ScalingKind::Standard { clip } => Scaler::standard(&statistics, clip),
        ScalingKind::MinMax => Scaler::min_max(&statistics, 1.0, false),
        ScalingKind::Grey => Scaler::min_max(&statistics, 255.0, true),
    }
}

fn labels(data: &Dataset, rows: &[usize], outputs: &Outputs) -> (Targets, Option<StandardScaler>) {
    match outputs {
        Outputs::Classification { classes: names } => {
            let count = names.len();
            let labels = rows.iter().map(|row| &data.labels[*row]);
            let allowed = labels.flat_map(|label| (0..count).map(|class| label.allows(class))).collect();
            (Targets::Classes { allowed, count }, None)
        }
        Outputs::Regression { targets } => {
            let scaler = target_scaler(targets, rows.iter().map(|row| &data.labels[*row]));
            let scaled = |row: &usize| {
                let label = &data.labels[*row];
                let scaled = |(index, target): (usize, &Target)| {
                    let value = label.value(index).map(|value| scaler.scale(index, target.scale.learned(value)));
                    value.map_or(f32::NAN, |value| value as f32)
                };
                targets.iter().enumerate().map(scaled).collect::<Vec<_>>()
            };
            let values = rows.iter().flat_map(scaled).collect();
            (Targets::Values { values, width: targets.len() }, Some(scaler))
        }
    }
}

/// Mean and standard deviation of each target, on its scale, over the rows on which it was measured.
pub(in crate::train) fn target_scaler<'a>(
    targets: &[Target],
    labels: impl Iterator<Item = &'a Label> + Clone,
) -> StandardScaler {
    let mut scaler = StandardScaler { mean: Vec::new(), deviation: Vec::new() };
    for (index, target) in targets.iter().enumerate() {
        let measured = labels.clone().filter_map(|label| label.value(index));
        let learned: Vec<f64> = measured.map(|value| target.scale.learned(value)).collect();
        let own = StandardScaler::fit(&ColumnStatistics::over(1, learned.iter().map(std::slice::from_ref)));
        scaler.mean.extend(own.mean);
        scaler.deviation.extend(own.deviation);
    }
    scaler
}
