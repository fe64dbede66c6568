//! Training data: a CSV file read with a recipe, every cell checked.
//!
//! Its own because here a lab's file meets the program: complaints name file, line and column. The rows
//! are checked samples as the server would see them; what depends on *which* rows train a model (ranges,
//! medians, elements seen) is derived later, from those rows only.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Composition, ElementRange, Outputs, ParameterKind, ProcessValue, Sample, Schema, TableLayout, Violation,
};
use crate::model::sha256_hex;

use super::digest::row_digest;
use super::recipe::{DefaultRecipe, Recipe};

/// Why a data file cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Not CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A column that the recipe names is missing, or stands twice.
    #[error("{0}")]
    Header(String),
    /// Cells that are not what they should be, one line each.
    #[error("{} bad cell(s):\n{}", .0.len(), .0.iter().map(BadCell::to_string).collect::<Vec<_>>().join("\n"))]
    Cells(Vec<BadCell>),
    /// Too little to learn from.
    #[error("{0}")]
    TooFew(String),
}

/// What is wrong with one cell of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// Line in the file, counted from 1 as an editor does.
    pub line: u64,
    /// The complaint; the last part of its pointer is the column.
    violation: Violation,
}

impl std::fmt::Display for BadCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.violation.in_words())
    }
}

impl BadCell {
    /// The complaint about the field `data` of a request: its pointer is `/data/LINE/COLUMN`.
    pub fn violation(&self) -> Violation {
        let column = self.violation.pointer.rsplit('/').next().unwrap_or_default();
        Violation::new(format!("/data/{}/{column}", self.line), self.to_string())
    }
}

/// What was measured on one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The targets in their units.
    Values(Vec<f64>),
    /// Index of the class.
    Class(usize),
}

/// A data set: samples with outcomes and groups.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// SHA-256 of the file.
    pub sha256: String,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// What was measured on each.
    pub outcomes: Vec<Outcome>,
    /// The group of each (heat, alloy, chemical system).
    pub groups: Vec<String>,
}

/// No file needs more complaints than this to be mended.
const MOST_COMPLAINTS: usize = 50;

