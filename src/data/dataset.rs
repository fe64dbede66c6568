//! Training data: the checked rows of a file.
//!
//! The rows are samples, checked as for predictions. Values that depend on the choice of training rows (ranges,
//! medians, elements seen) are computed here from those rows only. [`super::reading`] builds a data set from a file.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::data::amounts::{Row, fit_amounts};
use crate::data::digest::row_digest;
use crate::data::evidence::EvidenceRow;
use crate::data::label::Label;
use crate::data::recipe::Recipe;
use crate::data::source::DefaultRecipe;
use crate::data::summary::DataSummary;
use crate::domain::{Element, ElementRange, Outputs, ParameterKind, ProcessValue, Sample, Schema};
use crate::model::{EvidenceRecord, sha256_hex};

/// A recipe that names no residuals has those that are present in this part of the rows.
const COMMON: f64 = 0.95;

/// A data set: samples with labels and groups.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// SHA-256 of the file.
    pub sha256: String,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// The label of each sample.
    pub labels: Vec<Label>,
    /// The group of each sample (heat, alloy, chemical system).
    pub groups: Vec<String>,
    /// The line of each sample in the file.
    pub lines: Vec<u64>,
    /// Alloys of which only is known what they are not, from further files.
    pub evidence: Vec<EvidenceRow>,
    /// These files.
    pub evidence_files: Vec<EvidenceRecord>,
    /// Warnings and notes about the file.
    pub summary: DataSummary,
    /// The schema used to check the samples: the recipe's, with levels and defaults from the file.
    pub base: Schema,
}

impl Dataset {
    /// Number of groups among these rows.
    pub fn count_groups(&self, rows: &[usize]) -> usize {
        rows.iter().map(|row| &self.groups[*row]).collect::<BTreeSet<_>>().len()
    }

    /// SHA-256 of all files: that of the data file, if it is the only one.
    pub fn files_sha256(&self) -> String {
        let evidence: Vec<&str> = self.evidence_files.iter().map(|file| file.sha256.as_str()).collect();
        match evidence.is_empty() {
            true => self.sha256.clone(),
            false => sha256_hex(format!("{} {}", self.sha256, evidence.join(" ")).as_bytes()),
        }
    }

    /// The data with the evidence as further rows, which follow the measured ones.
    pub fn joined(&self) -> Cow<'_, Self> {
        if self.evidence.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut joined = self.clone();
        for EvidenceRow { sample, allowed, weight, group, line } in std::mem::take(&mut joined.evidence) {
            joined.samples.push(sample);
            joined.labels.push(Label::AnyOf { allowed, weight });
            joined.groups.push(group);
            joined.lines.push(line);
        }
        Cow::Owned(joined)
    }

    /// These rows with the evidence that may be learned from with them: all but that of groups which the data have, but
    /// not among these rows. So a group that is held out is held out as a whole. The data must be [joined](Self::joined).
    pub fn and_evidence(&self, rows: &[usize]) -> Vec<usize> {
        let measured = self.labels.iter().take_while(|label| label.is_measured()).count();
        let of = |rows: &mut dyn Iterator<Item = usize>| rows.map(|row| &self.groups[row]).collect::<BTreeSet<_>>();
        let (all, own) = (of(&mut (0..measured)), of(&mut rows.iter().copied()));
        let learned = |row: &usize| own.contains(&self.groups[*row]) || !all.contains(&self.groups[*row]);
        rows.iter().copied().chain((measured..self.labels.len()).filter(learned)).collect()
    }

    /// Fingerprints of these rows. `schema` is that of the recipe used to read them.
    pub fn digests(&self, schema: &Schema, rows: &[usize]) -> Vec<String> {
        rows.iter().map(|row| row_digest(&self.samples[*row], &self.labels[*row], schema)).collect()
    }

    /// Number of sets of targets that were measured on the same rows; 1 for classes.
    pub fn target_sets(&self) -> usize {
        self.output_sets(&(0..self.samples.len()).collect::<Vec<_>>(), 1).len()
    }

    /// Groups the outputs into sets that were measured on the same of these rows, and on at least `least` of them.
    /// Classes are one set.
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
        self.fit_composition(recipe, rows, &mut schema);
        for (index, parameter) in schema.processing.iter_mut().enumerate() {
            let ParameterKind::Numeric { min, max, default, .. } = &mut parameter.kind else { continue };
            let given = |row: &&usize| !self.samples[**row].assumed().iter().any(|(name, _)| *name == parameter.name);
            let mut values: Vec<f64> = rows.iter().filter(given).filter_map(|row| self.number(*row, index)).collect();
            values.sort_by(f64::total_cmp);
            let wanted = &recipe.processing[index].default;
            if let (Some(DefaultRecipe::Text(_)), false) = (wanted, values.is_empty()) {
                *default = Some(median(&values));
            }
            // If some rows used the default, its value counts as seen in training.
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

    /// Sets what a schema says of compositions: how unknown amounts are estimated, which elements every alloy has, and
    /// the ranges.
    fn fit_composition(&self, recipe: &Recipe, rows: &[usize], schema: &mut Schema) {
        let measured = |row: &usize| (self.samples[*row].measured(), self.samples[*row].unmeasured());
        let balance = recipe.composition.balance;
        if recipe.composition.estimates() {
            let others = recipe.composition.elements.iter().map(|(element, _)| element);
            let others: Vec<Element> = others.filter(|element| Some(*element) != balance).collect();
            let known: Vec<Row> = rows.iter().map(measured).collect();
            schema.composition.amounts = fit_amounts(&known, &others);
            let common = |element: &Element| {
                let of = known.iter().filter(|(_, missing)| !missing.contains(element));
                let present = of.clone().filter(|(composition, _)| composition.amount(*element) > 0.0).count();
                present as f64 >= COMMON * of.count() as f64
            };
            let residuals = match &recipe.composition.residuals {
                Some(listed) => listed.clone(),
                None => others.into_iter().filter(common).collect(),
            };
            let estimates = |element: &Element| schema.composition.estimates(*element);
            schema.composition.residuals = residuals.into_iter().filter(estimates).collect();
        }
        schema.composition.elements = self.element_ranges(rows, schema);
    }

    fn element_ranges(&self, rows: &[usize], schema: &Schema) -> Vec<ElementRange> {
        let completed: Vec<Cow<Sample>> = rows.iter().map(|row| self.samples[*row].with_defaults(schema)).collect();
        let seen: BTreeSet<_> = completed
            .iter()
            .flat_map(|sample| sample.measured().amounts().iter().map(|(element, _)| *element))
            .collect();
        let range = |element| {
            let measured = completed.iter().filter(move |sample| !sample.unmeasured().contains(&element));
            let amounts = || measured.clone().map(move |sample| sample.composition().amount(element));
            ElementRange {
                element,
                min: amounts().fold(f64::INFINITY, f64::min),
                max: amounts().fold(f64::NEG_INFINITY, f64::max),
            }
        };
        seen.into_iter().map(range).collect()
    }
}

/// The median of sorted values; 0 if there are none.
pub(in crate::data) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}
