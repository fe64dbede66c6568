//! Training data: the rows of a file, checked and ready to learn from.
//!
//! Its own because the rows are checked samples as the server would see them, and what depends on *which* rows train a
//! model (ranges, medians, elements seen) is derived here, from those rows only. [`super::reading`] makes it.

use std::collections::BTreeSet;

use crate::data::digest::row_digest;
use crate::data::label::Label;
use crate::data::recipe::Recipe;
use crate::data::source::DefaultRecipe;
use crate::data::summary::DataSummary;
use crate::domain::{Composition, ElementRange, Outputs, ParameterKind, ProcessValue, Sample, Schema};

/// A data set: samples with labels and groups.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// SHA-256 of the file.
    pub sha256: String,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// What was measured on each.
    pub labels: Vec<Label>,
    /// The group of each (heat, alloy, chemical system).
    pub groups: Vec<String>,
    /// The line of each in the file.
    pub lines: Vec<u64>,
    /// What its reading has to say.
    pub summary: DataSummary,
    /// The schema that the samples were parsed with: the recipe's, with the levels and defaults that come from the file.
    pub base: Schema,
}

impl Dataset {
    /// How many groups the rows belong to.
    pub fn count_groups(&self, rows: &[usize]) -> usize {
        rows.iter().map(|row| &self.groups[*row]).collect::<BTreeSet<_>>().len()
    }

    /// Fingerprints of these rows; the schema is that of the recipe that they were read with.
    pub fn digests(&self, schema: &Schema, rows: &[usize]) -> Vec<String> {
        rows.iter().map(|row| row_digest(&self.samples[*row], &self.labels[*row], schema)).collect()
    }

    /// How many sets of targets there are that were measured on the same rows; 1 for classes.
    pub fn target_sets(&self) -> usize {
        self.output_sets(&(0..self.samples.len()).collect::<Vec<_>>(), 1).len()
    }

    /// The outputs in sets that were measured on the same of these rows, and on at least `least` of them. Classes are one
    /// set.
    pub fn output_sets(&self, rows: &[usize], least: usize) -> Vec<Vec<usize>> {
        let outputs = 0..self.base.outputs.width();
        if let Outputs::Classification { .. } = &self.base.outputs {
            return vec![outputs.collect()];
        }
        let measured = |output: usize| rows.iter().map(move |row| self.labels[*row].value(output).is_some());
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for output in outputs.filter(|output| measured(*output).filter(|is| *is).count() >= least) {
            match sets.iter_mut().find(|set| measured(set[0]).eq(measured(output))) {
                Some(set) => set.push(output),
                None => sets.push(vec![output]),
            }
        }
        sets
    }

    /// The schema of a model trained on these rows: elements seen, ranges, medians.
    pub fn schema(&self, recipe: &Recipe, rows: &[usize]) -> Schema {
        let mut schema = self.base.clone();
        schema.composition.elements = self.element_ranges(rows);
        for (index, parameter) in schema.processing.iter_mut().enumerate() {
            let ParameterKind::Numeric { min, max, default, .. } = &mut parameter.kind else { continue };
            let given = |row: &&usize| !self.samples[**row].assumed().iter().any(|(name, _)| *name == parameter.name);
            let mut values: Vec<f64> = rows.iter().filter(given).filter_map(|row| self.number(*row, index)).collect();
            values.sort_by(f64::total_cmp);
            let wanted = &recipe.processing[index].default;
            if let (Some(DefaultRecipe::Text(_)), false) = (wanted, values.is_empty()) {
                *default = Some(median(&values));
            }
            // A default that some rows were trained with is as good as seen.
            let taken = default.filter(|_| values.len() < rows.len());
            let seen = || values.iter().copied().chain(taken);
            (*min, *max) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
        }
        schema
    }

    fn number(&self, row: usize, parameter: usize) -> Option<f64> {
        match self.samples[row].processing().get(parameter) {
            Some(ProcessValue::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn element_ranges(&self, rows: &[usize]) -> Vec<ElementRange> {
        let composition = |row: &usize| self.samples[*row].composition();
        let seen: BTreeSet<_> =
            rows.iter().flat_map(|row| composition(row).amounts().iter().map(|(element, _)| *element)).collect();
        let range = |element| {
            let amounts = || rows.iter().map(composition).map(|c: &Composition| c.amount(element));
            ElementRange {
                element,
                min: amounts().fold(f64::INFINITY, f64::min),
                max: amounts().fold(f64::NEG_INFINITY, f64::max),
            }
        };
        seen.into_iter().map(range).collect()
    }
}

/// The median of sorted values; 0 of none.
pub(in crate::data) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}