impl Dataset {
    /// Reads a CSV file with the columns that the recipe names; other columns are ignored.
    ///
    /// # Errors
    /// [`DataError`] with the line (counted as an editor does) and column of every bad cell, up to 50.
    pub fn read(bytes: &[u8], recipe: &Recipe) -> Result<Self, DataError> {
        let schema = recipe.blank_schema();
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let headers = reader.headers()?.clone();
        let columns = Columns::find(&headers, recipe, &schema)?;
        let mut dataset =
            Self { sha256: sha256_hex(bytes), samples: Vec::new(), outcomes: Vec::new(), groups: Vec::new() };
        let mut complaints = Vec::new();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            match columns.row(&record, &schema) {
                Ok((sample, outcome, group)) => {
                    dataset.samples.push(sample);
                    dataset.outcomes.push(outcome);
                    dataset.groups.push(group);
                }
                Err(violations) => {
                    complaints.extend(violations.into_iter().map(|violation| BadCell { line, violation }));
                }
            }
            if complaints.len() >= MOST_COMPLAINTS {
                complaints.truncate(MOST_COMPLAINTS);
                break;
            }
        }
        if !complaints.is_empty() {
            return Err(DataError::Cells(complaints));
        }
        if dataset.samples.len() < 10 {
            return Err(DataError::TooFew(format!("{} rows: a model needs at least 10", dataset.samples.len())));
        }
        Ok(dataset)
    }

    /// How many groups the rows belong to.
    pub fn count_groups(&self, rows: &[usize]) -> usize {
        rows.iter().map(|row| &self.groups[*row]).collect::<BTreeSet<_>>().len()
    }

    /// Fingerprints of these rows; the schema is that of the recipe that they were read with.
    pub fn digests(&self, schema: &Schema, rows: &[usize]) -> Vec<String> {
        rows.iter().map(|row| row_digest(&self.samples[*row], &self.outcomes[*row], schema)).collect()
    }

    /// The schema of a model trained on these rows: elements seen, ranges, medians.
    pub fn schema(&self, recipe: &Recipe, rows: &[usize]) -> Schema {
        let mut schema = recipe.blank_schema();
        schema.composition.elements = self.element_ranges(rows);
        for (index, parameter) in schema.processing.iter_mut().enumerate() {
            let wanted = &recipe.processing[index].default;
            match &mut parameter.kind {
                ParameterKind::Categorical { default, .. } => {
                    if let Some(DefaultRecipe::Text(level)) = wanted {
                        *default = Some(level.clone());
                    }
                }
                ParameterKind::Numeric { min, max, default, .. } => {
                    let mut values: Vec<f64> = rows.iter().filter_map(|row| self.number(*row, index)).collect();
                    values.sort_by(f64::total_cmp);
                    (*min, *max) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
                    *default = match wanted {
                        None => None,
                        Some(DefaultRecipe::Number(number)) => Some(*number),
                        Some(DefaultRecipe::Text(_)) => Some(median(&values)),
                    };
                }
            }
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
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// Where in a record things stand.
struct Columns {
    layout: TableLayout,
    outcomes: Vec<(usize, String)>,
    group: Option<usize>,
}

impl Columns {
    fn find(headers: &csv::StringRecord, recipe: &Recipe, schema: &Schema) -> Result<Self, DataError> {
        let places: BTreeMap<&str, usize> = headers.iter().enumerate().map(|(at, header)| (header, at)).collect();
        let place = |column: &str| {
            let missing = || DataError::Header(format!("the column {column} is missing"));
            Ok::<_, DataError>((*places.get(column).ok_or_else(missing)?, column.to_owned()))
        };
        for element in &recipe.composition.elements {
            place(element.symbol())?;
        }
        if let Some(formula) = &recipe.composition.formula {
            place(formula)?;
        }
        for parameter in schema.processing.iter().filter(|parameter| !places.contains_key(parameter.name.as_str())) {
            place(&parameter.column)?;
        }
        let targets = recipe.targets.iter().map(|target| target.column.as_ref().unwrap_or(&target.name));
        let outcomes = targets.chain(recipe.class.iter().map(|class| &class.column));
        let outcomes: Vec<_> = outcomes.map(|column| place(column)).collect::<Result<_, _>>()?;
        let group = match recipe.group.as_str() {
            "chemical_system" => None,
            column => Some(place(column)?.0),
        };
        // Elements that the recipe does not name are not read, even where the file has them.
        let inputs = headers.iter().map(|header| if wanted(header, recipe, schema) { header } else { "" });
        let layout = TableLayout::new(inputs, schema).map_err(|violations| {
            DataError::Header(
                violations.into_iter().map(|v| v.pointer + ": " + &v.detail).collect::<Vec<_>>().join("; "),
            )
        })?;
        Ok(Self { layout, outcomes, group })
    }

    fn row(&self, record: &csv::StringRecord, schema: &Schema) -> Result<(Sample, Outcome, String), Vec<Violation>> {
        let sample = Sample::parse(&self.layout.sample(record)?, schema, "")?;
        let outcome = match &schema.outputs {
            Outputs::Regression { .. } => {
                let value = |(at, column): &(usize, String)| match record.get(*at).map(str::parse::<f64>) {
                    Some(Ok(value)) if value.is_finite() => Ok(value),
                    _ => Err(Violation::new(column, "must be a finite number")),
                };
                let (values, bad): (Vec<_>, Vec<_>) = self.outcomes.iter().map(value).partition(Result::is_ok);
                if !bad.is_empty() {
                    return Err(bad.into_iter().filter_map(Result::err).collect());
                }
                Outcome::Values(values.into_iter().flatten().collect())
            }
            Outputs::Classification { classes } => {
                let (at, column) = &self.outcomes[0];
                let level = record.get(*at).unwrap_or_default();
                let class = classes.iter().position(|known| known == level);
                let wrong =
                    || vec![Violation::new(column, format!("\"{level}\" is not one of {}", classes.join(", ")))];
                Outcome::Class(class.ok_or_else(wrong)?)
            }
        };
        let group = match self.group {
            Some(at) => record.get(at).unwrap_or_default().to_owned(),
            None => sample.composition().chemical_system(),
        };
        Ok((sample, outcome, group))
    }
}

fn wanted(header: &str, recipe: &Recipe, schema: &Schema) -> bool {
    recipe.composition.elements.iter().any(|element| element.symbol() == header)
        || recipe.composition.formula.as_deref() == Some(header)
        || schema.processing.iter().any(|parameter| parameter.column == header || parameter.name == header)
}
