//! Reads files of evidence: formulas of alloys, checked as training rows are.

use crate::data::dataset::Dataset;
use crate::data::digest::composition_text;
use crate::data::evidence::{EvidenceRecipe, EvidenceRow};
use crate::data::reading::columns::Columns;
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::read::raw_sample;
use crate::data::reading::sheet::Sheet;
use crate::data::recipe::Recipe;
use crate::data::source::Relation;
use crate::domain::{Sample, Violation};
use crate::model::{EvidenceRecord, sha256_hex};
use crate::tables::{Mapping, ReadOptions, Tally};

/// Why a file of evidence cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Another number of files than the recipe has entries.
    #[error("the recipe names {wanted} of evidence, {given} given")]
    Count {
        /// How many files are needed, with their names.
        wanted: String,
        /// How many were given, in words.
        given: String,
    },
    /// A file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        error: DataError,
    },
}

impl EvidenceError {
    /// The errors as violations of the field `evidence` of a request.
    pub fn violations(&self) -> Vec<Violation> {
        let Self::File { file, error } = self else { return vec![Violation::new("/evidence", self.to_string())] };
        let moved = |violation: Violation| {
            let place = violation.pointer.strip_prefix("/data").unwrap_or(&violation.pointer);
            Violation::new(format!("/evidence{place}"), format!("{file}: {}", violation.detail))
        };
        error.violations().into_iter().map(moved).collect()
    }
}

impl Dataset {
    /// Adds the evidence of a recipe: the bytes of its files, in the order of its entries.
    ///
    /// # Errors
    /// [`EvidenceError`] with the file, and with line and column of invalid cells.
    pub fn with_evidence(mut self, recipe: &Recipe, files: &[Vec<u8>]) -> Result<Self, EvidenceError> {
        if files.len() != recipe.evidence.len() {
            let names: Vec<&str> = recipe.evidence.iter().map(|entry| entry.file.as_str()).collect();
            let wanted = match names.len() {
                0 => "no file".to_owned(),
                1 => format!("1 file ({})", names[0]),
                count => format!("{count} files ({})", names.join(", ")),
            };
            let given = if files.len() == 1 { "1 is".to_owned() } else { format!("{} are", files.len()) };
            return Err(EvidenceError::Count { wanted, given });
        }
        for (entry, bytes) in recipe.evidence.iter().zip(files) {
            let file = || entry.file.clone();
            let rows = read(entry, recipe, bytes).map_err(|error| EvidenceError::File { file: file(), error })?;
            let (classes, count) = (entry.excludes.join(" or "), rows.len());
            self.summary.notes.push(format!("{}: {count} alloys that are not {classes}", entry.file));
            self.evidence_files.push(EvidenceRecord {
                file: file(),
                sha256: sha256_hex(bytes),
                rows: count,
                excludes: entry.excludes.clone(),
                citation: entry.citation.clone(),
            });
            self.evidence.extend(rows);
        }
        Ok(self)
    }

    /// Says that the recipe's evidence was not given.
    #[must_use]
    pub fn without_evidence(mut self, recipe: &Recipe) -> Self {
        for EvidenceRecipe { file, excludes, .. } in &recipe.evidence {
            let classes = excludes.join(" or ");
            self.summary.warnings.push(format!(
                "the recipe's evidence ({file}, alloys that are not {classes}) was not given: the model learns from the \
                 rows alone and takes such alloys for what its rows are"
            ));
        }
        self
    }
}

fn read(entry: &EvidenceRecipe, recipe: &Recipe, bytes: &[u8]) -> Result<Vec<EvidenceRow>, DataError> {
    let mut bad = BadCells::default();
    let sheet = Sheet::read(bytes, &ReadOptions::default(), &mut bad)?;
    // The file has a column of formulas, and no class.
    let mut own = Recipe { class: None, filter: None, fill_down: Vec::new(), ..recipe.clone() };
    own.composition.formula = Some(entry.column.clone());
    let mut schema = recipe.blank_schema();
    schema.composition.formula_column.clone_from(&own.composition.formula);
    let columns = Columns::find(&sheet, &own, &schema, &Mapping::default())?;
    let classes = recipe.output_names();
    let allowed: Vec<bool> = classes.iter().map(|class| !entry.excludes.contains(class)).collect();
    let (mut rows, mut tally) = (Vec::with_capacity(sheet.rows.len()), Tally::default());
    for row in &sheet.rows {
        let Some(raw) = raw_sample(row, &columns, &schema, &mut bad, &mut tally) else { continue };
        match Sample::parse_training(&raw, &schema) {
            Ok(sample) => {
                let group = match recipe.group.relation() {
                    Relation::Composition => composition_text(sample.composition()),
                    Relation::ChemicalSystem | Relation::Columns(_) => sample.composition().chemical_system(),
                };
                rows.push(EvidenceRow {
                    sample,
                    allowed: allowed.clone(),
                    weight: entry.weight,
                    group,
                    line: row.line,
                });
            }
            Err(violations) => {
                for violation in violations {
                    bad.add(row.line, columns.of(&violation, &schema), violation.detail);
                }
            }
        }
    }
    bad.into_result()?;
    if rows.is_empty() { Err(DataError::TooFew("no alloy is in it".to_owned())) } else { Ok(rows) }
}
